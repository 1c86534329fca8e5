"""Which worker a session belongs to, so that its requests find what the worker still holds of the last one (a prefix in its cache).

*Rendezvous hashing.* Every worker has a weight for every key, drawn by a hash of the two; the key belongs to the worker with the
greatest. Nothing is stored, every router agrees, and when a worker leaves, its keys alone move, each to the worker that was second
for it; one that joins takes its share from all others alike (Thaler and Ravishankar, 1998). Weights are scaled so that a worker's
share of keys is its share of performance: `perf / -ln(u)` for a `u` that is uniform in (0, 1) (Schindelhauer and Schomaker, 2005).

*Bounds.* A key is a wish. It never lifts a worker's ceiling, and its request goes to the first in its order that would have
finished it at most `extra_s_max` later than the one that is soonest, which itself always qualifies. So a crowd on one key spreads
over as many workers as it needs, in the same order each time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

# Of `max_queue_time`: what a request may wait longer for the worker that knows its session. At the default that is 3 s, about what
# it takes to read a long prompt again.
EXTRA_SHARE: Final = 0.1

_MASK: Final = 2**64 - 1
_HASHES_KEPT: Final = 16_384  # of worker ids: more than a group may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """A session's wish. `seed` is the hash of its key; the key itself is kept nowhere."""

    seed: int
    extra_s_max: float

    @classmethod
    def of(cls, key: str, *, max_queue_time: float) -> Self:
        """Return the wish of this key in a group with that limit of queues, in seconds."""
        return cls(seed=_hash(key), extra_s_max=EXTRA_SHARE * max_queue_time)

    def weight(self, name: str, perf: float) -> float:
        """Return how much the key belongs to the worker of this name; the greatest has it."""
        return perf / -math.log(_uniform(_hash_of_name(name) ^ self.seed))

    def home(self, shards: Iterable[int]) -> int:
        """Return the shard in which the key's worker is looked for first, so that a large fleet need not be read whole."""
        return max(shards, key=lambda shard: _mixed(shard * 0x9E3779B97F4A7C15 & _MASK ^ self.seed))


def _uniform(bits: int) -> float:
    return ((_mixed(bits) >> 12) + 0.5) / 2**52  # 52 bits: neither 0 nor 1 comes of rounding


def _mixed(bits: int) -> int:
    # The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input changes half of the output's.
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31


@lru_cache(maxsize=_HASHES_KEPT)
def _hash_of_name(name: str) -> int:
    return _hash(name)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8])
