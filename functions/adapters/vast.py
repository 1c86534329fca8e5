"""Vast.ai as our marketplace: what `ports.Marketplace` promises, in calls of its public API (https://docs.vast.ai/api-reference).

One method a call. Where the API's quirks are answered, each in one place:

* here: `success: false` under HTTP 200; a create that answers `success: false` together with a contract id has made a contract; a
  start that is refused for taken GPUs stays queued; an unknown instance reads as `null`; lists come in pages; a search is capped
  and may ignore a filter.
* `vast_bodies`: what is sent, so that a bid is never left out and a contract that cannot start is never left behind.
* `vast_rows`: blanks, nulls and garbage in what comes back.
* `vast_pace`: rate limits in four shapes, and the daily quota. `vast_http`: refusals under whatever status, lost answers, the key.
* `core.listing` and `core.verifying`: a list that lags, and a machine that is not the one that was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any, Final

from pydantic import ValidationError

from functions.adapters import vast_rows
from functions.adapters.vast_bodies import (
    CHEAPEST,
    SEARCH_LIMIT,
    body_secrets,
    create_body,
    search_body,
    search_filters,
    search_order,
)
from functions.adapters.vast_http import Call, VastHttp
from functions.core.matching import matches
from functions.core.model import Autogroup, Instance, Offer
from functions.core.pricing import MICRO_USD_PER_USD
from functions.ports import DESTROYED_AT_ONCE_MAX, Clock, InstanceGone, MarketplaceBusy, RentRequest

# Third parties got at most 64 offers whatever they asked for, in some periods. An answer of exactly so many was cut off.
CUT_OFF_AT: Final = frozenset({64, SEARCH_LIMIT})
PAGE_SIZE: Final = 25  # the API's own maximum
PAGES_MAX: Final = 400
LOG_POLLS_MAX: Final = 30  # of LOG_POLL_S each, as the official client does
LOG_POLL_S: Final = 0.3
LOG_LENGTH_MAX: Final = 256 * 1024
_INSTANCES: Final = "/api/v0/instances/"
_QUEUED: Final = "resources_unavailable"

_LOG = logging.getLogger(__name__)


class VastMarketplace:
    """Implements `ports.Marketplace`."""

    def __init__(self, http: VastHttp, *, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    def search(self, autogroup: Autogroup) -> list[Offer]:
        """Search, a second time in another order where the first answer was cut off, so that the cheap ones are not lost."""
        filters, order = search_filters(autogroup), search_order(autogroup)
        rows = self._search(search_body(autogroup, filters, order))
        if len(rows) in CUT_OFF_AT and order != CHEAPEST:
            with suppress(MarketplaceBusy):  # half of the market is better than none
                rows += self._search(search_body(autogroup, filters, CHEAPEST))
        return _offers(rows, autogroup, filters)

    def create(self, request: RentRequest) -> int:
        """Accept the offer, only if it can start now."""
        path = f"/api/v0/asks/{request.offer.offer_id}/"
        call = Call(kind="create", method="PUT", path=path, body=create_body(request), secrets=body_secrets(request))
        answer = self._http.send(call)
        contract = answer.get("new_contract")
        if isinstance(contract, int) and not isinstance(contract, bool) and contract > 0:
            return contract  # also with success false: it exists, stopped, and bills storage
        if answer.get("success"):
            raise MarketplaceBusy("create: the answer names no contract")
        raise self._http.refusal(call, answer)

    def instances(self, label_prefix: str) -> list[Instance]:
        """List page by page. Raises MarketplaceBusy rather than return a part."""
        found: list[Instance] = []
        params = {"limit": str(PAGE_SIZE), "order_by": '[{"col":"id","dir":"asc"}]'}
        for _ in range(PAGES_MAX):
            call = Call(kind="list", method="GET", path="/api/v1/instances/", params=params, repeatable=True)
            answer = self._http.send(call)
            # Told apart before they are read: a strange row of someone else's must not hide ours.
            rows = (row for row in _rows(answer, "instances") if vast_rows.label_of(row).startswith(label_prefix))
            found += (_instance(row) for row in rows)
            token = str(answer.get("next_token") or "")
            if not token:
                return found
            if token == params.get("after_token"):
                raise MarketplaceBusy("list: the same page over and over")
            params = {**params, "after_token": token}
        raise MarketplaceBusy(f"list: more than {PAGES_MAX} pages")

    def instance(self, instance_id: int) -> Instance | None:
        """Show one; `null` or `no_such_instance` is the authoritative "no"."""
        call = Call(kind="show", method="GET", path=f"/api/v0/instances/{instance_id}/", params={"owner": "me"}, repeatable=True)
        try:
            answer = self._http.send(call)
        except InstanceGone:
            return None
        if "instances" not in answer:
            raise MarketplaceBusy("show: the answer holds no instance and does not say that there is none")
        row = answer["instances"]
        return None if row is None else _instance(row)

    def start(self, instance_id: int) -> bool:
        """Ask to run; False when that is queued."""
        call = _change(instance_id, {"state": "running"})
        answer = self._http.send(call)
        if not answer.get("success") and answer.get("error") == _QUEUED:
            return False
        self._check(call, answer)
        return True

    def stop(self, instance_id: int) -> None:
        """Ask to stop."""
        self._do(_change(instance_id, {"state": "stopped"}))

    def reboot(self, instance_id: int) -> None:
        """Ask for a stop and a start."""
        self._do(Call(kind="reboot", method="PUT", path=f"/api/v0/instances/reboot/{instance_id}/", body={}))

    def recycle(self, instance_id: int) -> None:
        """Ask for a new container."""
        self._do(Call(kind="recycle", method="PUT", path=f"/api/v0/instances/recycle/{instance_id}/", body={}))

    def label(self, instance_id: int, label: str) -> None:
        """Change the label."""
        self._do(_change(instance_id, {"label": label}))

    def change_bid(self, instance_id: int, *, bid_micro_usd_per_hour: int) -> None:
        """Bid another price."""
        body = {"client_id": "me", "price": bid_micro_usd_per_hour / MICRO_USD_PER_USD}
        self._do(Call(kind="bid", method="PUT", path=f"/api/v0/instances/bid_price/{instance_id}/", body=body))

    def destroy(self, instance_id: int) -> None:
        """Destroy; everything on its disk is lost."""
        self._do(Call(kind="destroy", method="DELETE", path=f"/api/v0/instances/{instance_id}/", body={}))

    def destroy_all(self, instance_ids: Sequence[int]) -> None:
        """Destroy several."""
        assert 0 < len(instance_ids) <= DESTROYED_AT_ONCE_MAX, f"{len(instance_ids)} instances in one call"
        self._do(Call(kind="destroy", method="DELETE", path=_INSTANCES, body={"instance_ids": list(instance_ids)}))

    def logs(self, instance_id: int, *, lines: int) -> str:
        """Ask for the log to be put somewhere, then read it there, without our key: the address is a stranger's."""
        path = f"/api/v0/instances/request_logs/{instance_id}/"
        call = Call(kind="logs", method="PUT", path=path, body={"tail": str(lines)})
        answer = self._http.send(call)
        url = answer.get("result_url")
        if not self._http.may_fetch(url):
            raise self._http.refusal(call, answer)
        for _ in range(LOG_POLLS_MAX):
            text = self._http.fetch_text(url)
            if text is not None:
                return text[-LOG_LENGTH_MAX:]
            self._clock.wait_s(LOG_POLL_S)
        raise MarketplaceBusy("logs: not there in time")

    def credit_micro_usd(self) -> int:
        """Read the account."""
        answer = self._http.send(Call(kind="account", method="GET", path="/api/v0/users/current/", repeatable=True))
        try:
            credit_usd = Decimal(str(answer["credit"]))
            return int((credit_usd * MICRO_USD_PER_USD).to_integral_value(ROUND_FLOOR))
        except (KeyError, InvalidOperation, ValueError, OverflowError):
            raise MarketplaceBusy("account: the answer names no credit") from None

    def _search(self, body: Mapping[str, Any]) -> list[Any]:
        answer = self._http.send(Call(kind="search", method="POST", path="/api/v0/bundles/", body=body, repeatable=True))
        rows = answer.get("offers")
        if not isinstance(rows, list):
            raise MarketplaceBusy("search: the answer holds no list of offers")
        return rows

    def _do(self, call: Call) -> None:
        self._check(call, self._http.send(call))

    def _check(self, call: Call, answer: Mapping[str, Any]) -> None:
        if not answer.get("success"):
            raise self._http.refusal(call, answer)


