"""A marketplace for unit tests: the simulated world behind the port, without a wire between them.

Offers and instances are read from the world's own rows, and what goes wrong is what the world's fault plan says, call by call, as
over the wire. What is left out is the wire itself: sessions, JSON, pages, pauses. The contract suite runs over this one too, so
that it is not kinder than the adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from functions.adapters import vast_rows
from functions.adapters.vast_bodies import CHEAPEST, create_body, search_body, search_filters, search_order
from functions.adapters.vast_http import READ_TRIES_MAX, refusal
from functions.core.matching import matches
from functions.core.model import Autogroup, Instance, Offer
from functions.ports import Clock, InstanceGone, MarketplaceBusy, MarketplaceRefused, MarketplaceThrottled, RentRequest
from sandbox.marketplace.errors import Refused
from sandbox.marketplace.fault_plan import Drawn
from sandbox.marketplace.faults import AnswerFault, Operation
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.instance_row import instance_row
from sandbox.marketplace.order import read_bid, read_label, read_order
from sandbox.marketplace.search_routes import CAPPED_OFFERS, without_a_filter
from sandbox.marketplace.world import World

_F = AnswerFault
_T = TypeVar("_T")
_LIMITED: Final = frozenset({_F.RATE_LIMITED, _F.RATE_LIMITED_JSON})
_LOST_BEFORE: Final = frozenset({_F.SERVER_ERROR_BEFORE, _F.DROPPED_BEFORE})
_LOST_AFTER: Final = frozenset({_F.SERVER_ERROR_AFTER, _F.DROPPED_AFTER, _F.SLOW_ANSWER})
_GONE: Final = frozenset({_F.OFFER_GONE_400, _F.OFFER_GONE_404, _F.OFFER_GONE_410})
RETRY_AFTER_S: Final = 4.5


class WorldMarketplace:
    """Implements `ports.Marketplace`."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock

    def search(self, autogroup: Autogroup) -> list[Offer]:
        """Search, once more where the answer was cut off."""
        filters, order = search_filters(autogroup), search_order(autogroup)
        rows = self._read(Operation.SEARCH, lambda drawn: self._rows(search_body(autogroup, filters, order), drawn))
        if len(rows) == CAPPED_OFFERS:
            rows += self._read(Operation.SEARCH, lambda drawn: self._rows(search_body(autogroup, filters, CHEAPEST), drawn))
        read = {row["id"]: vast_rows.read_offer(row) for row in rows if matches(row, filters)}
        offers = [offer for one in read.values() if one is not None and (offer := one.offer(autogroup)) is not None]
        return sorted(offers, key=lambda offer: (offer.running_micro_usd_per_hour, offer.offer_id))

    def create(self, request: RentRequest) -> int:
        """Rent."""
        body = create_body(request)

        def accept(drawn: Drawn) -> int:
            ask_id, asked = request.offer.offer_id, read_order(body)
            if drawn.answer in _GONE:
                self._world.snatch(ask_id, self._now_s())
            if drawn.answer is _F.BID_IGNORED:
                asked = replace(asked, bid_micro_usd_per_hour=None)
            if drawn.answer is _F.WRONG_MACHINE:
                ask_id = self._world.mistake(ask_id, asked, self._now_s())
            granted = drawn.answer is not _F.CREATED_STOPPED
            return self._world.create(ask_id, asked, self._now_s(), fate=drawn.fate, granted=granted).contract_id

        return self._change(Operation.CREATE, accept)

    def instances(self, label_prefix: str) -> list[Instance]:
        """List."""

        def listed(drawn: Drawn) -> list[Instance]:
            contracts = self._world.listed(self._now_s())
            shown = [] if drawn.answer is _F.EMPTY_LIST else contracts
            return [self._instance(contract) for contract in shown]

        return [one for one in self._read(Operation.LIST, listed) if one.label.startswith(label_prefix)]

    def instance(self, instance_id: int) -> Instance | None:
        """Show one."""
        contract = self._read(Operation.SHOW, lambda _: self._world.show(instance_id, self._now_s()))
        return None if contract is None else self._instance(contract)

    def start(self, instance_id: int) -> bool:
        """Start, or queue."""

        def start(drawn: Drawn) -> bool:
            if drawn.answer is _F.RESOURCES_UNAVAILABLE:
                self._world.crowd_out(instance_id, self._now_s())
            self._world.start(instance_id, self._now_s())
            return True

        try:
            return self._change(Operation.START, start)
        except MarketplaceRefused as refused:
            if refused.code == "resources_unavailable":
                return False
            raise

    def stop(self, instance_id: int) -> None:
        """Stop."""
        self._change(Operation.STOP, lambda _: self._world.stop(instance_id, self._now_s()))

    def reboot(self, instance_id: int) -> None:
        """Reboot."""
        self._change(Operation.REBOOT, lambda _: self._world.reboot(instance_id, self._now_s()))

    def recycle(self, instance_id: int) -> None:
        """Recycle."""
        self._change(Operation.RECYCLE, lambda _: self._world.recycle(instance_id, self._now_s()))

    def label(self, instance_id: int, label: str) -> None:
        """Change the label."""
        self._change(Operation.LABEL, lambda _: self._world.label(instance_id, read_label(label), self._now_s()))

    def change_bid(self, instance_id: int, *, bid_micro_usd_per_hour: int) -> None:
        """Bid another price."""
        bid = bid_micro_usd_per_hour / 1_000_000
        self._change(Operation.BID, lambda _: self._world.change_bid(instance_id, read_bid(bid), self._now_s()))

    def destroy(self, instance_id: int) -> None:
        """Destroy."""
        self._change(Operation.DESTROY, lambda _: self._world.destroy(instance_id, self._now_s()))

    def destroy_all(self, instance_ids: Sequence[int]) -> None:
        """Destroy several."""

        def destroy(_drawn: Drawn) -> None:
            known = [each for each in instance_ids if self._world.show(each, self._now_s()) is not None]
            if not known:
                raise Refused(404, "instances_not_found", "No matching instances found.")
            for each in known:
                self._world.destroy(each, self._now_s())

        self._change(Operation.DESTROY, destroy)

    def logs(self, instance_id: int, *, lines: int) -> str:  # noqa: ARG002 - no process writes any
        """Return nothing."""
        if self._change(Operation.LOGS, lambda _: self._world.show(instance_id, self._now_s())) is None:
            raise InstanceGone(f"instance {instance_id} not found")
        return ""

    def credit_micro_usd(self) -> int:
        """Return the balance."""
        return self._read(Operation.ACCOUNT, lambda _: self._world.balance_micro_usd(self._now_s()))

    def _now_s(self) -> float:
        return self._clock.now_s()

    def _rows(self, body: Mapping[str, Any], drawn: Drawn) -> list[dict[str, Any]]:
        asked = without_a_filter(body, self._world.plan.rng) if drawn.answer is _F.FILTER_IGNORED else body
        query, offers = self._world.search(asked, self._now_s())
        shown = offers[:CAPPED_OFFERS] if drawn.answer is _F.SEARCH_CAPPED else offers
        now_s = to_s(self._world.now_us)
        return [{**offer.row(query.pricing), "duration": offer.term_ends_s - now_s} for offer in shown]

    def _instance(self, contract: Contract) -> Instance:
        return vast_rows.instance(instance_row(contract, self._world.now_us))

    def _read(self, operation: Operation, do: Callable[[Drawn], _T]) -> _T:
        for _ in range(READ_TRIES_MAX - 1):
            try:
                return self._change(operation, do)
            except MarketplaceThrottled:
                continue
        return self._change(operation, do)

    def _change(self, operation: Operation, do: Callable[[Drawn], _T]) -> _T:
        """Meet what the plan has for this call, or do it; what the world refuses is told as the port tells it."""
        drawn = self._world.plan.begin(operation)
        if drawn.answer in _LIMITED:
            raise MarketplaceThrottled(f"{operation}: rate limit", retry_after_s=RETRY_AFTER_S)
        if drawn.answer is _F.SEARCH_QUOTA_EXCEEDED:
            raise MarketplaceRefused("search_quota_exceeded", "simulated")
        if drawn.answer in _LOST_BEFORE:
            raise MarketplaceBusy(f"{operation}: {drawn.answer}")
        if drawn.answer is _F.CREDIT_EXHAUSTED:
            self._world.exhaust_credit(self._now_s())
        try:
            done = do(drawn)
        except Refused as refused:
            if drawn.answer in _LOST_AFTER:
                raise MarketplaceBusy(f"{operation}: {drawn.answer}") from None
            raise refusal(refused.status, refused.wire()) from None
        if drawn.answer in _LOST_AFTER:
            raise MarketplaceBusy(f"{operation}: {drawn.answer}")
        return done
