"""What was rented is compared with what was offered, as far as its row tells."""

from __future__ import annotations

from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.verifying import mismatch
from tests.core.builders import a_worker, an_instance

BID = {"bid_micro_usd_per_hour": 390_000}


@pytest.mark.parametrize(
    ("rental", "instance", "said"),
    [
        ({}, {}, None),
        ({}, {"gpu_name": "RTX 4090", "num_gpus": 1, "interruptible": False}, None),
        ({}, {"gpu_name": "", "num_gpus": 0, "interruptible": None, "machine_id": 0, "running_micro_usd_per_hour": 0}, None),
        ({}, {"machine_id": 77}, "machine 77 instead of 1001 as offered"),
        ({}, {"gpu_name": "RTX 3090"}, "a RTX 3090 instead of a RTX 4090 as offered"),
        ({}, {"num_gpus": 2}, "2 GPUs instead of 1 as offered"),
        ({}, {"interruptible": True}, "rented by a bid although none was asked"),
        (BID, {"interruptible": True}, None),
        (BID, {"interruptible": False}, "rented on demand although a bid was asked"),
        (BID, {"interruptible": None}, None),
        ({}, {"running_micro_usd_per_hour": 412_000}, None),
        ({}, {"running_micro_usd_per_hour": 412_001}, "billed $0.4120 an hour, offered at $0.4000"),
        ({}, {"running_micro_usd_per_hour": 100_000}, None),
    ],
)
def test_an_instance_is_held_to_its_offer(rental: dict[str, Any], instance: dict[str, Any], said: str | None) -> None:
    rented = a_worker(1, WorkerState.BOOTING, **rental).rental

    assert mismatch(rented, an_instance(1, **instance)) == said
