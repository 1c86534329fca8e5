"""Requests to AWS: what is repeated, how long it may all take, and what an error says. Time is the test's own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.adapters.aws_api import (
    ATTEMPTS_MAX,
    INVOCATION_S,
    PAUSE_S,
    READ_TIMEOUT_S,
    UNANSWERED_MAX,
    Aws,
    AwsRefused,
    AwsUnavailable,
    Deadline,
    dynamodb,
    secrets_manager,
)
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.adapters.environment import Misconfigured
from functions.adapters.kept_connection import CONNECT_TIMEOUT_S, Answer, Unanswered
from functions.adapters.scale_waker import LambdaScaleWaker
from functions.adapters.secrets import SecretReader
from functions.adapters.sigv4 import Credentials
from functions.ports import StoreUnavailable
from tests.fakes.clock import FakeClock

CLIENT_GIVES_UP_S = 10.0  # what Vast's clients wait for a route
START_S = 1_790_000_000.0

Step = Callable[["Faulty"], Answer]


@dataclass
class Faulty:
    """AWS at its worst: does what each step says, the last one for ever. Implements `kept_connection.Connection`."""

    steps: list[Step]
    clock: FakeClock = field(default_factory=lambda: FakeClock(START_S))
    requests: list[bytes] = field(default_factory=list)
    host: str = "dynamodb.eu-central-1.amazonaws.com"
    timeout_s: float = 0.0

    def exchange(self, request: bytes, *, method: str, now_s: float, timeout_s: float) -> Answer:
        """Do what the next step says."""
        assert (method, now_s) == ("POST", self.clock.now_s())
        self.requests.append(request)
        self.timeout_s = timeout_s
        return (self.steps.pop(0) if len(self.steps) > 1 else self.steps[0])(self)

    def aws(self, *, total_s: float = INVOCATION_S) -> Aws:
        """Return the account behind it, in an invocation that has just begun."""
        deadline = Deadline(self.clock, total_s=total_s)
        deadline.restart()
        return Aws(
            credentials=Credentials(access_key_id="AKID", secret_access_key="s3cret", session_token="t0ken"),
            region="eu-central-1",
            clock=self.clock,
            left_s=deadline.left_s,
            rng=random.Random(1),
            connect=lambda _: self,
        )

    def call(self, operation: str = "UpdateItem", parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Perform an operation of DynamoDB."""
        return dynamodb(self.aws()).call(operation, parameters or {})

    @property
    def elapsed_s(self) -> float:
        """How long it has taken so far."""
        return self.clock.now_s() - START_S


