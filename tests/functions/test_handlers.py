"""The Lambda entry points themselves: what they import, what they need, what they log; against AWS's APIs on loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # nobody listens there: an import must not call
    "HEADGATE_STACK": "test",
    "HEADGATE_TABLE": "headgate",
    "HEADGATE_SIGNING_SECRET_ARN": "arn:signing",
    "HEADGATE_WORKER_TOKEN_SECRET_ARN": "arn:token",
    "HEADGATE_ROTATION_DAYS": "30",
    "HEADGATE_SCALE_FUNCTION": "scale",
    "POWERTOOLS_SERVICE_NAME": "headgate-route",
    "POWERTOOLS_METRICS_NAMESPACE": "Headgate",
}
HANDLERS = ("functions.route.handler", "functions.report.handler")
# Each costs tens of milliseconds of a cold start and serves neither function.
HEAVY = {
    "requests": HANDLERS,
    "pydantic": HANDLERS,
    "boto3": HANDLERS,
    "botocore.session": HANDLERS,  # Powertools asks whether there is a botocore, which is an import of its bare package
    "botocore.client": HANDLERS,
    "botocore.exceptions": HANDLERS,
    "functions.adapters.botocore_api": HANDLERS,
    "urllib3": HANDLERS,
    "s3transfer": HANDLERS,
    "cryptography": HANDLERS,
    "aws_lambda_powertools.event_handler": HANDLERS,
    "aws_lambda_powertools.utilities.parser": HANDLERS,
    "aws_lambda_powertools.utilities.data_classes": HANDLERS,
    "aws_xray_sdk": HANDLERS,
    "functions.scale": HANDLERS,
    "functions.core.scaling": HANDLERS,
    "functions.adapters.vast": HANDLERS,
    "functions.adapters.dynamodb_scale": HANDLERS,
    "functions.report": ("functions.route.handler",),
    "functions.route": ("functions.report.handler",),
    "functions.rotate": HANDLERS,
    "functions.adapters.rsa_signer": HANDLERS,
    "nacl": ("functions.report.handler",),
}


def run(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter with the environment of a function; None removes a variable."""
    variables = {name: value for name, value in {**ENVIRONMENT, **environment}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Return the modules that are loaded once each handler has been imported."""
    code = "import sys, importlib; importlib.import_module({0!r}); print(chr(10).join(sys.modules))"
    return {handler: set(run(code.format(handler)).stdout.split()) for handler in HANDLERS}


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_can_be_imported_without_calling_anybody(imported: dict[str, set[str]], handler: str) -> None:
    assert handler in imported[handler]


@pytest.mark.parametrize(("module", "handler"), [(module, handler) for module, handlers in HEAVY.items() for handler in handlers])
def test_nothing_heavy_is_imported(imported: dict[str, set[str]], module: str, handler: str) -> None:
    assert not [name for name in imported[handler] if name == module or name.startswith(f"{module}.")]


@pytest.mark.parametrize(
    ("handler", "variable"),
    [
        ("functions.route.handler", "HEADGATE_TABLE"),
        ("functions.route.handler", "HEADGATE_SIGNING_SECRET_ARN"),
        ("functions.route.handler", "HEADGATE_SCALE_FUNCTION"),
        ("functions.report.handler", "HEADGATE_TABLE"),
        ("functions.report.handler", "HEADGATE_STACK"),
        ("functions.report.handler", "HEADGATE_WORKER_TOKEN_SECRET_ARN"),
        ("functions.rotate.handler", "HEADGATE_TABLE"),
        ("functions.rotate.handler", "HEADGATE_SIGNING_SECRET_ARN"),
        ("functions.rotate.handler", "HEADGATE_ROTATION_DAYS"),
    ],
)
def test_a_missing_variable_stops_the_function_by_its_name(handler: str, variable: str) -> None:
    ended = run(f"import {handler}", **{variable: None})

    assert ended.returncode != 0
    assert f"Misconfigured: the environment variable {variable} is missing" in ended.stderr
