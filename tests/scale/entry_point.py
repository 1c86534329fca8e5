"""The scaler's Lambda entry point for tests: imported anew with its environment, and wired to a stage instead of AWS."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Final

import pytest

from functions.adapters.secrets import MarketplaceSecret
from functions.scale.turn import ScalePorts
from tests.scale.stage import SECRET, STACK, Stage

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
    "HEADGATE_CREDIT_HOURS_MIN": "24",
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


def imported(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str | None] = ENVIRONMENT) -> ModuleType:
    """Return the module as it is in this environment; None stands for a variable that is not set."""
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    # A logger is configured once, with the standard output of that moment: here every test has its own.
    monkeypatch.delitem(logging.root.manager.loggerDict, ENVIRONMENT["POWERTOOLS_SERVICE_NAME"], raising=False)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    return importlib.import_module(NAME)


def wired(module: ModuleType, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module with the stage's ports, clock and secrets."""
    ports = ScalePorts(store=stage.store, marketplace=stage.marketplace, clock=stage.clock)
    monkeypatch.setattr(module, "_PORTS", ports)
    monkeypatch.setattr(module, "_CLOCK", stage.clock)
    monkeypatch.setattr(module, "_WORKER_TOKEN", lambda: SECRET)
    monkeypatch.setattr(module, "_MARKETPLACE", lambda: MarketplaceSecret(api_key="account-key", secret_env={}))
    return module
