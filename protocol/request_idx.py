"""The number by which a client and the router speak of one request: a non-zero integer below 2**53.

Three forms, so that a router can serve a repeated number without having stored it:

* *recorded* (top bit clear): the request had to wait and has an item; 39 bits of milliseconds since 2025 and 13 random bits. Two
  requests of one millisecond may draw the same: whoever writes the item second takes another number.
* *unrecorded* (below 2**13, where no time since 2025 lies): the request was told to come back, and nothing was stored.
* *direct* (top bit set): assigned in the first reply, no item was written; 16 bits of hint naming the worker it was given to,
  36 random bits. When a client sends it again, that worker has failed it, and the hint says which to avoid.
"""

from __future__ import annotations

import random
import zlib
from typing import Final

_DIRECT: Final = 1 << 52
_HINT_BITS: Final = 16
_RANDOM_BITS: Final = 13
_EPOCH_MS: Final = 1_735_689_600_000  # 2025-01-01T00:00:00Z


def new_recorded_idx(rng: random.Random, *, now_s: float) -> int:
    """Return a number for a request that waits; later requests get larger numbers (to the millisecond)."""
    age_ms = max(1, (int(now_s * 1000) - _EPOCH_MS) % (1 << 39))
    return age_ms << _RANDOM_BITS | rng.getrandbits(_RANDOM_BITS)


def new_unrecorded_idx(rng: random.Random) -> int:
    """Return a number for a request of which nothing is stored; others may hold the same, since nothing hangs on it."""
    return rng.randrange(1, 1 << _RANDOM_BITS)


def new_direct_idx(rng: random.Random, *, worker_id: str) -> int:
    """Return a number for a request that was assigned to `worker_id` at once."""
    return _DIRECT | worker_hint(worker_id) << 36 | rng.getrandbits(36)


def is_recorded(request_idx: int) -> bool:
    """Tell whether an item may exist for this number."""
    return not request_idx & _DIRECT and not is_unrecorded(request_idx)


def is_unrecorded(request_idx: int) -> bool:
    """Tell whether nothing was stored when this number was given out."""
    return request_idx < 1 << _RANDOM_BITS


def hinted_worker(request_idx: int) -> int | None:
    """Return the hint of the worker that a direct number was assigned to, None for any other."""
    return None if not request_idx & _DIRECT else request_idx >> 36 & ((1 << _HINT_BITS) - 1)


def worker_hint(worker_id: str) -> int:
    """Return the 16-bit hint of a worker id (CRC-32 folded; a collision only costs one avoidable detour)."""
    crc = zlib.crc32(worker_id.encode())
    return (crc ^ crc >> 16) & ((1 << _HINT_BITS) - 1)
