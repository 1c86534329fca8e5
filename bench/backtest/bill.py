"""The bill: what every machine cost in every state it was in, exact to the micro-dollar.

Time is kept in whole milliseconds and prices in whole micro-dollars per hour, so that sums are integers and cannot drift; one
division at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

MS_PER_HOUR: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A machine in one state: from, until (milliseconds), and what an hour of it costs."""

    machine: int
    from_ms: int
    until_ms: int
    micro_usd_per_hour: int


class Bill:
    """Adds up spans. A machine has one price at a time; changing it closes the span before."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._open: dict[int, tuple[int, int]] = {}

    def price(self, machine: int, micro_usd_per_hour: int, *, now_s: float) -> None:
        """Bill this machine at this price from now on; 0 ends it."""
        now_ms = round(now_s * 1_000)
        from_ms, before = self._open.pop(machine, (now_ms, 0))
        if before and now_ms > from_ms:
            self.spans.append(Span(machine=machine, from_ms=from_ms, until_ms=now_ms, micro_usd_per_hour=before))
        if micro_usd_per_hour:
            self._open[machine] = (now_ms, micro_usd_per_hour)

    def begin(self, *, now_s: float) -> None:
        """Forget what was billed before now; what bills goes on billing."""
        self.spans.clear()
        self._open = {machine: (round(now_s * 1_000), price) for machine, (_, price) in self._open.items()}

    def close(self, *, now_s: float) -> None:
        """End everything."""
        for machine in list(self._open):
            self.price(machine, 0, now_s=now_s)

    def total_micro_usd(self) -> Fraction:
        """Return the sum, exactly."""
        return Fraction(sum((span.until_ms - span.from_ms) * span.micro_usd_per_hour for span in self.spans), MS_PER_HOUR)
