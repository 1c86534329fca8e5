"""Draw from a distribution that is known by seven quantiles.

The marketplace's marginals have heavy tails (a price of 20 $ beside a median of 0.42 $), which no textbook distribution fits
and seven points do. Between two points the value is interpolated geometrically where both are positive, since prices, speeds
and sizes spread over orders of magnitude, and linearly otherwise.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from typing import NamedTuple

AT = (0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 1.0)


class Quantiles(NamedTuple):
    """The values at 0, 5, 25, 50, 75, 95 and 100 %, ascending."""

    least: float
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float
    most: float

    def at(self, share: float) -> float:
        """Return the value below which `share` (0 to 1) of all draws lie."""
        index = min(bisect_right(AT, share), len(AT) - 1)
        low, high = self[index - 1], self[index]
        weight = (share - AT[index - 1]) / (AT[index] - AT[index - 1])
        if low > 0:
            return float(low * (high / low) ** weight)
        return low + (high - low) * weight

    def draw(self, rng: random.Random) -> float:
        """Return one value."""
        return self.at(rng.random())
