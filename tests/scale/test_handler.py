"""The Lambda entry point: events in, a short account out, one log line and one set of metrics a decision."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from functions.adapters.environment import Misconfigured
from functions.scale.events import MalformedEvent
from tests.scale.entry_point import ENVIRONMENT, NAME, Context, imported, wired
from tests.scale.stage import ENDPOINT, Stage


@pytest.fixture
def function(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the handler's module, wired to the stage."""
    yield wired(imported(monkeypatch), stage, monkeypatch)
    sys.modules.pop(NAME, None)


def test_an_idle_group_takes_one_tick(function: ModuleType) -> None:
    assert function.handler({"endpoint": ENDPOINT}, Context()) == {"ok": True, "ticks": 1}


def test_a_busy_group_is_watched_until_shortly_before_the_function_s_end(function: ModuleType, stage: Stage) -> None:
    stage.somebody_waits()
    begun_s = stage.clock.now_s()
    answer = function.handler({"endpoint": ENDPOINT, "reason": "waiting"}, Context(remaining_s=40.0))

    assert answer["ticks"] >= 5
    assert 20.0 <= stage.clock.now_s() - begun_s <= 30.0


def test_the_lease_is_given_back(function: ModuleType, stage: Stage) -> None:
    function.handler({"endpoint": ENDPOINT}, Context())

    assert stage.store.acquire_lease(ENDPOINT, owner="next", now_s=stage.clock.now_s(), duration_s=1.0) is not None


def test_a_removed_group_is_released(function: ModuleType, stage: Stage) -> None:
    stage.somebody_waits()
    stage.ticks()
    answer = function.handler({"endpoint": ENDPOINT, "tf": {"action": "delete"}}, Context(remaining_s=300.0))

    assert answer == {"ok": True, "released": 1}
    assert stage.contracts() == []


@pytest.mark.parametrize("action", ["create", "update"])
def test_a_created_or_changed_group_needs_nothing(function: ModuleType, stage: Stage, action: str) -> None:
    answer = function.handler({"endpoint": ENDPOINT, "tf": {"action": action}}, Context())

    assert answer == {"ok": True}
    assert list(stage.store.calls) == []


def test_an_event_that_makes_no_sense_fails_loudly(function: ModuleType) -> None:
    with pytest.raises(MalformedEvent):
        function.handler({}, Context())


def test_one_line_and_one_set_of_metrics_are_written_a_decision(
    function: ModuleType, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.somebody_waits()
    function.handler({"endpoint": ENDPOINT, "reason": "waiting"}, Context(remaining_s=12.0))
    told: list[dict[str, Any]] = [json.loads(text) for text in capsys.readouterr().out.splitlines() if text.startswith("{")]
    metrics = [line for line in told if "_aws" in line and "endpoint" in line]

    assert len(metrics) == 1
    assert metrics[0]["endpoint"] == ENDPOINT
    assert metrics[0]["RequestsWaitingNowCount"] == [1.0]


@pytest.mark.parametrize("name", [name for name in ENVIRONMENT if name.startswith("HEADGATE_")])
def test_a_missing_variable_stops_the_function_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        imported(monkeypatch, {**ENVIRONMENT, name: None})
