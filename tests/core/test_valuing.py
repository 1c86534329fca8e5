"""What a dollar buys: seconds of service, with all that is billed beside them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.scaler_state import BootRecord, ScalerState
from functions.core.valuing import ready_share, serving_s_per_usd, terms
from tests.core.builders import an_autogroup, an_offer

SURE = ScalerState(boots={"a": BootRecord(ready=1e9, boot_s=600.0)}, stay_s=3_000.0)


def _worth(state: ScalerState = SURE, *, autogroup: dict[str, Any] | None = None, lost: float = 0.0, **offer: Any) -> float:
    rent = terms(an_autogroup(**autogroup or {}), state, lost_per_hour=lost)
    return serving_s_per_usd(an_offer(**offer), rent)


def test_a_boot_is_paid_for_and_serves_nothing() -> None:
    # 0.40 dollars an hour: 600 s of boot and 3,000 s of service for 40 cents.
    assert _worth() == pytest.approx(3_000 / 0.4, rel=1e-3)


def test_an_offer_without_a_price_is_worth_nothing() -> None:
    assert _worth(running_micro_usd_per_hour=0) == 0.0


def test_what_is_downloaded_is_billed_by_the_gigabyte() -> None:
    # 20 GB at 2 cents.
    assert _worth(autogroup={"download_gb": 20.0}, down_micro_usd_per_gb=20_000) == pytest.approx(3_000 / 0.8, rel=1e-3)


def test_where_nobody_says_what_is_downloaded_half_the_disk_is() -> None:
    said = _worth(autogroup={"disk_gb": 40.0, "download_gb": 20.0}, down_micro_usd_per_gb=20_000)

    assert _worth(autogroup={"disk_gb": 40.0}, down_micro_usd_per_gb=20_000) == said


def test_what_is_sent_while_it_serves_is_billed_too() -> None:
    # 3,000 s of 24 GB an hour at 2 cents are 40 cents more.
    assert _worth(autogroup={"traffic_gb_per_hour": 24.0}, up_micro_usd_per_gb=20_000) == pytest.approx(3_000 / 0.8, rel=1e-3)


def test_over_a_slow_line_the_boot_takes_as_long_as_the_download() -> None:
    # 10 GB at 100 Mbit/s: 800 s.
    slow = _worth(autogroup={"download_gb": 10.0}, down_mbit_per_s=100.0)

    assert slow == pytest.approx(3_000 / (0.4 * 3_800 / 3_600), rel=1e-3)


def test_a_host_whose_term_ends_soon_is_worth_less() -> None:
    assert _worth(ends_in_s=600.0) < 0.7 * _worth(ends_in_s=None)


def test_a_bid_that_is_lost_every_ten_minutes_is_worth_far_less_than_one_that_is_kept() -> None:
    kept, lost = (_worth(lost=rate, bid_micro_usd_per_hour=390_000) for rate in (0.0, 6.0))

    assert lost < 0.6 * kept


def test_how_often_bids_are_lost_is_nothing_to_a_machine_on_demand() -> None:
    assert _worth(lost=6.0) == _worth(lost=0.0)


@pytest.mark.parametrize(("reliability", "share"), [(1.0, 1.0), (0.99, 0.91), (0.9, 0.5)])
def test_an_unknown_host_is_taken_at_what_the_marketplace_makes_of_its_reliability(reliability: float, share: float) -> None:
    assert ready_share(an_offer(reliability=reliability), terms(an_autogroup(), SURE)) == pytest.approx(share, abs=0.01)


def test_a_host_on_which_machines_failed_is_worth_less_than_one_on_which_they_did_not() -> None:
    state = ScalerState(hosts={"7": BootRecord(failed=3.0), "8": BootRecord(ready=3.0)})

    assert _worth(state, host_id=7) < _worth(state, host_id=9) <= _worth(state, host_id=8)


def test_an_autogroup_whose_boots_fail_is_worth_less() -> None:
    assert _worth(ScalerState(boots={"a": BootRecord(failed=8.0, ready=1.0)})) < _worth(ScalerState())


@given(st.integers(1, 40_000_000), st.floats(0, 1), st.floats(0, 50), st.floats(0, 1e6), st.sampled_from((None, 1)))
def test_worth_falls_with_the_price_and_is_never_negative(
    price: int, reliability: float, lost: float, ends_in_s: float, bid: int | None
) -> None:
    offer: dict[str, Any] = {"reliability": reliability, "ends_in_s": ends_in_s, "bid_micro_usd_per_hour": bid}
    cheap, dear = (_worth(lost=lost, running_micro_usd_per_hour=each, **offer) for each in (price, 2 * price))

    assert 0 < dear < cheap