def _change(instance_id: int, body: Mapping[str, str]) -> Call:
    return Call(kind="change", method="PUT", path=f"/api/v0/instances/{instance_id}/", body=body)


def _offers(rows: list[Any], autogroup: Autogroup, filters: Mapping[str, Mapping[str, Any]]) -> list[Offer]:
    """Return the offers of these rows that are what was asked for, each once, cheapest first."""
    readable = [(row, read) for row in rows if isinstance(row, dict) and (read := vast_rows.read_offer(row)) is not None]
    matching = [read for row, read in readable if matches(row, filters)]
    if strange := len(rows) - len(readable):
        _LOG.warning("search for %s: %d of %d offers cannot be read", autogroup.name, strange, len(rows))
    if ignored := len(readable) - len(matching):
        _LOG.info("search for %s: %d offers are not what was asked for", autogroup.name, ignored)
    offers = {read.id: offer for read in matching if (offer := read.offer(autogroup)) is not None}
    return sorted(offers.values(), key=lambda offer: (offer.running_micro_usd_per_hour, offer.offer_id))


def _rows(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = answer.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MarketplaceBusy(f"the answer holds no list of {name}")
    return rows


def _instance(row: Mapping[str, Any]) -> Instance:
    try:
        return vast_rows.instance(row)
    except ValidationError as exc:
        raise MarketplaceBusy(f"an instance cannot be read: {exc.error_count()} fields") from None
