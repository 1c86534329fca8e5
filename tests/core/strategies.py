"""Arbitrary snapshots: any fleet, any list, any memory, also ones that no history would lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from functions.core.civil_time import Zone
from functions.core.cron import Cron
from functions.core.lifecycle import WorkerState
from functions.core.model import (
    Assignments,
    Condition,
    EndpointState,
    Instance,
    Offer,
    Schedule,
    ScheduledParameters,
    WaitingRequest,
    Worker,
)
from functions.core.scaler_state import Avoided, BootRecord, DemandSample, Halt, LastingLoad, LearnedPerf, LoadPeak, ScalerState
from functions.core.snapshot import Snapshot
from protocol.report import Phase
from tests.core.builders import NOW_S, PREFIX, a_group, a_worker, an_autogroup, an_offer, worker_id

AUTOGROUPS = ("a", "b", "gone")
GPUS = ("RTX 4090", "H100")
WORKERS_MAX = 8
ALWAYS = Cron(text="* * * * ? *")

ages_s = st.one_of(st.sampled_from((0.0, 1.0, 44.0, 46.0, 61.0, 119.0, 121.0, 301.0, 601.0, 901.0)), st.floats(0, 2_000))
moments_s = ages_s.map(lambda age_s: NOW_S - age_s)
loads = st.one_of(st.just(0.0), st.floats(0, 5_000))
perfs = st.one_of(st.just(0.0), st.floats(1, 500))
prices = st.integers(1, 3_000_000)
counts = st.floats(0, 40)
boot_records = st.builds(BootRecord, ready=counts, failed=counts, boot_s=st.floats(0, 900), at_s=moments_s)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Draw what a worker said."""
    return Condition(
        phase=draw(st.sampled_from(Phase)),
        run_id="r",
        seq=1,
        reported_at_s=draw(st.one_of(st.just(0.0), st.just(NOW_S - 1), moments_s)),
        url=draw(st.sampled_from(("", "http://203.0.113.7:40001"))),
        perf=draw(perfs),
        in_flight=draw(st.integers(0, 3)),
        error="boom",
    )


@st.composite
def workers(draw: st.DrawFn, number: int) -> Worker:
    """Draw worker `number`."""
    state = draw(st.sampled_from(WorkerState))
    known = state is not WorkerState.RENTING and (state is not WorkerState.DESTROYED or draw(st.booleans()))
    worker = a_worker(
        number,
        state,
        age_s=draw(ages_s),
        autogroup=draw(st.sampled_from(AUTOGROUPS)),
        gpu_name=draw(st.sampled_from(GPUS)),
        instance_id=number if known else None,
        machine_id=draw(st.integers(1001, 1010)),
        running_micro_usd_per_hour=draw(prices),
        drain_to=draw(st.sampled_from((WorkerState.STOPPING, WorkerState.DESTROYING))) if state is WorkerState.DRAINING else None,
        boot_started_at_s=draw(moments_s),
    )
    given_load, expires_s = draw(loads), draw(st.one_of(st.just(0.0), moments_s, st.just(NOW_S + 30)))
    assignments = Assignments(assigned_load=given_load, reqnum=1, ticket_expires_at_s=expires_s)
    return replace(worker, condition=draw(conditions()), assignments=assignments)


@st.composite
def instances(draw: st.DrawFn, number: int) -> Instance:
    """Draw an instance that may or may not be what worker `number` expects."""
    return Instance(
        instance_id=draw(st.sampled_from((number, number + 100))),
        label=PREFIX + draw(st.sampled_from((worker_id(number), "stranger"))),
        status="any",
        running=draw(st.booleans()),
        wants_running=draw(st.booleans()),
        failed=draw(st.booleans()),
        message="a message",
        machine_id=draw(st.sampled_from((0, 1001, 1002))),
        running_micro_usd_per_hour=draw(st.one_of(st.just(0), prices)),
    )


@st.composite
def offers(draw: st.DrawFn, first: int) -> tuple[Offer, ...]:
    """Draw the offers of one autogroup."""
    return tuple(
        an_offer(
            first + index,
            machine_id=draw(st.integers(1001, 1012)),
            gpu_name=draw(st.sampled_from(GPUS)),
            running_micro_usd_per_hour=draw(st.one_of(st.just(0), prices)),
            dlperf=draw(st.one_of(st.just(0.0), st.floats(1, 500))),
            reliability=draw(st.floats(0, 1)),
            up_micro_usd_per_gb=draw(st.sampled_from((0, 10_000))),
            down_micro_usd_per_gb=draw(st.sampled_from((0, 10_000))),
            down_mbit_per_s=draw(st.sampled_from((0.0, 5.0, 800.0))),
            ends_in_s=draw(st.sampled_from((None, 0.0, 3_600.0))),
        )
        for index in range(draw(st.integers(0, 4)))
    )


