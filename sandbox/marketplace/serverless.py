"""The account's endpoints and workergroups: what the marketplace keeps of its serverless product, as records.

Records only. Nothing here scales: no instance is ever rented for a record, so an endpoint of this marketplace has no workers. Who
wants workers points the simulator at a Headgate (`--router`), whose endpoints then take the place of these.

Field names, defaults and the errors' words are the API's (its documentation and official client, August 2026). A create fills in
what is missing or null; a change keeps what is missing or null. An endpoint's `api_key` is a token of its own for routing, not
the account's key; it is derived, so that it never changes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

from functions.core.query import MalformedQuery, parse_query
from sandbox.marketplace.account import USER_ID
from sandbox.marketplace.errors import Refused, bad_request
from sandbox.marketplace.serverless_fields import ENDPOINT_FIELDS, WORKERGROUP_FIELDS, read_fields
from sandbox.marketplace.templates import Templates

RECORDS_MAX: Final = 1_000
LOG_LINES_MAX: Final = 256
_FIRST_ENDPOINT_ID: Final = 5_001
_FIRST_WORKERGROUP_ID: Final = 8_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint: `settings` are the fields of ENDPOINT_FIELDS, all of them."""

    id: int
    settings: Mapping[str, Any]
    created_at: float
    api_key: str = field(repr=False)

    @property
    def name(self) -> str:
        """What clients call it by; unique in the account."""
        return str(self.settings["endpoint_name"])

    def row(self) -> dict[str, object]:
        """Return the record as the API lists it."""
        owned = {"id": self.id, "api_key": self.api_key, "user_id": USER_ID, "created_at": self.created_at}
        return {**owned, **self.settings, "auto_delete_in_seconds": None, "auto_delete_due_24h": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workergroup:
    """One way to rent workers for an endpoint: `settings` are the fields of WORKERGROUP_FIELDS, all of them."""

    id: int
    endpoint_id: int
    settings: Mapping[str, Any]
    created_at: float

    def row(self, endpoint: Endpoint) -> dict[str, object]:
        """Return the record as the API lists it; the search is there as given and as parsed."""
        owned = {"id": self.id, "endpoint_id": self.endpoint_id, "endpoint_name": endpoint.name, "user_id": USER_ID}
        search = {"search_query": _search_query(self.settings["search_params"])}
        return {**owned, **self.settings, **search, "api_key": endpoint.api_key, "created_at": self.created_at}


@dataclass(slots=True, kw_only=True)
class Serverless:
    """All records of the account. `secret` is what endpoint tokens are derived from."""

    secret: str = field(repr=False)
    templates: Templates
    endpoints: dict[int, Endpoint] = field(default_factory=dict)
    workergroups: dict[int, Workergroup] = field(default_factory=dict)
    _logs: dict[int, deque[str]] = field(default_factory=dict)
    _endpoint_ids: count[int] = field(default_factory=lambda: count(_FIRST_ENDPOINT_ID))
    _workergroup_ids: count[int] = field(default_factory=lambda: count(_FIRST_WORKERGROUP_ID))

    def create_endpoint(self, body: Mapping[str, object], now_s: float) -> Endpoint:
        """Add an endpoint. Raises Refused (400) for bad fields and a name that is taken."""
        _require_room(self.endpoints)
        settings = read_fields(body, ENDPOINT_FIELDS)
        self._check_endpoint(settings, but=None)
        number = next(self._endpoint_ids)
        made = Endpoint(id=number, settings=settings, created_at=now_s, api_key=self._token(number))
        self.endpoints[number] = made
        self._logs[number] = deque(maxlen=LOG_LINES_MAX)
        self._log(number, now_s, f"created endpoint {made.name}")
        return made

    def change_endpoint(self, endpoint_id: int, body: Mapping[str, object], now_s: float) -> Endpoint:
        """Replace fields of an endpoint. Raises Refused (400, 404)."""
        old = self.endpoint(endpoint_id)
        settings = read_fields(body, ENDPOINT_FIELDS, old.settings)
        self._check_endpoint(settings, but=endpoint_id)
        changed = replace(old, settings=settings)
        self.endpoints[endpoint_id] = changed
        names = [name for name in settings if settings[name] != old.settings[name]]
        self._log(endpoint_id, now_s, f"changed {', '.join(names) or 'nothing'} of endpoint {changed.name}")
        return changed

    def delete_endpoint(self, endpoint_id: int) -> Endpoint:
        """Remove an endpoint with its workergroups. Raises Refused (404)."""
        gone = self.endpoint(endpoint_id)
        del self.endpoints[endpoint_id], self._logs[endpoint_id]
        self.workergroups = {number: group for number, group in self.workergroups.items() if group.endpoint_id != endpoint_id}
        return gone

    def create_workergroup(self, body: Mapping[str, object], now_s: float) -> Workergroup:
        """Add a workergroup to an endpoint. Raises Refused (400, 404)."""
        _require_room(self.workergroups)
        endpoint = self._named(body)
        settings = read_fields(body, WORKERGROUP_FIELDS)
        self._check_workergroup(settings)
        made = Workergroup(id=next(self._workergroup_ids), endpoint_id=endpoint.id, settings=settings, created_at=now_s)
        self.workergroups[made.id] = made
        self._log(endpoint.id, now_s, f"created workergroup {made.id}")
        return made

    def change_workergroup(self, workergroup_id: int, body: Mapping[str, object], now_s: float) -> Workergroup:
        """Replace fields of a workergroup, or move it to another endpoint. Raises Refused (400, 404)."""
        old = self.workergroup(workergroup_id)
        moved = body.get("endpoint_id") is not None or body.get("endpoint_name") is not None
        endpoint = self._named(body) if moved else self.endpoint(old.endpoint_id)
        settings = read_fields(body, WORKERGROUP_FIELDS, old.settings)
        self._check_workergroup(settings)
        changed = replace(old, settings=settings, endpoint_id=endpoint.id)
        self.workergroups[workergroup_id] = changed
        self._log(endpoint.id, now_s, f"changed workergroup {workergroup_id}")
        return changed

    def delete_workergroup(self, workergroup_id: int, now_s: float) -> None:
        """Remove a workergroup. Raises Refused (404)."""
        gone = self.workergroup(workergroup_id)
        del self.workergroups[workergroup_id]
        self._log(gone.endpoint_id, now_s, f"deleted workergroup {workergroup_id}")

    def endpoint(self, endpoint_id: int) -> Endpoint:
        """Return an endpoint. Raises Refused (404)."""
        found = self.endpoints.get(endpoint_id)
        if found is None:
            raise Refused(404, "not_found", f"Endpoint {endpoint_id} for user {USER_ID} not found.")
        return found

    def workergroup(self, workergroup_id: int) -> Workergroup:
        """Return a workergroup. Raises Refused (404)."""
        found = self.workergroups.get(workergroup_id)
        if found is None:
            raise Refused(404, "not_found", f"Workergroup {workergroup_id} for user {USER_ID} not found.")
        return found

    def endpoint_named(self, name: str) -> Endpoint | None:
        """Return the endpoint of this name, None if there is none."""
        return next((each for each in self.endpoints.values() if each.name == name), None)

    def log(self, endpoint_id: int, lines: int | None = None) -> str:
        """Return the last lines of what happened to an endpoint's records."""
        kept = list(self._logs[endpoint_id])
        return "\n".join(kept if lines is None else kept[max(0, len(kept) - lines) :])

    def _named(self, body: Mapping[str, object]) -> Endpoint:
        """Return the endpoint that a workergroup's body names by id, else by name."""
        number, name = body.get("endpoint_id"), body.get("endpoint_name")
        if number is not None:
            if isinstance(number, bool) or not isinstance(number, int):
                raise bad_request("endpoint_id must be a number")
            return self.endpoint(number)
        found = None if name is None else self.endpoint_named(str(name))
        if found is None:
            told = "endpoint_id or endpoint_name is required" if name is None else f"Endpoint {str(name)[:64]} not found."
            raise bad_request(told)
        return found

    def _check_endpoint(self, settings: Mapping[str, Any], *, but: int | None) -> None:
        name, most, aim = settings["endpoint_name"], settings["max_queue_time"], settings["target_queue_time"]
        if not name:
            raise bad_request("endpoint_name is required")
        taken = self.endpoint_named(name)
        if taken is not None and taken.id != but:
            raise bad_request(f"Endpoint name {name!r} is already in use.")
        if most is not None and aim is not None and aim > most:
            raise bad_request("target_queue_time must be at most max_queue_time")
        if settings["cold_workers"] > settings["max_workers"]:
            raise bad_request("cold_workers must be at most max_workers")

    def _check_workergroup(self, settings: Mapping[str, Any]) -> None:
        _search_query(settings["search_params"])
        named = {"template_hash_id": settings["template_hash"], "template_id": settings["template_id"]}
        if self.templates.for_create(named) is None and not settings["launch_args"]:
            raise bad_request("template_hash, template_id or launch_args is required")

    def _log(self, endpoint_id: int, now_s: float, text: str) -> None:
        self._logs[endpoint_id].append(f"{now_s:.3f} {text}")

    def _token(self, endpoint_id: int) -> str:
        msg = json.dumps({"endpoint_id": endpoint_id, "user_id": USER_ID})
        signature = hmac.new(self.secret.encode(), msg.encode(), hashlib.sha256).hexdigest()
        return base64.b64encode(json.dumps({"msg": msg, "signature": signature}).encode()).decode()


def _search_query(search: object) -> Mapping[str, Any]:
    """Return a search as conditions; one that came as an object is one already."""
    if isinstance(search, Mapping):
        return search
    try:
        return parse_query(str(search or ""), defaults={})
    except MalformedQuery as exc:
        raise bad_request(f"search_params: {exc}") from exc


def _require_room(records: Mapping[int, object]) -> None:
    if len(records) >= RECORDS_MAX:
        raise bad_request(f"at most {RECORDS_MAX} of these can be kept")