def answers(body: Any, *, status: int = 200, **headers: str) -> Step:
    """Answer at once."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Answer(status=status, headers=headers, body=content)


def refuses(code: str, *, status: int = 400) -> Step:
    """Refuse as DynamoDB does."""
    return answers({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}, status=status)


def hangs(aws: Faulty) -> Answer:
    """Accept the connection at the last moment and never answer."""
    aws.clock.advance(min(CONNECT_TIMEOUT_S, aws.timeout_s) + aws.timeout_s)
    raise Unanswered("TimeoutError")


def breaks(aws: Faulty) -> Answer:
    """Cut the connection at once."""
    assert aws.requests
    raise Unanswered("ConnectionResetError")


THROTTLED = [
    refuses("ThrottlingException"),
    refuses("ProvisionedThroughputExceededException"),
    refuses("RequestLimitExceeded"),
    refuses("InternalServerError", status=500),
    refuses("ServiceUnavailable", status=503),
    answers(b"<html>bad gateway</html>", status=502),
]


def test_an_answer_is_its_json_object() -> None:
    assert Faulty([answers({"Attributes": {}})]).call() == {"Attributes": {}}


def test_an_empty_answer_is_an_empty_object() -> None:
    assert Faulty([answers(b"")]).call() == {}


def test_a_request_is_one_piece_with_its_length_its_target_and_its_signature() -> None:
    aws = Faulty([answers({})])
    aws.call("GetItem", {"TableName": "т"})
    head, _, body = aws.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")

    assert lines[0] == "POST / HTTP/1.1"
    assert f"content-length: {len(body)}" in lines
    assert "x-amz-target: DynamoDB_20120810.GetItem" in lines
    assert "x-amz-security-token: t0ken" in lines
    assert json.loads(body) == {"TableName": "т"}
    assert any(line.startswith("authorization: AWS4-HMAC-SHA256 Credential=AKID/") for line in lines)


@pytest.mark.parametrize("fault", THROTTLED)
def test_what_passes_is_tried_again(fault: Step) -> None:
    aws = Faulty([fault, fault, answers({"ok": 1})])

    assert aws.call() == {"ok": 1}
    assert len(aws.requests) == 3


@pytest.mark.parametrize("fault", THROTTLED)
def test_what_does_not_pass_is_told_after_some_attempts(fault: Step) -> None:
    aws = Faulty([fault])

    with pytest.raises(AwsRefused):
        aws.call()
    assert len(aws.requests) == ATTEMPTS_MAX


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException", "ConditionalCheckFailedException"])
def test_what_would_be_refused_again_is_told_at_once(code: str) -> None:
    aws = Faulty([refuses(code)])

    with pytest.raises(AwsRefused, match=code):
        aws.call()
    assert len(aws.requests) == 1


def test_a_refusal_brings_what_else_was_answered_and_does_not_show_it() -> None:
    item = {"state": {"S": "ready"}}
    aws = Faulty([answers({"__type": "x#ConditionalCheckFailedException", "Item": item}, status=400)])

    with pytest.raises(AwsRefused) as raised:
        aws.call()
    assert (raised.value.answer["Item"], str(raised.value)) == (item, "ConditionalCheckFailedException (400)")


def test_a_refusal_named_by_a_header_alone_is_named() -> None:
    aws = Faulty([answers(b"", status=403, **{"x-amzn-errortype": "AccessDeniedException:http://internal"})])

    with pytest.raises(AwsRefused, match=r"^AccessDeniedException \(403\)$"):
        aws.call()


def test_a_connection_that_breaks_is_made_again_once() -> None:
    aws = Faulty([breaks, answers({"ok": 1})])

    assert aws.call() == {"ok": 1}


@pytest.mark.parametrize("fault", [hangs, breaks])
def test_a_write_without_an_answer_is_not_repeated_for_ever(fault: Step) -> None:
    aws = Faulty([fault])

    with pytest.raises(AwsUnavailable):
        aws.call()
    assert len(aws.requests) == UNANSWERED_MAX


def test_one_request_that_hangs_twice_ends_before_the_client_gives_up() -> None:
    aws = Faulty([hangs])

    with pytest.raises(AwsUnavailable):
        aws.call()
    assert aws.elapsed_s < CLIENT_GIVES_UP_S


class Recording(FakeClock):
    """A clock that remembers for how long it was waited on."""

    def __init__(self) -> None:
        super().__init__(START_S)
        self.waits_s: list[float] = []

    def wait_s(self, duration_s: float) -> None:
        """Let that much time pass, and remember it."""
        self.waits_s.append(duration_s)
        super().wait_s(duration_s)


def test_the_pauses_between_attempts_are_drawn_and_grow() -> None:
    clock = Recording()
    api = dynamodb(Faulty([refuses("ThrottlingException")], clock=clock).aws(total_s=1e6))
    for _ in range(200):
        with pytest.raises(AwsRefused):
            api.call("GetItem", {})

    by_attempt = [clock.waits_s[number :: ATTEMPTS_MAX - 1] for number in range(ATTEMPTS_MAX - 1)]
    assert all(0.9 * PAUSE_S * 2**number < max(drawn) <= PAUSE_S * 2**number for number, drawn in enumerate(by_attempt))
    assert all(min(drawn) < PAUSE_S / 5 for drawn in by_attempt)


def test_no_request_is_begun_after_the_invocation_s_time() -> None:
    aws = Faulty([answers({})])
    api = dynamodb(aws.aws())
    aws.clock.advance(INVOCATION_S)

    with pytest.raises(AwsUnavailable):
        api.call("GetItem", {})
    assert aws.requests == []


def test_no_request_waits_beyond_the_invocation_s_time() -> None:
    aws = Faulty([answers({})])
    api = dynamodb(aws.aws())
    aws.clock.advance(INVOCATION_S - 0.5)
    api.call("GetItem", {})

    assert aws.timeout_s == pytest.approx(0.5)


def test_outside_of_an_invocation_a_request_has_its_own_limits_alone() -> None:
    aws = Faulty([answers({})])
    untimed = Aws(credentials=aws.aws().credentials, region="r", clock=aws.clock, connect=lambda _: aws)
    dynamodb(untimed).call("GetItem", {})

    assert aws.timeout_s == READ_TIMEOUT_S


def test_the_next_invocation_has_its_whole_time_again() -> None:
    clock = FakeClock(START_S)
    deadline = Deadline(clock)
    deadline.restart()
    clock.advance(INVOCATION_S)
    over = deadline.left_s()
    deadline.restart()

    assert (over, deadline.left_s()) == (0.0, INVOCATION_S)


def slowly(seconds: float) -> Step:
    """Answer after a while that is still within the limits of one request."""

    def step(aws: Faulty) -> Answer:
        if seconds >= aws.timeout_s:
            return hangs(aws)
        aws.clock.advance(seconds)
        return answers({"Items": []})(aws)

    return step


FAULTS = [hangs, breaks, *THROTTLED, slowly(0.01), slowly(2.4), answers({"Items": []})]


@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=40), st.integers(1, 12))
def test_whatever_aws_does_an_invocation_of_many_requests_ends_before_the_client_gives_up(faults: list[Step], calls: int) -> None:
    aws = Faulty(list(faults))
    store = DynamoRouteStore(DynamoTable(dynamodb(aws.aws()), "t"))
    try:
        for _ in range(calls):
            store.waiting("chat", limit=1)
    except StoreUnavailable:
        pass

    assert aws.elapsed_s < CLIENT_GIVES_UP_S


# The other two services


def test_a_secret_is_asked_for_as_secrets_manager_wants_it() -> None:
    aws = Faulty([answers({"SecretString": "text"})])

    assert SecretReader(secrets_manager(aws.aws()))("arn:secret") == "text"
    assert b"x-amz-target: secretsmanager.GetSecretValue" in aws.requests[0]
    assert b"content-type: application/x-amz-json-1.1" in aws.requests[0]


@pytest.mark.parametrize("fault", [refuses("ResourceNotFoundException"), hangs])
def test_a_secret_that_cannot_be_read_is_unavailable(fault: Step) -> None:
    with pytest.raises(StoreUnavailable, match="arn:secret"):
        SecretReader(secrets_manager(Faulty([fault]).aws()))("arn:secret")


def test_the_scaler_is_woken_by_an_asynchronous_event() -> None:
    aws = Faulty([answers(b"", status=202)])
    LambdaScaleWaker(aws.aws(), "headgate-scale").wake("chat")

    assert aws.requests[0].startswith(b"POST /2015-03-31/functions/headgate-scale/invocations HTTP/1.1\r\n")
    assert b"x-amz-invocation-type: Event\r\n" in aws.requests[0]
    assert aws.requests[0].endswith(b'{"endpoint": "chat", "reason": "waiting"}')


@pytest.mark.parametrize("fault", [refuses("TooManyRequestsException", status=429), hangs, breaks])
def test_a_scaler_that_cannot_be_woken_is_asked_once_and_no_more(fault: Step) -> None:
    aws = Faulty([fault])
    LambdaScaleWaker(aws.aws(), "headgate-scale").wake("chat")

    assert len(aws.requests) == 1


# Where AWS is

ENVIRONMENT = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}


def of(**environment: str) -> Aws:
    """Return the account of an environment."""
    return Aws.of_environment({**ENVIRONMENT, **environment}, clock=FakeClock(0.0))


def test_a_service_is_at_its_regional_endpoint() -> None:
    assert of().url("dynamodb") == "https://dynamodb.eu-central-1.amazonaws.com"


def test_in_china_it_is_under_another_domain() -> None:
    assert of(AWS_REGION="cn-north-1").url("dynamodb") == "https://dynamodb.cn-north-1.amazonaws.com.cn"


def test_one_variable_moves_every_service_and_another_a_single_one() -> None:
    aws = of(AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:2")

    assert (aws.url("lambda"), aws.url("dynamodb")) == ("http://127.0.0.1:1", "http://127.0.0.1:2")


def test_a_service_of_two_words_is_moved_by_both() -> None:
    assert of(AWS_ENDPOINT_URL_SECRETS_MANAGER="http://127.0.0.1:3").url("secretsmanager") == "http://127.0.0.1:3"


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_named(missing: str) -> None:
    with pytest.raises(Misconfigured, match=missing):
        of(**{missing: ""})