@st.composite
def states(draw: st.DrawFn) -> ScalerState:
    """Draw what the scaler remembers."""
    moments_and_loads = st.lists(st.tuples(moments_s, loads, loads), max_size=4)
    samples = draw(moments_and_loads)
    keys = st.sampled_from([f"{name}|{gpu}|1" for name in AUTOGROUPS for gpu in GPUS])
    since_s = st.one_of(st.none(), moments_s)
    return ScalerState(
        samples=tuple(DemandSample(at_s=at_s, assigned_load=given, waiting_load=wait) for at_s, given, wait in sorted(samples)),
        learned=draw(
            st.dictionaries(
                keys,
                st.builds(
                    LearnedPerf,
                    perf=st.floats(1, 500),
                    samples=st.integers(1, 5),
                    dlperf=perfs,
                    deviations=st.floats(0, 2),
                    measured_at_s=st.sampled_from((0.0, NOW_S)),
                ),
                max_size=3,
            )
        ),
        avoided=tuple(
            draw(st.lists(st.builds(Avoided, machine_id=st.integers(1001, 1012), until_s=moments_s, reason=st.just("x"))))
        ),
        last_demand_at_s=draw(since_s),
        peaks=tuple(LoadPeak(from_s=at_s, load_per_s=load) for at_s, load, _ in sorted(draw(moments_and_loads))),
        lasting=draw(st.one_of(st.none(), st.builds(LastingLoad, at_s=moments_s, load_per_s=loads))),
        halted_until_s=draw(st.sampled_from((0.0, NOW_S + 60))),
        halted_reason="credit",
        retired_assigned_load=draw(loads),
        boot_failures=draw(st.dictionaries(st.sampled_from(AUTOGROUPS), st.integers(0, 5))),
        halted_autogroups=draw(
            st.dictionaries(
                st.sampled_from(AUTOGROUPS), st.builds(Halt, until_s=st.just(NOW_S + 60), reason=st.just("x")), max_size=1
            )
        ),
        boots=draw(st.dictionaries(st.sampled_from(AUTOGROUPS), boot_records, max_size=2)),
        hosts=draw(st.dictionaries(st.just("1"), boot_records)),
        stay_s=draw(st.sampled_from((0.0, 1.0, 7_200.0))),
        unlisted={worker_id(1): draw(st.integers(0, 4))},
        unready_since_s={worker_id(2): draw(moments_s)},
    )


@st.composite
def schedules(draw: st.DrawFn) -> Mapping[str, Schedule]:
    """Draw what holds now, or held until some time ago; ceilings above the group's own included."""
    sets = st.builds(
        ScheduledParameters,
        max_workers=st.none() | st.integers(0, 20),
        max_hourly_cost_micro_usd=st.none() | st.integers(0, 20_000_000),
        min_load=st.none() | loads,
        cold_workers=st.none() | st.integers(0, 4),
        endpoint_state=st.none() | st.sampled_from(EndpointState),
    )
    cron = st.sampled_from([ALWAYS, Cron(text="0 8 * * ? *", minutes=(0,), hours=(8,))])
    one = st.builds(Schedule, cron=cron, zone=st.just(Zone()), for_s=st.none() | st.just(3_600.0), sets=sets)
    return draw(st.dictionaries(st.sampled_from(("day", "night")), one, max_size=2))


@st.composite
def snapshots(draw: st.DrawFn, *, listed: bool | None = None) -> Snapshot:
    """Draw any snapshot; `listed` fixes whether the marketplace could be asked."""
    numbers = range(1, draw(st.integers(0, WORKERS_MAX)) + 1)
    has_list = draw(st.booleans()) if listed is None else listed
    found = {one.instance_id: one for number in range(1, 5) for one in draw(st.lists(instances(number), max_size=2))}
    waiting = draw(st.lists(st.tuples(loads, ages_s), max_size=3))
    return Snapshot(
        group=a_group(
            max_workers=draw(st.integers(0, 10)),
            max_hourly_cost_micro_usd=draw(st.integers(0, 10_000_000)),
            min_load=draw(loads),
            min_cold_load=draw(loads),
            cold_mult=draw(st.floats(0, 4)),
            cold_workers=draw(st.integers(0, 4)),
            test_workers=draw(st.integers(0, 3)),
            target_util=draw(st.floats(0.1, 1)),
            inactivity_timeout=draw(st.sampled_from((-1.0, 0.0, 300.0))),
            endpoint_state=draw(st.sampled_from(EndpointState)),
        ),
        autogroups=tuple(an_autogroup(name) for name in draw(st.sampled_from(((), ("a",), ("a", "b"))))),
        workers=tuple(draw(workers(number)) for number in numbers),
        waiting=tuple(
            WaitingRequest(request_idx=index, cost=cost, arrived_at_s=NOW_S - age_s, polled_at_s=NOW_S - min(age_s, 20))
            for index, (cost, age_s) in enumerate(waiting, start=1)
        ),
        state=draw(states()),
        listing=tuple(found.values()) if has_list else None,
        offers={"a": draw(offers(500)), "b": draw(offers(600))},
    )


@st.composite
def hungry_snapshots(draw: st.DrawFn) -> Snapshot:
    """Draw a snapshot whose group wants more than any fleet here carries, with offers to choose from."""
    drawn = draw(snapshots())
    learned = {"a|RTX 4090|1": LearnedPerf(perf=100.0, samples=1, dlperf=100.0)}
    return replace(
        drawn,
        group=replace(drawn.group, min_load=10_000.0, max_workers=draw(st.integers(4, 12)), endpoint_state=EndpointState.ACTIVE),
        autogroups=(an_autogroup("a"), an_autogroup("b")),
        state=replace(drawn.state, halted_until_s=0.0, halted_autogroups={}, learned=learned),
        offers={"a": (an_offer(700, machine_id=2000), *drawn.offers["a"]), "b": drawn.offers["b"]},
    )
