"""The group, its autogroups and the market of one seed: drawn from what people set, and from what hurts a scaler most."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from functions.core.model import Autogroup, EndpointGroup, RentalType
from sandbox.marketplace.faults import PRESETS, AnswerFault, Chance, Fate, FaultOptions, Operation, Span, Trust
from sandbox.marketplace.world import WorldOptions
from tests.fakes.marketplace import QUIET_MARKET

BOOT_TIMEOUT_S: Final = 600.0
SPOT_SHARE: Final = 0.4
# Enough machines for some to be left when many have failed and are avoided.
_MARKET: Final = replace(QUIET_MARKET, machines=80)
_SMALL: Final = "num_gpus=1 verified=any dph_total<0.7 inet_down>=300 dlperf>=12"
_LARGE: Final = "num_gpus<=2 verified=any gpu_ram>=20 inet_down>=300 dlperf>=12"

# What strikes a machine that serves is rarer in reality than what keeps it from serving at all, and harder on a scaler.
FATE_WEIGHTS: Final[Mapping[Fate, float]] = {
    Fate.DEAF: 3.0,
    Fate.DOCKER_ERROR: 1.0,
    Fate.DOCKER_ERROR_EXITED: 1.0,
    Fate.LOADING_FOR_EVER: 1.0,
    Fate.NEVER_SCHEDULED: 1.0,
    Fate.OCI_ERROR: 1.0,
    Fate.SLOW: 2.0,
    Fate.EXITS: 6.0,
    Fate.GOES_SILENT: 6.0,
    Fate.GOES_OFFLINE: 6.0,
    Fate.VANISHES: 6.0,
    Fate.TERM_ENDS: 1.0,
    Fate.PRICE_RAISED: 1.0,
    Fate.ADDRESS_CHANGES: 1.0,
}


def random_group(endpoint: str, rng: random.Random) -> EndpointGroup:
    """Return a group's parameters."""
    return EndpointGroup(
        endpoint=endpoint,
        max_workers=rng.choice((1, 2, 3, 5)),
        max_hourly_cost_micro_usd=rng.choice((800_000, 3_000_000, 6_000_000)),
        cold_mult=rng.choice((0.0, 1.0, 2.0)),
        cold_workers=rng.choice((0, 0, 1, 2)),
        test_workers=rng.choice((0, 1, 2)),
        target_util=rng.choice((0.7, 0.9)),
        inactivity_timeout=rng.choice((0.0, 30.0, 200.0)),
        scale_down_window=rng.choice((0.0, 60.0, 300.0)),
        shortage_cost=rng.choice((0.0, 0.0, 20.0)),
    )


def random_autogroups(rng: random.Random) -> tuple[Autogroup, ...]:
    """Return two configurations, the smaller one interruptible in some worlds."""
    small = Autogroup(name="small", search_params=_SMALL, image="worker", disk_gb=20.0, boot_timeout_s=BOOT_TIMEOUT_S)
    if rng.random() < SPOT_SHARE:
        small = replace(small, rental_type=RentalType.INTERRUPTIBLE, bid_factor=1.2, max_bid_micro_usd=700_000)
    return small, replace(small, name="large", search_params=_LARGE, rental_type=RentalType.ON_DEMAND)


def random_market(rng: random.Random) -> WorldOptions:
    """Return a market with its own faults, and more of those that a scaler finds hardest: lost answers, and lists that lag."""
    preset = PRESETS[rng.choice(("typical", "hostile"))]
    lost = tuple(
        Chance(operation=operation, fault=fault, probability=rng.choice((0.0, 0.2, 0.5)))
        for operation in (Operation.CREATE, Operation.DESTROY, Operation.START, Operation.STOP)
        for fault in (AnswerFault.DROPPED_AFTER, AnswerFault.SERVER_ERROR_BEFORE)
    )
    mistaken = tuple(
        Chance(operation=Operation.CREATE, fault=fault, probability=0.05)
        for fault in (AnswerFault.WRONG_MACHINE, AnswerFault.BID_IGNORED)
    )
    faults: FaultOptions = replace(
        preset,
        chances=(*mistaken, *lost, *preset.chances),
        list_lag_share=0.5,
        list_lag=Span(least_s=1.0, most_s=45.0),
        failure_share=dict.fromkeys(Trust, rng.choice((0.15, 0.4))),
        fate_weights=FATE_WEIGHTS,
        # Soon enough to be seen within one episode.
        strikes_after=Span(least_s=20.0, most_s=300.0),
        outage=Span(least_s=30.0, most_s=250.0),
        silence=Span(least_s=20.0, most_s=150.0),
    )
    return WorldOptions(market=_MARKET, faults=faults, boot_speed=3.0, credit_usd=10_000.0)
