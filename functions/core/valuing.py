"""What an offer is worth: useful load for each dollar that renting it is expected to cost, from the rent to the release.

The dollars of a rent are not its hourly price. A machine bills while it boots and serves nothing; some never become ready and bill
until they are given up; what it downloads and sends is billed by the gigabyte; and one that was rented by a bid is taken away, so
that its boot was paid for less service. With p the price, B the boot, S the stay, T the time after which a boot is given up, and q
the probability that it becomes ready:

    seconds of service = q S
    dollars            = p (q (B + S) + (1 - q) T) + download + q S * traffic
    worth              = seconds of service * S / (B + S) / dollars,   the last factor for interruptible ones alone

* B: learned for the autogroup (before it was seen, for the group), but no less than the download takes over the host's line.
* S: learned for the group (its workers' mean time from rent to release), or what is left of the host's own term if that is less.
  A bid is lost at a rate of h an hour, learned for the autogroup: what is left of S is (1 - exp(-h S)) / h. While its successor
  boots, nobody serves its share, hence the last factor.
* q: how the autogroup's boots went, times how the host's did; a host that is not known is taken at what the marketplace itself
  makes of its reliability, 1 / (1 + 10 (1 - r)) (holds on 82 % of the offers of November 2024: 0.99 counts 0.91, 0.9 counts 0.5).

How much load is useful is another question: see `growing`. Prices in micro-dollars, worth in seconds of service per dollar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from functions.core.lead_time import boot_time
from functions.core.model import Autogroup, Offer
from functions.core.pricing import MICRO_USD_PER_USD
from functions.core.scaler_state import BootRecord, ScalerState

ENDING_S: Final = 1_200.0  # a machine whose term ends sooner is not rented, and one that was is replaced
STAY_S: Final = 3_600.0
STAY_S_MIN: Final = 300.0
# What boots that went well before any was seen count for: of twenty, one fails.
BOOTS_READY: Final = 19.0
BOOTS_FAILED: Final = 1.0
HOST_WEIGHT: Final = 4.0  # the reliability of a host counts like this many boots on it
READY_SHARE_MIN: Final = 0.02
DOWNLOAD_DISK_SHARE: Final = 0.5  # of the disk that was asked for, where nobody says what is downloaded
_LOST_MIN: Final = 1e-9
_S_PER_HOUR: Final = 3_600.0
_MBIT_PER_GB: Final = 8_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What renting for one autogroup is like, whatever the offer. `lost_per_hour`: how often a bid is lost."""

    autogroup: Autogroup
    boot_s: float
    ready_share: float
    stay_s: float
    lost_per_hour: float
    hosts: Mapping[str, BootRecord]

    @property
    def download_gb(self) -> float:
        """Return what a new machine downloads."""
        said = self.autogroup.download_gb
        return self.autogroup.disk_gb * DOWNLOAD_DISK_SHARE if said is None else said


def terms(autogroup: Autogroup, state: ScalerState, *, lost_per_hour: float = 0.0) -> Terms:
    """Return what renting for this autogroup has been like."""
    boots = state.boots.get(autogroup.name, BootRecord())
    return Terms(
        autogroup=autogroup,
        boot_s=boots.boot_s or boot_time(state).mean_s,
        ready_share=(BOOTS_READY + boots.ready) / (BOOTS_READY + BOOTS_FAILED + boots.ready + boots.failed),
        stay_s=max(STAY_S_MIN, state.stay_s or STAY_S),
        lost_per_hour=lost_per_hour,
        hosts=state.hosts,
    )


def serving_s_per_usd(offer: Offer, rent: Terms) -> float:
    """Return the expected seconds of service for each dollar of renting this offer; 0 for one without a price."""
    price = offer.running_micro_usd_per_hour / _S_PER_HOUR
    if price <= 0:
        return 0.0
    ready, boot_s, stay_s = ready_share(offer, rent), _boot_s(offer, rent), _stay_s(offer, rent)
    traffic = rent.autogroup.traffic_gb_per_hour / _S_PER_HOUR * offer.up_micro_usd_per_gb
    billed = price * (ready * (boot_s + stay_s) + (1 - ready) * rent.autogroup.boot_timeout_s)
    cost = billed + rent.download_gb * offer.down_micro_usd_per_gb + ready * stay_s * traffic
    there = stay_s / (boot_s + stay_s) if offer.bid_micro_usd_per_hour is not None else 1.0
    return ready * stay_s * there * MICRO_USD_PER_USD / cost


def ready_share(offer: Offer, rent: Terms) -> float:
    """Return the probability that a machine becomes ready."""
    expected = 1 / (1 + 10 * (1 - min(1.0, max(0.0, offer.reliability))))
    host = rent.hosts.get(str(offer.host_id), BootRecord()) if offer.host_id else BootRecord()
    of_host = (HOST_WEIGHT * expected + host.ready) / (HOST_WEIGHT + host.ready + host.failed)
    return max(READY_SHARE_MIN, rent.ready_share * of_host)


def _boot_s(offer: Offer, rent: Terms) -> float:
    download_s = rent.download_gb * _MBIT_PER_GB / offer.down_mbit_per_s if offer.down_mbit_per_s > 0 else 0.0
    return min(max(rent.boot_s, download_s), rent.autogroup.boot_timeout_s)


def _stay_s(offer: Offer, rent: Terms) -> float:
    stay_s = rent.stay_s if offer.ends_in_s is None else max(1.0, min(rent.stay_s, offer.ends_in_s))
    lost = rent.lost_per_hour * stay_s / _S_PER_HOUR if offer.bid_micro_usd_per_hour is not None else 0.0
    return stay_s if lost < _LOST_MIN else stay_s * -math.expm1(-lost) / lost
