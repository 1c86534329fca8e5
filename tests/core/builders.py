"""Short ways to say "a worker that is ready", "an offer for 40 cents", for tests of decisions."""

from __future__ import annotations

from typing import Any

from functions.core.lifecycle import WorkerState
from functions.core.model import (
    Assignments,
    Autogroup,
    Condition,
    EndpointGroup,
    Instance,
    Offer,
    Rental,
    WaitingRequest,
    Worker,
)
from functions.core.scaler_state import DemandSample, LearnedPerf, LoadPeak, ScalerState
from functions.core.snapshot import Snapshot
from protocol.report import Phase

NOW_S = 1_900_000_000.0
PREFIX = "headgate/test/chat/"
CENTS_40 = 400_000


def a_group(**changes: Any) -> EndpointGroup:
    """Return a group with room for ten workers and no reserve."""
    defaults: dict[str, Any] = {
        "endpoint": "chat",
        "max_workers": 10,
        "max_hourly_cost_micro_usd": 10_000_000,
        "cold_mult": 1.0,
        "target_util": 1.0,
        "test_workers": 1,
        "shortage_cost": 0.0,
        "scale_down_window": 120.0,
    }
    return EndpointGroup(**defaults | changes)


def an_autogroup(name: str = "a", **changes: Any) -> Autogroup:
    """Return an autogroup of that name."""
    return Autogroup(**{"name": name, "search_params": "", "image": "tgi"} | changes)


def an_offer(offer_id: int = 1, **changes: Any) -> Offer:
    """Return an offer of one RTX 4090 for 40 cents, on a machine of its own."""
    defaults: dict[str, Any] = {
        "offer_id": offer_id,
        "machine_id": offer_id + 1000,
        "host_id": 1,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "running_micro_usd_per_hour": CENTS_40,
        "stopped_micro_usd_per_hour": 5_000,
        "dlperf": 100.0,
        "reliability": 1.0,
    }
    return Offer(**defaults | changes)


def a_worker(number: int = 1, state: WorkerState = WorkerState.READY, *, age_s: float = 300.0, **changes: Any) -> Worker:
    """Return worker `number`, in this state since `age_s`, serving 100 load/s if READY; `changes` go to the rental."""
    since_s = NOW_S - age_s
    rented = state is not WorkerState.RENTING
    defaults: dict[str, Any] = {
        "state": state,
        "state_since_s": since_s,
        "autogroup": "a",
        "created_at_s": since_s - (0 if state in {WorkerState.RENTING, WorkerState.BOOTING} else 300),
        "instance_id": number if rented else None,
        "offer_id": number,
        "machine_id": number + 1000,
        "gpu_name": "RTX 4090",
        "running_micro_usd_per_hour": CENTS_40,
        "stopped_micro_usd_per_hour": 5_000,
        "dlperf": 100.0,
        "boot_started_at_s": since_s - (200 if state in {WorkerState.READY, WorkerState.DRAINING} else 0),
    }
    said = a_condition() if state in {WorkerState.READY, WorkerState.DRAINING} else Condition()
    return Worker(worker_id=worker_id(number), endpoint="chat", rental=Rental(**defaults | changes), condition=said)


def worker_id(number: int) -> str:
    """Return the id of worker `number`."""
    return f"w0-{number:026d}"


def a_condition(**changes: Any) -> Condition:
    """Return what a healthy, idle worker said two seconds ago."""
    defaults: dict[str, Any] = {
        "phase": Phase.READY,
        "run_id": "r",
        "seq": 1,
        "reported_at_s": NOW_S - 2,
        "url": "http://203.0.113.7:40001",
        "perf": 100.0,
    }
    return Condition(**defaults | changes)


def an_instance(number: int = 1, **changes: Any) -> Instance:
    """Return the running instance of worker `number`."""
    defaults: dict[str, Any] = {
        "instance_id": number,
        "label": PREFIX + worker_id(number),
        "status": "running",
        "running": True,
        "wants_running": True,
        "machine_id": number + 1000,
        "running_micro_usd_per_hour": CENTS_40,
        "stopped_micro_usd_per_hour": 5_000,
    }
    return Instance(**defaults | changes)


def a_request(number: int = 1, *, cost: float = 100.0, age_s: float = 3.0) -> WaitingRequest:
    """Return a request that waits and was polled a second ago."""
    return WaitingRequest(request_idx=number, cost=cost, arrived_at_s=NOW_S - age_s, polled_at_s=NOW_S - 1)


def a_state(*, load_per_s: float = 0.0, measured: bool = True, **changes: Any) -> ScalerState:
    """Return a memory of steady load over the last two minutes, of which everything was asked just now unless told otherwise."""
    defaults: dict[str, Any] = {
        "samples": (DemandSample(at_s=NOW_S - 60, assigned_load=1_000.0 - 60 * load_per_s, waiting_load=0.0),),
        "learned": {"a|RTX 4090|1": LearnedPerf(perf=100.0, samples=3, dlperf=100.0)} if measured else {},
        "peaks": (LoadPeak(from_s=NOW_S - 120, load_per_s=load_per_s),),
        "last_demand_at_s": NOW_S,
        "retired_assigned_load": 1_000.0,
    }
    return ScalerState(**defaults | changes)


def a_snapshot(*workers: Worker, **changes: Any) -> Snapshot:
    """Return a snapshot in which every held worker is listed as its state suggests."""
    listed = tuple(
        an_instance(int(worker.worker_id[3:]), running=running, wants_running=running, status="running" if running else "exited")
        for worker in workers
        for running in (worker.rental.state is not WorkerState.STOPPED,)
        if worker.rental.state not in {WorkerState.RENTING, WorkerState.DESTROYED}
    )
    defaults: dict[str, Any] = {
        "group": a_group(),
        "autogroups": (an_autogroup(),),
        "workers": workers,
        "waiting": (),
        "state": a_state(),
        "listing": listed,
        "offers": {},
    }
    return Snapshot(**defaults | changes)


def with_assignments(worker: Worker, **changes: Any) -> Worker:
    """Return the worker with these assignments."""
    return Worker(
        worker_id=worker.worker_id,
        endpoint=worker.endpoint,
        rental=worker.rental,
        condition=worker.condition,
        assignments=Assignments(**changes),
    )
