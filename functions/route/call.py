"""What a client asks of `/route/`: parsed, limited, with defaults; and what it is answered."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from functions.ports import Signer
from protocol.problem import Problem, RequestRefused, shown
from protocol.ticket import COST_MAX, COST_MIN, INTEGER_MAX, Ticket
from protocol.vast_signature import is_vast, vast_message, vast_reply

BODY_BYTES_MAX: Final = 8_192
COST_DEFAULT: Final = 1.0
# Costs are kept to a millionth: DynamoDB adds decimals of 38 digits, and no backend measures finer.
COST_DECIMALS: Final = 6
SECONDS_MAX: Final = 86_400
SESSION_LENGTH_MAX: Final = 256
# The names that a stack file may use (infra's settings accept 48 characters), and nothing that could leave its place in a key.
ENDPOINT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCall:
    """One call. `request_idx` is 0 for a new request.

    `latency_s`: how many seconds the client expects one worker to need, None if it gave a cost or said nothing. `replay_timeout_s`:
    after how many seconds it gives up on a worker, None for never. `session`: what requests share that should meet the same worker.
    """

    endpoint: str
    cost: float = COST_DEFAULT
    request_idx: int = 0
    latency_s: float | None = None
    replay_timeout_s: float | None = None
    session: str = field(default="", repr=False)

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Read a body, ignoring unknown keys. Raises RequestRefused (400) naming the first bad field."""
        return cls(
            endpoint=_endpoint(body),
            cost=_cost(body),
            request_idx=_request_idx(body),
            latency_s=None if "cost" in body else _seconds(body, "latency"),
            replay_timeout_s=_seconds(body, "replay_timeout"),
            session=_session(body),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The request may go to a worker: its ticket, signed, and the answer that carries it in the form that the worker reads."""

    ticket: Ticket
    reply: Mapping[str, Any] = field(repr=False)

    @classmethod
    def signed(cls, ticket: Ticket, *, version: str, signer: Signer) -> Self:
        """Sign a ticket for a worker of this version. Raises UnreadableItem."""
        signature = signer.sign(ticket.signed_bytes())
        if not is_vast(version):
            return cls(ticket=ticket, reply=ticket.wire(signature))
        reply = vast_reply(ticket, signature)
        theirs = base64.b64encode(signer.sign_rsa(vast_message(version, reply))).decode()
        return cls(ticket=ticket, reply={**reply, "signature": theirs})

    def wire(self) -> dict[str, Any]:
        """Return the JSON object of the answer."""
        return dict(self.reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The request has to wait: its number to ask again with, why, and how many came before it."""

    endpoint: str
    request_idx: int
    status: str
    waiting_ahead: int

    def wire(self) -> dict[str, Any]:
        """Return the JSON object of the answer. It never has a `url`: that is what clients tell the answers apart by."""
        told = {"endpoint": self.endpoint, "request_idx": self.request_idx, "status": self.status}
        return {**told, "waiting_ahead": self.waiting_ahead}


def _endpoint(body: Mapping[str, Any]) -> str:
    name = body.get("endpoint")
    if not isinstance(name, str) or ENDPOINT_NAME.fullmatch(name) is None:
        raise _invalid("endpoint", name, "send the name of an endpoint group: letters, digits, '-' and '_', at most 64")
    return name


def _cost(body: Mapping[str, Any]) -> float:
    cost = body.get("cost", COST_DEFAULT)
    # The comparison is false for NaN, and no conversion meets an integer of a thousand digits before it.
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost <= COST_MAX:
        raise _invalid("cost", cost, f"send a number from 0 to {COST_MAX:.0f}, in the load units of the endpoint's backend")
    return within_bounds(float(cost))


def within_bounds(cost: float) -> float:
    """Return a cost that a ticket may carry."""
    return min(max(round(cost, COST_DECIMALS), COST_MIN), COST_MAX)


def _seconds(body: Mapping[str, Any], name: str) -> float | None:
    """Return a duration, None for one that is not there or 0, by which older clients say that they do not know."""
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= SECONDS_MAX):
        raise _invalid(name, value, f"send a number of seconds from 0 to {SECONDS_MAX}, or nothing")
    return float(value) if value else None


def _session(body: Mapping[str, Any]) -> str:
    session = body.get("session")
    if session is not None and (not isinstance(session, str) or len(session) > SESSION_LENGTH_MAX):
        raise _invalid("session", session, f"send a text of at most {SESSION_LENGTH_MAX} characters, or nothing")
    return session or ""


def _request_idx(body: Mapping[str, Any]) -> int:
    idx = body.get("request_idx")
    if idx is None:
        return 0
    if isinstance(idx, bool) or not isinstance(idx, int | float) or not 0 <= idx < INTEGER_MAX or idx != int(idx):
        raise _invalid("request_idx", idx, "send the number of an earlier answer, or 0 for a new request")
    return int(idx)


def _invalid(field: str, value: Any, remedy: str) -> RequestRefused:
    message = f"{field} cannot be {shown(value)}"
    return RequestRefused(Problem(status=400, code="invalid_field", message=message, field=field, remedy=remedy))
