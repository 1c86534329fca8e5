"""A route while AWS is in trouble: an honest 503 before the client gives up, whichever request it is that fails, and however."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

import pytest

from bench.instant_aws import API_KEY, ENDPOINT, InstantAws
from functions.adapters.aws_api import dynamodb, secrets_manager
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.adapters.function_url import HttpReply, HttpRequest
from functions.adapters.kept_connection import Answer
from functions.adapters.nacl_signer import signing_key
from functions.adapters.secrets import CachedSecret, SecretReader
from functions.key_ports import PublicKeys
from functions.route.answer import answer
from functions.route.caches import RouteCaches
from functions.route.service import RoutePorts
from tests.fakes.waker import RecordingWaker
from tests.functions.events import an_event
from tests.functions.test_aws_api import CLIENT_GIVES_UP_S, THROTTLED, Faulty, Step, breaks, hangs, slowly


@dataclass
class Troubled(Faulty):
    """AWS with a small group in it, of which one operation is at fault `times` times, and every other takes `slow_s`."""

    operation: str = ""
    times: int = 10**9
    slow_s: float = 0.0
    table: InstantAws = field(default_factory=lambda: InstantAws(3))

    def exchange(self, request: bytes, *, method: str, now_s: float, timeout_s: float) -> Answer:
        """Fail, or answer from the table."""
        head, _, body = request.partition(b"\r\n\r\n")
        [target] = [line for line in head.decode().split("\r\n") if line.startswith("x-amz-target: ")]
        if target.endswith(f".{self.operation}") and self.times > 0:
            self.times -= 1
            return super().exchange(request, method=method, now_s=now_s, timeout_s=timeout_s)
        self.clock.advance(self.slow_s)
        told = self.table.answer(target.removeprefix("x-amz-target: "), json.loads(body))
        return Answer(status=200, headers={}, body=json.dumps(told).encode())

    def route(self) -> HttpReply:
        """Route one request in a new execution environment."""
        aws = self.aws()
        secret = SecretReader(secrets_manager(aws))
        ports = RoutePorts(
            store=DynamoRouteStore(DynamoTable(dynamodb(aws), "t")),
            signing=CachedSecret("arn", signing_key, clock=self.clock, read=secret),
            waker=RecordingWaker(),
            clock=self.clock,
            rng=random.Random(1),
        )
        event = an_event("/route/", {"endpoint": ENDPOINT, "cost": 1.0}, bearer=API_KEY)
        return answer(HttpRequest.of_event(event), ports=ports, caches=RouteCaches(), public_keys=_not_asked)


def _not_asked() -> PublicKeys:
    raise AssertionError("a route asks for no public key")


OPERATIONS = ["GetItem", "Query", "GetSecretValue", "UpdateItem"]


def test_without_a_fault_it_is_routed() -> None:
    assert "signature" in Troubled([hangs]).route().body


@pytest.mark.parametrize("fault", [hangs, breaks, *THROTTLED])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_that_stays_is_told_before_the_client_gives_up(operation: str, fault: Step) -> None:
    aws = Troubled([fault], operation=operation)
    reply = aws.route()

    assert (reply.status, reply.body["error"]) == (503, "store_unavailable")
    assert aws.elapsed_s < CLIENT_GIVES_UP_S


@pytest.mark.parametrize("fault", [hangs, breaks, *THROTTLED])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_that_passes_is_not_noticed(operation: str, fault: Step) -> None:
    assert Troubled([fault], operation=operation, times=1).route().status == 200


def test_many_requests_that_are_each_slow_enough_to_pass_end_in_time_too() -> None:
    aws = Troubled([slowly(2.4)], operation="UpdateItem", slow_s=2.4)

    assert aws.route().status == 503
    assert aws.elapsed_s < CLIENT_GIVES_UP_S
