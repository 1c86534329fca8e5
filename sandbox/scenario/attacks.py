"""Five ways to abuse a ticket, tried against a real worker with real tickets; each must be refused with its own reason.

The expired ticket has to age for real: it is taken early (`held`) and presented when its lifetime and the tolerated clock skew
have passed, while the rest of the story goes on.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests
from nacl.signing import SigningKey

from protocol.ticket import CLOCK_SKEW_S, parse_ticket

ATTACK_COST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One abuse: which ticket goes to which worker's address, and the reason for which it must be refused."""

    name: str
    url: str
    auth: Mapping[str, Any]
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the worker answered."""

    name: str
    expected: str
    status: int
    reason: str

    @property
    def refused(self) -> bool:
        """Whether it was refused as it should be."""
        return self.status == 401 and self.reason == self.expected


def usable_from_s(ticket: Mapping[str, Any]) -> float:
    """Return from when on the held ticket counts as expired everywhere (epoch seconds)."""
    return float(ticket["expires_at"]) + CLOCK_SKEW_S + 1


def attacks(
    fresh: Mapping[str, Any], *, used: Mapping[str, Any], held: Mapping[str, Any], other_url: str | None
) -> Iterator[Attack]:
    """Yield the attacks: `fresh` is an unused ticket, `used` one that was served, `held` one that has expired unused.

    `other_url` is another worker of the same group; without one, nothing can be presented to the wrong worker.
    """
    url = str(fresh["url"])
    yield Attack(name="forged", url=url, auth=_forged(fresh), expected="bad_signature")
    yield Attack(name="altered", url=url, auth={**fresh, "cost": 1}, expected="bad_signature")
    if other_url is not None:
        yield Attack(name="another worker's", url=other_url, auth=fresh, expected="wrong_worker")
    yield Attack(name="replayed", url=str(used["url"]), auth=used, expected="replayed_ticket")
    yield Attack(name="expired", url=str(held["url"]), auth=held, expected="expired_ticket")


def judge(attack: Attack, answer: requests.Response) -> Verdict:
    """Return what the worker's answer to an attack amounts to."""
    return Verdict(name=attack.name, expected=attack.expected, status=answer.status_code, reason=_reason(answer))


def _forged(fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Sign every field correctly, with a key of the attacker's own."""
    ticket, _ = parse_ticket(fresh)
    signature = SigningKey.generate().sign(ticket.signed_bytes()).signature
    return {**fresh, "signature": base64.b64encode(signature).decode()}


def _reason(answer: requests.Response) -> str:
    try:
        return str(answer.json().get("error", ""))
    except (requests.JSONDecodeError, AttributeError):
        return ""


def seconds_until_expired(held: Mapping[str, Any]) -> float:
    """Return how long the held ticket still has to age, 0 when it is old enough."""
    return max(0.0, usable_from_s(held) - time.time())
