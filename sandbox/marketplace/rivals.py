"""Everybody else on the marketplace: renters who take offers and give them back, hosts who change prices.

They are why an offer can be gone between a search and its accept, and why a stopped instance may not start again. All of it is
drawn from its own generator, so that a market looks the same whatever the account under test does to it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.marketplace.agenda import Agenda, HostRenews, HostReprices, RivalArrives, RivalLeaves
from sandbox.marketplace.instance import to_s, to_us
from sandbox.marketplace.lifecycle import Link
from sandbox.marketplace.machine import Hold, Machine
from sandbox.marketplace.market import MarketOptions, new_term_ends_s
from sandbox.marketplace.offers import OfferBook

_HOUR_S: Final = 3_600.0
# Real price changes have quartiles of -11 % and +5 % (67,031 offers of 2026): a normal step of the logarithm, and a pull back to
# where the price began, without which a market would be worth nothing after a year.
_STEP_MEAN: Final = -0.03
_STEP_SIGMA: Final = 0.12
_PULL: Final = 0.15
RAISE_FACTOR: Final = 1.25
_PRICE_MICRO_USD_PER_HOUR_MIN: Final = 1_000


@dataclass(slots=True, kw_only=True)
class Rivals:
    """The other renters. `freed` is called with a machine whose GPUs came back."""

    options: MarketOptions
    agenda: Agenda
    book: OfferBook
    machines: Mapping[int, Machine]
    rng: random.Random
    freed: Callable[[Machine, int], None]

    def settle(self, now_us: int) -> None:
        """Begin as if the market had been open for long: some machines are taken, and events are due."""
        busy_hours = self.options.rivals_per_machine_hour * self.options.rival_hours
        for machine in self.machines.values():
            self.book.relist(machine)
            while self.rng.random() < busy_hours / (1 + busy_hours) and self._take_some(machine, now_us):
                pass
            self._expect_arrival(machine, now_us)
            self._expect_reprice(machine, now_us)
            self.agenda.put(to_us(machine.term_ends_s), HostRenews(machine.hardware.machine_id))

    def arrive(self, machine: Machine, now_us: int) -> bool:
        """One renter comes by and takes an offer of this machine; False if it has none."""
        self._expect_arrival(machine, now_us)
        if machine.link is not Link.ONLINE:
            return True
        return self._take_some(machine, now_us)

    def leave(self, machine: Machine, hold: int, now_us: int) -> None:
        """One renter gives GPUs back."""
        if machine.end_hold(hold):
            self.freed(machine, now_us)

    def stay_us(self) -> int:
        """Return how long a renter stays."""
        return to_us(self.rng.expovariate(1.0) * self.options.rival_hours * _HOUR_S)

    def reprice(self, machine: Machine, now_us: int) -> None:
        """The host changes its price; its offers get new ask ids."""
        away = math.log(machine.price_micro_usd_per_hour / machine.first_price_micro_usd_per_hour)
        step = self.rng.gauss(_STEP_MEAN, _STEP_SIGMA) - _PULL * (away + _STEP_MEAN / _PULL)
        self._scale_price(machine, math.exp(step))
        self._expect_reprice(machine, now_us)

    def raise_price(self, machine: Machine) -> None:
        """The host wants more from now on."""
        self._scale_price(machine, RAISE_FACTOR)

    def renew(self, machine: Machine, now_us: int) -> None:
        """The host promises its machine for another term; its offers get new ask ids."""
        machine.term_ends_s = new_term_ends_s(self.rng, now_s=to_s(now_us))
        self.book.relist(machine)
        self.agenda.put(to_us(machine.term_ends_s), HostRenews(machine.hardware.machine_id))

    def take(
        self, machine: Machine, gpu_ids: tuple[int, ...], now_us: int, *, bid: int | None = None, stay_us: int | None = None
    ) -> None:
        """Rent exactly these free GPUs for a while; a bid, per GPU and hour, can be outbid, the full price (None) cannot."""
        hold = machine.hold(Hold(gpu_ids=gpu_ids, bid_micro_usd_per_gpu_hour=bid))
        self.book.relist(machine)
        leaves_us = now_us + (self.stay_us() if stay_us is None else stay_us)
        self.agenda.put(leaves_us, RivalLeaves(machine.hardware.machine_id, hold))

    def _scale_price(self, machine: Machine, factor: float) -> None:
        """Change the price and the lowest bid alike."""
        price, bid = machine.price_micro_usd_per_hour * factor, machine.bid_micro_usd_per_hour * factor
        machine.price_micro_usd_per_hour = max(_PRICE_MICRO_USD_PER_HOUR_MIN, round(price))
        machine.bid_micro_usd_per_hour = max(_PRICE_MICRO_USD_PER_HOUR_MIN, round(bid))
        self.book.relist(machine)

    def _take_some(self, machine: Machine, now_us: int) -> bool:
        sizes = machine.offered_sizes()
        if sizes:
            bid = machine.bid_micro_usd_per_hour if self.rng.random() < self.options.bidder_share else None
            self.take(machine, tuple(machine.free[: self.rng.choice(sizes)]), now_us, bid=bid)
        return bool(sizes)

    def _expect_arrival(self, machine: Machine, now_us: int) -> None:
        wait_us = self._wait_us(self.options.rivals_per_machine_hour)
        if wait_us is not None:
            self.agenda.put(now_us + wait_us, RivalArrives(machine.hardware.machine_id))

    def _expect_reprice(self, machine: Machine, now_us: int) -> None:
        wait_us = self._wait_us(self.options.reprices_per_machine_hour)
        if wait_us is not None:
            self.agenda.put(now_us + wait_us, HostReprices(machine.hardware.machine_id))

    def _wait_us(self, per_hour: float) -> int | None:
        return to_us(self.rng.expovariate(per_hour) * _HOUR_S) if per_hour > 0 else None
