"""What the handler really writes in each kind of trouble is what the alarm of that trouble watches: name, namespace and dimensions.

The handler runs with the environment that the program gives it, and the alarms are those that the program declares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from functions.core.attention import RELEASE_OVERDUE_S
from functions.core.lifecycle import RUNNING, WorkerState
from functions.core.memory import BREAKER_FAILURES
from functions.core.model import Autogroup
from functions.scale.release import ReleaseIncomplete
from infra.alarms import CREDIT_METRIC, GROUP_WATCHES, SIGN_OF_LIFE
from infra.program import main
from sandbox.marketplace.faults import AnswerFault, Chance, FaultOptions, Operation
from tests.infra.recording import RecordedStack, record
from tests.infra.stack_files import as_file, endpoint
from tests.scale.entry_point import NAME, Context, imported, wired
from tests.scale.stage import ENDPOINT, START_S, Stage

MOST = 100_000.0  # load that no fleet of the stage can serve in time


@pytest.fixture(scope="module")
def program() -> RecordedStack:
    """Return what the program declares for a stack with the stage's group."""
    return record(lambda: main(lambda _target: Path("functions.zip")), as_file(endpoints={ENDPOINT: endpoint()}, apiKeys={}))


@pytest.fixture
def function(program: RecordedStack, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the handler's module as the program deploys it, wired to the stage."""
    stage.settings = replace(stage.settings, secret_env={})  # as the handler has it: another secret is another version
    aws = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    yield wired(imported(monkeypatch, {**aws, **program.environment("scale-function")}), stage, monkeypatch)
    sys.modules.pop(NAME, None)


def written(output: str) -> dict[tuple[str, str, frozenset[tuple[str, str]]], float]:
    """Return the highest value of each metric that these lines make in CloudWatch: by namespace, name and dimensions."""
    metrics: dict[tuple[str, str, frozenset[tuple[str, str]]], float] = {}
    for line in (json.loads(text) for text in output.splitlines() if '"_aws"' in text):
        for made in line["_aws"]["CloudWatchMetrics"]:
            [names] = made["Dimensions"]
            dimensions = frozenset((name, line[name]) for name in names)
            for metric in made["Metrics"]:
                key = (made["Namespace"], metric["Name"], dimensions)
                metrics[key] = max(*line[metric["Name"]], metrics.get(key, 0.0))
    return metrics


def watched(program: RecordedStack, name: str) -> tuple[str, str, frozenset[tuple[str, str]]]:
    """Return what an alarm watches, as `written` spells it."""
    alarm: Mapping[str, Any] = program.one("cloudwatch/metricAlarm:MetricAlarm", f"alarm-{name}").inputs
    return alarm["namespace"], alarm["metricName"], frozenset(alarm["dimensions"].items())


def tick(function: ModuleType) -> None:
    function.handler({"endpoint": ENDPOINT, "reason": "test"}, Context(remaining_s=12.0))


def more_is_needed_than_the_ceiling_allows(function: ModuleType, stage: Stage) -> None:
    stage.configure(max_workers=1)
    stage.somebody_waits(cost=MOST)
    stage.run(300)
    stage.somebody_waits(cost=MOST)
    stage.everyone_reports()
    tick(function)


def nothing_on_the_market_matches(function: ModuleType, stage: Stage) -> None:
    stage.store.put_autogroup(ENDPOINT, Autogroup(name="a", search_params="num_gpus=7 verified=any", image="tgi", disk_gb=20.0))
    stage.somebody_waits()
    tick(function)


def one_boot_after_the_other_fails(function: ModuleType, stage: Stage) -> None:
    stage.store.put_autogroup(
        ENDPOINT, Autogroup(name="a", search_params="num_gpus=1 verified=any", image="tgi", disk_gb=20.0, boot_timeout_s=30.0)
    )
    for _ in range(BREAKER_FAILURES * 4):
        stage.somebody_waits()
        stage.ticks(4)
    tick(function)


def the_marketplace_refuses(function: ModuleType, stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.CREDIT_EXHAUSTED)
    tick(function)


def a_destroyed_instance_does_not_go(function: ModuleType, stage: Stage) -> None:
    stage.somebody_waits()
    stage.ticks(2)
    (worker,) = stage.workers()
    lease = stage.store.acquire_lease(ENDPOINT, owner="test", now_s=stage.clock.now_s(), duration_s=1.0)
    assert lease is not None
    stage.store.put_rental(lease, worker.worker_id, replace(worker.rental, state=WorkerState.DESTROYING, state_since_s=START_S))
    stage.store.release_lease(lease)
    stage.world.plan.put(
        FaultOptions(chances=(Chance(operation=Operation.DESTROY, fault=AnswerFault.DROPPED_BEFORE, probability=1.0),))
    )
    stage.clock.wait_s(RELEASE_OVERDUE_S)
    tick(function)


def a_stack_is_destroyed_and_the_marketplace_does_not_confirm(function: ModuleType, stage: Stage) -> None:
    stage.somebody_waits()
    stage.ticks(2)
    stage.world.plan.put(
        FaultOptions(chances=(Chance(operation=Operation.DESTROY, fault=AnswerFault.DROPPED_BEFORE, probability=1.0),))
    )
    with suppress(ReleaseIncomplete):
        function.handler({"endpoint": ENDPOINT, "tf": {"action": "delete"}}, Context(remaining_s=60.0))


def a_version_does_not_become_ready(function: ModuleType, stage: Stage) -> None:
    stage.configure(min_load=50.0)
    stage.run(300)
    stage.store.put_autogroup(
        ENDPOINT, Autogroup(name="a", search_params="num_gpus=1 verified=any", image="broken", disk_gb=20.0, boot_timeout_s=60.0)
    )
    for _ in range(300):
        for worker in stage.workers():
            broken = worker.rental.boot_started_at_s > START_S + 290
            if worker.rental.state in RUNNING and not broken:
                stage.report(worker)
        stage.ticks()
    tick(function)


TROUBLES: Mapping[str, list[Callable[[ModuleType, Stage], None]]] = {
    "budget-reached": [more_is_needed_than_the_ceiling_allows],
    "no-offers": [nothing_on_the_market_matches],
    "halted": [one_boot_after_the_other_fails],
    "refused": [the_marketplace_refuses],
    "release-unconfirmed": [a_destroyed_instance_does_not_go, a_stack_is_destroyed_and_the_marketplace_does_not_confirm],
    "update-failed": [a_version_does_not_become_ready],
}
CASES = [pytest.param(name, cause, id=cause.__name__) for name, causes in TROUBLES.items() for cause in causes]


@pytest.mark.parametrize(("alarm", "cause"), CASES)
def test_trouble_is_written_as_the_metric_that_its_alarm_watches(
    program: RecordedStack,
    function: ModuleType,
    stage: Stage,
    capsys: pytest.CaptureFixture[str],
    alarm: str,
    cause: Callable[[ModuleType, Stage], None],
) -> None:
    cause(function, stage)

    assert written(capsys.readouterr().out)[watched(program, f"{ENDPOINT}-{alarm}")] > 0


def test_every_alarm_of_a_group_has_its_trouble_here() -> None:
    assert {watch.name for watch in GROUP_WATCHES} == TROUBLES.keys()


def test_a_group_without_trouble_writes_none_of_these_metrics(
    function: ModuleType, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.somebody_waits()
    stage.run(200)
    tick(function)

    assert {name for _, name, _ in written(capsys.readouterr().out)}.isdisjoint({watch.metric for watch in GROUP_WATCHES})


def test_every_decision_is_a_sign_of_life(program: RecordedStack, function: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    tick(function)

    told = watched(program, f"{ENDPOINT}-silent")
    assert told[1] == SIGN_OF_LIFE
    assert told in written(capsys.readouterr().out)


def test_a_scaler_that_never_gets_the_lease_gives_no_sign_of_life(
    program: RecordedStack, function: ModuleType, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.store.acquire_lease(ENDPOINT, owner="stuck", now_s=stage.clock.now_s(), duration_s=1e9)
    tick(function)

    assert watched(program, f"{ENDPOINT}-silent") not in written(capsys.readouterr().out)


def test_credit_for_a_few_hours_is_below_the_threshold(
    program: RecordedStack, function: ModuleType, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.world.exhaust_credit(stage.clock.now_s())
    stage.world.add_credit(2.0, stage.clock.now_s())
    stage.somebody_waits()
    tick(function)

    alarm = program.one("cloudwatch/metricAlarm:MetricAlarm", "alarm-credit-low").inputs
    hours = written(capsys.readouterr().out)[watched(program, "credit-low")]
    assert (alarm["metricName"], alarm["comparisonOperator"]) == (CREDIT_METRIC, "LessThanThreshold")
    assert 0.0 < hours < alarm["threshold"] == 24
