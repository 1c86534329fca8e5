"""The auction for interruptible rentals: the highest bid per GPU holds it, who pays the full price holds it before any bid.

*Losing.* From the moment a bidder of ours holds GPUs, a rival with a bid of its own is on its way. It takes what is free on the
machine; if that is not enough, and its bid, above the host's lowest by an exponential premium, is higher than ours per GPU, ours is
paused at once and the rival has the GPUs for a while; else the next rival is on its way. So the lowest bid on a full machine is
interrupted as often as real spot instances are, and each PREMIUM_MEAN more makes interruptions e times rarer. Somebody who pays
the full price and finds no free GPU on the machine takes the lowest bid's.

*Winning back.* When the rival leaves, or its bid is beaten by a raise, what is paused runs again: of several on one machine the
highest bid per GPU first. It resumes by itself; only its owner's stop, or the end of the credit, makes it stay paused. A bid
below the host's lowest holds nothing, and waits in the same way.

Run and gap lengths are the 204 runs and 206 gaps of single V100s in four zones that the spot-preemption traces of April 2023
recorded (skypilot-org/spot-traces, "Can't Be Late", NSDI '24). No trace of this marketplace is public.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from sandbox.marketplace.agenda import Agenda, RivalBids
from sandbox.marketplace.contracts import Contracts
from sandbox.marketplace.instance import Contract, to_us
from sandbox.marketplace.lifecycle import HOLDS_GPUS, Event
from sandbox.marketplace.machine import Machine
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.quantiles import Quantiles
from sandbox.marketplace.rivals import Rivals

RUN_HOURS: Final = Quantiles(0.009, 0.036, 0.169, 0.649, 2.187, 9.804, 22.302)
GAP_HOURS: Final = Quantiles(0.009, 0.027, 0.178, 0.382, 1.013, 6.169, 20.507)
PREMIUM_MEAN: Final = 0.25
_STRUCK_PREMIUM: Final = 0.1
_HOUR_S: Final = 3_600.0


@dataclass(slots=True, kw_only=True)
class Spot:
    """The auction over one world."""

    options: MarketOptions
    agenda: Agenda
    contracts: Contracts
    rivals: Rivals
    rng: random.Random

    def watch(self, contract: Contract, now_us: int) -> None:
        """Send the next rival on its way to a bidder that just got its GPUs; nobody comes where nobody else rents."""
        contract.stint += 1
        if contract.is_bid and self.options.rivals_per_machine_hour > 0:
            self.agenda.put(now_us + self._hours_us(RUN_HOURS), RivalBids(contract.contract_id, contract.stint))

    def challenge(self, contract: Contract, stint: int, now_us: int) -> None:
        """Let the rival that was on its way bid; void when the contract lost its GPUs meanwhile."""
        if contract.stint != stint or contract.phase not in HOLDS_GPUS:
            return
        machine, stay_us = contract.machine, self._hours_us(GAP_HOURS)
        bid = round(machine.bid_micro_usd_per_hour * (1 + self.rng.expovariate(1 / PREMIUM_MEAN)))
        if len(machine.free) < contract.num_gpus and bid > contract.bid_micro_usd_per_gpu_hour:
            self.take_over(contract, now_us, bid=bid, stay_us=stay_us)
            return
        if len(machine.free) >= contract.num_gpus:
            self.rivals.take(machine, tuple(machine.free[: contract.num_gpus]), now_us, bid=bid, stay_us=stay_us)
        self.watch(contract, now_us)

    def outbid(self, contract: Contract, now_us: int, *, stay_us: int) -> None:
        """Let somebody bid more than this contract does, now, for its GPUs and all that are free, and stay for so long."""
        if contract.phase in HOLDS_GPUS:
            bid = round(contract.bid_micro_usd_per_gpu_hour * (1 + _STRUCK_PREMIUM)) + 1
            self.pause(contract, now_us)
            self.rivals.take(contract.machine, tuple(contract.machine.free), now_us, bid=bid, stay_us=stay_us)
            self.contracts.freed(contract.machine, now_us)

    def crowd(self, machine: Machine, now_us: int) -> None:
        """Somebody who pays the full price finds nothing free here: the lowest bid goes."""
        bidders = [each for each in self.contracts.on(machine) if each.is_bid and each.phase in HOLDS_GPUS]
        if bidders and self.rng.random() >= self.options.bidder_share:
            lowest = min(bidders, key=lambda each: each.bid_micro_usd_per_gpu_hour)
            self.take_over(lowest, now_us, bid=None, stay_us=self.rivals.stay_us())

    def take_over(self, contract: Contract, now_us: int, *, bid: int | None, stay_us: int) -> None:
        """Pause a contract and give its GPUs to a rival; a bid of None pays the full price."""
        gpu_ids = contract.gpu_ids
        self.pause(contract, now_us)
        self.rivals.take(contract.machine, gpu_ids, now_us, bid=bid, stay_us=stay_us)
        self.contracts.freed(contract.machine, now_us)

    def pause(self, contract: Contract, now_us: int) -> None:
        """Take the GPUs from a bidder; it waits for its bid to win again."""
        wanted = contract.view.intended == "running"
        self.contracts.apply(contract, Event.PREEMPTED, now_us)
        contract.outbid = wanted

    def _hours_us(self, hours: Quantiles) -> int:
        return to_us(hours.draw(self.rng) * _HOUR_S)
