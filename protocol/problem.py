"""What a caller is told when a request cannot be served: a stable code, a sentence, the field and the remedy.

Wire: `{"error": code, "error_msg": sentence, "field": name, "remedy": sentence}`; `error_msg` is the key that Vast's clients read,
`field` and `remedy` are absent where they do not apply. A problem never repeats a secret, a ticket or a body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VALUE_LENGTH_MAX: Final = 60
ROUTE_AGAIN: Final = "route the request again"


def shown(value: object) -> str:
    """Return a refused value for a message: as JSON would write it, cut where it is long, its kind alone where it is compound."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int) and value.bit_length() > VALUE_LENGTH_MAX:
        return "a number of so many digits"  # Python refuses to write thousands of them
    if not isinstance(value, str | int | float):
        return "an array" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= VALUE_LENGTH_MAX else text[:VALUE_LENGTH_MAX] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal: `status` is the HTTP status, `code` is stable across versions.

    `retry_after_s` travels as the header `Retry-After`, in whole seconds.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    remedy: str | None = None
    retry_after_s: int | None = None

    def wire(self) -> dict[str, str]:
        """Return the JSON object of the answer."""
        told = {"error": self.code, "error_msg": self.message, "field": self.field, "remedy": self.remedy}
        return {key: text for key, text in told.items() if text is not None}


class RequestRefused(Exception):
    """Raised where the fault is found, answered in one place: the handler writes `problem.wire()`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem
