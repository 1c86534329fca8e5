"""Names of what we rent: worker ids and the label by which an instance of ours is recognised on the marketplace.

`headgate/<stack>/<endpoint>/<worker id>` is the only link between a contract and our record when the answer to a create is
lost, so the whole id is in it. A worker id is derived from the decision that makes it: deciding again from the same snapshot names
the same worker, and a repeat is harmless.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

from functions.core.lifecycle import HELD
from functions.core.model import Offer, Worker, fleet_shards, shard_of

_ID_LENGTH: Final = 26  # base32 characters: 130 bits


def label_prefix(stack: str, endpoint: str) -> str:
    """Return what the label of every instance of this group begins with."""
    return f"headgate/{stack}/{endpoint}/"


def instance_label(stack: str, endpoint: str, worker_id: str) -> str:
    """Return the label of one worker's instance."""
    return label_prefix(stack, endpoint) + worker_id


def worker_of_label(label: str) -> str:
    """Return the worker id that a label of ours names."""
    return label.rpartition("/")[2]


def new_worker_id(endpoint: str, offer: Offer, *, shard: int, now_s: float, attempt: int) -> str:
    """Return the id of a worker to rent from `offer`; `attempt` counts the workers that were made from this offer before."""
    seed = f"{endpoint}\0{offer.offer_id}\0{offer.machine_id}\0{now_s!r}\0{attempt}"
    digest = base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()
    return f"w{shard}-{digest[:_ID_LENGTH]}"


def held_shards(workers: Iterable[Worker]) -> tuple[int, ...]:
    """Return the shards in which workers are held, in order."""
    one_of_each = {one.worker_id.partition("-")[0]: one.worker_id for one in workers if one.rental.state in HELD}
    return tuple(sorted({shard_of(worker_id) for worker_id in one_of_each.values()}))


def emptiest_shard(workers: Iterable[Worker], *, max_workers: int) -> int:
    """Return the shard with the fewest held workers, the lowest on a tie: routers read shards at random, so they should be even."""
    held = Counter(shard_of(worker.worker_id) for worker in workers if worker.rental.state in HELD)
    return min(range(fleet_shards(max_workers)), key=lambda shard: (held[shard], shard))
