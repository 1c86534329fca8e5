"""What is deployed for each function: its shape, its environment, its log group, and where its failures go."""

from __future__ import annotations

import hashlib

import pytest

from tests.infra.recording import RecordedStack

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:headgate/test/{}-AbCdEf"
PARTS = ("route", "report", "scale", "rotate")


def shared(part: str) -> dict[str, str]:
    return {
        "HEADGATE_STACK": "test",
        "HEADGATE_TABLE": "headgate-test",
        "POWERTOOLS_SERVICE_NAME": f"headgate-{part}",
        "POWERTOOLS_METRICS_NAMESPACE": "Headgate/test",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def seed(name: str) -> bytes:
    """Return what the recording monitor answers for RandomBytes of this name."""
    return hashlib.sha256(name.encode()).digest()


def test_the_route_functions_environment(stack: RecordedStack) -> None:
    assert stack.environment("route-function") == {
        **shared("route"),
        "HEADGATE_SIGNING_SECRET_ARN": SECRET.format("signing"),
        "HEADGATE_SCALE_FUNCTION": "headgate-test-scale",
    }


def test_the_report_functions_environment(stack: RecordedStack) -> None:
    assert stack.environment("report-function") == {
        **shared("report"),
        "HEADGATE_WORKER_TOKEN_SECRET_ARN": SECRET.format("worker-token"),
    }


def test_the_scale_functions_environment(stack: RecordedStack) -> None:
    assert stack.environment("scale-function") == {
        **shared("scale"),
        "HEADGATE_WORKER_TOKEN_SECRET_ARN": SECRET.format("worker-token"),
        "HEADGATE_MARKETPLACE_SECRET_ARN": SECRET.format("marketplace"),
        "HEADGATE_MARKETPLACE_URL": "https://console.vast.ai",
        "HEADGATE_MARKETPLACE_PACE": "1.0",
        "HEADGATE_REPORT_URL": "https://headgate-test-report.lambda-url.eu-west-1.on.aws",
        "HEADGATE_TICK_INTERVAL_S": "5",
        "HEADGATE_RENT_CONFIRM_S": "120",
        "HEADGATE_CREDIT_HOURS_MIN": "24",
    }


def test_the_rotate_functions_environment(stack: RecordedStack) -> None:
    assert stack.environment("rotate-function") == {
        **shared("rotate"),
        "HEADGATE_SIGNING_SECRET_ARN": SECRET.format("signing"),
        "HEADGATE_ROTATION_DAYS": "30",
    }


@pytest.mark.parametrize(
    ("part", "memory_mb", "timeout_s"), [("route", 512, 10), ("report", 256, 10), ("scale", 1024, 300), ("rotate", 512, 60)]
)
def test_a_function_is_arm64_and_has_its_own_memory_and_timeout(
    stack: RecordedStack, part: str, memory_mb: int, timeout_s: int
) -> None:
    inputs = stack.one("lambda/function:Function", f"{part}-function").inputs

    shape = {key: inputs[key] for key in ("name", "architectures", "runtime", "handler", "memorySize", "timeout")}
    assert shape == {
        "name": f"headgate-test-{part}",
        "architectures": ["arm64"],
        "runtime": "python3.13",
        "handler": f"functions.{part}.handler.handler",
        "memorySize": memory_mb,
        "timeout": timeout_s,
    }


@pytest.mark.parametrize("part", PARTS)
def test_a_function_reserves_no_concurrency(stack: RecordedStack, part: str) -> None:
    assert "reservedConcurrentExecutions" not in stack.one("lambda/function:Function", f"{part}-function").inputs


@pytest.mark.parametrize("part", PARTS)
def test_a_function_logs_as_json_into_a_group_that_expires(stack: RecordedStack, part: str) -> None:
    group = stack.one("cloudwatch/logGroup:LogGroup", f"{part}-logs").inputs

    assert stack.one("lambda/function:Function", f"{part}-function").inputs["loggingConfig"] == {
        "logFormat": "JSON",
        "logGroup": group["name"],
    }
    assert (group["name"], group["retentionInDays"]) == (f"/aws/lambda/headgate-test-{part}", 30)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("needed", ["cloudwatch/logGroup:LogGroup {}-logs", "iam/rolePolicy:RolePolicy {}-policy"])
def test_a_function_comes_after_its_log_group_and_its_permissions(stack: RecordedStack, part: str, needed: str) -> None:
    type_, name = needed.format(part).split()

    assert stack.goes_before(stack.one("lambda/function:Function", f"{part}-function"), stack.one(type_, name))


@pytest.mark.parametrize("part", ["scale", "rotate"])
def test_failed_events_are_kept(stack: RecordedStack, part: str) -> None:
    config = stack.one("lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", f"{part}-events")

    assert config.inputs == {
        "functionName": f"headgate-test-{part}",
        "maximumEventAgeInSeconds": 60,
        "maximumRetryAttempts": 0,
        "destinationConfig": {"onFailure": {"destination": "arn:aws:sqs:eu-west-1:123456789012:headgate-test-dead-letters"}},
    }


def test_only_route_and_report_have_a_url(stack: RecordedStack) -> None:
    urls = {url.inputs["functionName"]: url.inputs["authorizationType"] for url in stack.of("lambda/functionUrl:FunctionUrl")}

    assert urls == {"headgate-test-route": "NONE", "headgate-test-report": "NONE"}


def test_a_function_waits_for_the_value_of_its_secret_and_not_for_its_name_alone(stack: RecordedStack) -> None:
    report = stack.one("lambda/function:Function", "report-function")

    assert stack.goes_before(report, stack.one("secretsmanager/secretVersion:SecretVersion", "worker-token"))
