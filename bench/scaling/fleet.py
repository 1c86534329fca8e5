"""Groups of any size, as the scaler would see them: every field filled as in service, from one seed."""

from __future__ import annotations

import random
from typing import Final

from functions.core.labels import instance_label
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
    fleet_shards,
)
from functions.core.scaler_state import DemandSample, LearnedPerf, ScalerState
from functions.core.snapshot import OFFERS_MAX, Snapshot
from protocol.report import Phase

NOW_S: Final = 1_900_000_000.0
ENDPOINT: Final = "llm"
STACK: Final = "bench"
GPUS: Final = ("RTX 4090", "RTX 3090", "A100 SXM4", "H100 SXM")
AUTOGROUPS: Final = (Autogroup(name="small", search_params="num_gpus=1"), Autogroup(name="large", search_params="num_gpus>=2"))
PERF: Final = 100.0
WAITING: Final = 1_000  # requests that wait while a group is busy


def a_fleet(workers: int, *, busy: bool) -> Snapshot:
    """Return a group with so many workers in service, well sized; `busy`: a thousand requests wait, and the market is known."""
    rng = random.Random(1)
    fleet = tuple(_worker(number, workers, rng) for number in range(workers))
    load_per_s = 0.6 * workers * PERF
    given = sum(worker.assignments.assigned_load for worker in fleet)
    return Snapshot(
        group=EndpointGroup(endpoint=ENDPOINT, max_workers=2 * workers + 10, max_hourly_cost_micro_usd=100_000_000_000),
        autogroups=AUTOGROUPS,
        workers=fleet,
        waiting=tuple(_waiting(number) for number in range(WAITING)) if busy else (),
        state=_memory(load_per_s, given),
        listing=tuple(map(_instance, fleet)),
        offers={autogroup.name: tuple(_offer(number, rng) for number in range(OFFERS_MAX)) for autogroup in AUTOGROUPS}
        if busy
        else {},
    )


def _memory(load_per_s: float, given: float) -> ScalerState:
    ages = [5.0 * number for number in range(1, 60)][::-1]
    samples = (DemandSample(at_s=NOW_S - age, assigned_load=max(0.0, given - age * load_per_s), waiting_load=0.0) for age in ages)
    learned = {
        f"{autogroup.name}|{gpu}|1": LearnedPerf(perf=PERF, samples=20, dlperf=80.0) for autogroup in AUTOGROUPS for gpu in GPUS
    }
    return ScalerState(samples=tuple(samples), learned=learned, last_demand_at_s=NOW_S)


def _worker(number: int, workers: int, rng: random.Random) -> Worker:
    since_s = NOW_S - rng.uniform(600.0, 90_000.0)
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    finished = round(rng.uniform(1e5, 1e6), 3)
    return Worker(
        worker_id=f"w{number % fleet_shards(2 * workers + 10)}-{''.join(rng.choice(letters) for _ in range(26))}",
        endpoint=ENDPOINT,
        rental=Rental(
            state=WorkerState.READY,
            state_since_s=since_s,
            autogroup=rng.choice(AUTOGROUPS).name,
            created_at_s=since_s - 200,
            instance_id=30_000_000 + number,
            offer_id=20_000_000 + number,
            machine_id=10_000 + number,
            gpu_name=rng.choice(GPUS),
            running_micro_usd_per_hour=rng.randrange(200_000, 900_000),
            stopped_micro_usd_per_hour=4_000,
            dlperf=round(rng.uniform(60.0, 120.0), 2),
            reason="measured at 103.2 load/s",
            boot_started_at_s=since_s - 200,
        ),
        condition=Condition(
            phase=Phase.READY,
            run_id=f"{rng.getrandbits(128):032x}",
            seq=rng.randrange(100_000),
            reported_at_s=NOW_S - rng.uniform(0.1, 8.0),
            url=f"https://203.0.113.{number % 250}:{30_000 + number % 30_000}",
            perf=round(rng.uniform(80.0, 120.0), 3),
            slots=32,
            loadtime_s=41.5,
            received_load=finished,
            finished_load=finished,
            in_flight=1,
            finished_requests=rng.randrange(10_000),
            cert_sha256=f"{rng.getrandbits(256):064x}",
        ),
        assignments=Assignments(
            assigned_load=finished, reqnum=rng.randrange(1, 10_000), ticket_expires_at_s=NOW_S + rng.uniform(0.0, 60.0)
        ),
    )


def _instance(worker: Worker) -> Instance:
    rental = worker.rental
    assert rental.instance_id is not None
    return Instance(
        instance_id=rental.instance_id,
        label=instance_label(STACK, ENDPOINT, worker.worker_id),
        status="running",
        running=True,
        wants_running=True,
        message="success, running worker/args",
        machine_id=rental.machine_id,
        gpu_name=rental.gpu_name,
        num_gpus=1,
        interruptible=False,
        running_micro_usd_per_hour=rental.running_micro_usd_per_hour,
        stopped_micro_usd_per_hour=rental.stopped_micro_usd_per_hour,
    )


def _offer(number: int, rng: random.Random) -> Offer:
    return Offer(
        offer_id=40_000_000 + number,
        machine_id=50_000 + number,
        host_id=60_000 + number // 4,
        gpu_name=rng.choice(GPUS),
        num_gpus=1,
        running_micro_usd_per_hour=rng.randrange(200_000, 900_000),
        stopped_micro_usd_per_hour=4_000,
        dlperf=round(rng.uniform(60.0, 120.0), 2),
        reliability=0.995,
    )


def _waiting(number: int) -> WaitingRequest:
    asked_s = NOW_S - 10.0 + number / 1_000
    return WaitingRequest(request_idx=number + 1, cost=200.0, arrived_at_s=asked_s, polled_at_s=NOW_S - 1.0)
