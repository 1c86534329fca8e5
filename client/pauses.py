"""How long to wait before asking again. Pure: randomness is an argument."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

EXPONENT_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSchedule:
    """The first poll after `first_s`, later ones after a random time that grows to `longest_s` (the schedule of Vast's client)."""

    first_s: float = 1.0
    shortest_s: float = 0.1
    longest_s: float = 5.0

    def poll_s(self, polls: int, rng: random.Random) -> float:
        """Return how long to wait after the `polls`-th waiting answer, the first being 0."""
        if polls == 0:
            return self.first_s
        return rng.uniform(self.shortest_s, self._grown_s(polls, rng))

    def retry_s(self, attempts: int, rng: random.Random) -> float:
        """Return how long to wait after the `attempts`-th failure in a row, the first being 1, which is retried at once."""
        return 0.0 if attempts <= 1 else self._grown_s(attempts - 2, rng)

    def _grown_s(self, steps: int, rng: random.Random) -> float:
        grown_s: float = self.first_s * 2 ** min(steps, EXPONENT_MAX) + rng.uniform(0, self.first_s)
        return max(self.shortest_s, min(grown_s, self.longest_s))
