"""What Vast's own workers verify: for each generation, which fields of a reply are signed, and the exact text of them.

A worker says by the `version` of its reports which generation it is of:

| version | worker | signed |
|---|---|---|
| none | the pyworkers of 2024 and early 2025 | cost, endpoint, reqnum, url |
| `1.0.0` | vastai-sdk 0.3 | cost, endpoint, reqnum, request_idx, url |
| `1.1.0` and later | vastai-sdk 0.4.2 to vastai 1.9.1 | url |

Each parses the reply and writes these fields down again as Python's json does with an indent of four, keys sorted; the signature is
RSA (PKCS#1 v1.5, SHA-256) over that text. So the reply must hold the very values that were signed: a whole cost goes out as an
integer, since a client in JavaScript drops the point of 200.0 and the worker would write down another number.

The newest generation signs neither number nor time: whoever holds one of its tickets may use it again. That is Vast's protocol, and
no choice of the router's (docs/protocol.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from protocol.ticket import Ticket

VERSION_NONE: Final = ""  # the key is absent from the report
VERSION_0_3: Final = "1.0.0"
_OURS: Final = "headgate/"

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    VERSION_NONE: ("cost", "endpoint", "reqnum", "url"),
    VERSION_0_3: ("cost", "endpoint", "reqnum", "request_idx", "url"),
}
_FIELDS_SINCE: Final = ("url",)


def is_vast(version: str) -> bool:
    """Tell whether a worker that reports this version is one of Vast's."""
    return not version.startswith(_OURS)


def vast_reply(ticket: Ticket, signature: bytes) -> dict[str, Any]:
    """Return the reply as it goes to a client of Vast's workers, before its signature is replaced by theirs."""
    cost = int(ticket.cost) if float(ticket.cost).is_integer() else ticket.cost
    return {**ticket.wire(signature), "cost": cost}


def vast_message(version: str, reply: Mapping[str, Any]) -> bytes:
    """Return the bytes that a worker of this version verifies for a reply."""
    signed = {name: reply[name] for name in _FIELDS.get(version, _FIELDS_SINCE)}
    return json.dumps(signed, indent=4, sort_keys=True).encode()
