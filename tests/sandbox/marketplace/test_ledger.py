"""Money is integrated exactly and rounded once."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.marketplace.ledger import GRAINS_PER_MICRO_USD, Ledger, Tariff, micro_usd, usd

HOUR_US = 3_600_000_000
tariffs = st.builds(
    Tariff,
    gpu_micro_usd_per_hour=st.integers(0, 40_000_000),
    storage_micro_usd_per_gb_month=st.integers(0, 1_000_000),
    disk_mb=st.integers(8_000, 2_000_000),
    up_micro_usd_per_gb=st.integers(0, 100_000),
    down_micro_usd_per_gb=st.integers(0, 100_000),
)
few = settings(max_examples=50)
steps = st.lists(st.tuples(st.integers(0, 10 * HOUR_US), st.booleans(), st.booleans(), st.integers(0, 10**11)), max_size=12)


def _exact(tariff: Tariff, periods: list[tuple[int, bool, bool, int]]) -> Fraction:
    """The same bill, with fractions and no shortcuts."""
    total = Fraction(0)
    for length_us, gpu, storage, down_bytes in periods:
        hours = Fraction(length_us, HOUR_US)
        total += tariff.gpu_micro_usd_per_hour * hours * gpu
        total += Fraction(tariff.storage_micro_usd_per_gb_month * tariff.disk_mb, 1_000 * 720) * hours * storage
        total += Fraction(tariff.down_micro_usd_per_gb * down_bytes, 10**9)
    return total


def _charged(tariff: Tariff, periods: list[tuple[int, bool, bool, int]]) -> tuple[Ledger, int]:
    ledger, now_us = Ledger(), 0
    ledger.open(1, tariff, now_us)
    for length_us, gpu, storage, down_bytes in periods:
        ledger.charge(1, now_us, gpu=gpu, storage=storage)
        ledger.transfer(1, up_bytes=0, down_bytes=down_bytes)
        now_us += length_us
    ledger.charge(1, now_us, gpu=False, storage=False)
    return ledger, now_us


@few
@given(tariffs, steps)
def test_a_bill_is_the_exact_integral_rounded_once(tariff: Tariff, periods: list[tuple[int, bool, bool, int]]) -> None:
    ledger, now_us = _charged(tariff, periods)

    exact = _exact(tariff, periods)
    assert ledger.contract_bill(1, now_us).total_micro_usd == (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


@few
@given(tariffs, steps, st.integers(0, HOUR_US))
def test_reading_a_bill_changes_nothing(tariff: Tariff, periods: list[tuple[int, bool, bool, int]], later_us: int) -> None:
    ledger, now_us = _charged(tariff, periods)
    first = ledger.bill(now_us + later_us)

    assert ledger.bill(now_us + later_us) == first


@few
@given(st.lists(st.tuples(tariffs, steps), min_size=1, max_size=4))
def test_the_total_is_the_sum_of_the_contracts_up_to_rounding(
    accounts: list[tuple[Tariff, list[tuple[int, bool, bool, int]]]],
) -> None:
    ledger, end_us = Ledger(), 0
    for number, (tariff, periods) in enumerate(accounts):
        ledger.open(number, tariff, end_us)
        for length_us, gpu, storage, down_bytes in periods:
            ledger.charge(number, end_us, gpu=gpu, storage=storage)
            ledger.transfer(number, up_bytes=0, down_bytes=down_bytes)
            end_us += length_us

    bill = ledger.bill(end_us)

    assert abs(bill.total_micro_usd - sum(each.total_micro_usd for each in bill.contracts)) <= len(accounts)


@few
@given(tariffs, st.integers(1, 10**9))
def test_the_credit_ends_in_the_microsecond_that_is_forecast(tariff: Tariff, credit_micro_usd: int) -> None:
    ledger = Ledger()
    ledger.open(1, tariff, 0)
    ledger.charge(1, 0, gpu=True, storage=True)
    rate_grains = tariff.gpu_micro_usd_per_hour * (GRAINS_PER_MICRO_USD // HOUR_US) + tariff.storage_grains_per_us

    ends_us = ledger.spent_at_us(credit_micro_usd)

    if ends_us is None:
        assert rate_grains == 0
    else:
        assert (ends_us - 1) * rate_grains < credit_micro_usd * GRAINS_PER_MICRO_USD <= ends_us * rate_grains


def test_a_new_bid_costs_from_then_on() -> None:
    tariff = Tariff(
        gpu_micro_usd_per_hour=100, storage_micro_usd_per_gb_month=0, disk_mb=8_000, up_micro_usd_per_gb=0, down_micro_usd_per_gb=0
    )
    ledger = Ledger()
    ledger.open(1, tariff, 0)
    ledger.charge(1, 0, gpu=True, storage=True)
    dearer = Tariff(
        gpu_micro_usd_per_hour=900, storage_micro_usd_per_gb_month=0, disk_mb=8_000, up_micro_usd_per_gb=0, down_micro_usd_per_gb=0
    )

    ledger.reprice(1, dearer, HOUR_US)

    assert ledger.bill(2 * HOUR_US).total_micro_usd == 1_000


def test_dollars_and_micro_dollars_convert_back() -> None:
    assert usd(micro_usd(12.345678)) == 12.345678
