"""The Lambda entry point: events in, a short account out, one log line and one set of metrics a decision."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import pytest

from functions.adapters.environment import Misconfigured
from functions.adapters.secrets import MarketplaceSecret
from functions.scale.events import MalformedEvent
from functions.scale.turn import ScalePorts
from tests.scale.stage import ENDPOINT, SECRET, STACK, Stage

NAME: Final = "functions.scale.handler"
ENVIRONMENT: Final = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "HEADGATE_STACK": STACK,
    "HEADGATE_TABLE": "headgate",
    "HEADGATE_WORKER_TOKEN_SECRET_ARN": "arn:token",
    "HEADGATE_MARKETPLACE_SECRET_ARN": "arn:marketplace",
    "HEADGATE_MARKETPLACE_URL": "https://market.test",
    "HEADGATE_MARKETPLACE_PACE": "1.0",
    "HEADGATE_REPORT_URL": "https://report.test",
    "HEADGATE_TICK_INTERVAL_S": "5",
    "HEADGATE_RENT_CONFIRM_S": "120",
    "POWERTOOLS_SERVICE_NAME": "headgate-scale",
    "POWERTOOLS_METRICS_NAMESPACE": "Headgate",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What Lambda tells a function about its invocation."""

    aws_request_id: str = "request-1"
    remaining_s: float = 60.0

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left."""
        return int(self.remaining_s * 1000)


def _imported(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> ModuleType:
    for name, value in {**ENVIRONMENT, **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    return importlib.import_module(NAME)


@pytest.fixture
def function(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the handler's module, wired to the stage."""
    module = _imported(monkeypatch)
    ports = ScalePorts(store=stage.store, marketplace=stage.marketplace, clock=stage.clock)
    monkeypatch.setattr(module, "_PORTS", ports)
    monkeypatch.setattr(module, "_CLOCK", stage.clock)
    monkeypatch.setattr(module, "_WORKER_TOKEN", lambda: SECRET)
    monkeypatch.setattr(module, "_MARKETPLACE", lambda: MarketplaceSecret(api_key="account-key", secret_env={}))
    yield module
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
    metrics = [line for line in told if "_aws" in line]

    assert len(metrics) == 1
    assert metrics[0]["endpoint"] == ENDPOINT
    assert metrics[0]["RequestsWaitingNowCount"] == [1.0]


@pytest.mark.parametrize("name", [name for name in ENVIRONMENT if name.startswith("HEADGATE_")])
def test_a_missing_variable_stops_the_function_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        _imported(monkeypatch, **{name: None})
