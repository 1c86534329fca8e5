"""The handlers as they are deployed, against DynamoDB and Secrets Manager on loopback: what they answer, cost and log."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from nacl.signing import SigningKey

from functions.adapters.botocore_api import BotocoreApi
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.public_key_item import public_keys_item
from functions.core.model import ApiKey, Scope
from functions.key_ports import PublicKeys
from protocol.ticket import parse_ticket
from sandbox.aws.emulator import Emulator
from tests.contract.function_process import REQUEST_ID, FunctionProcess
from tests.contract.stores import ENDPOINT, Stores, dynamo_stores
from tests.core.builders import a_condition, a_group, a_request, a_worker, an_autogroup, worker_id
from tests.functions.events import an_event
from tests.functions.reporter import SECRET, a_report_body, token
from tests.waiting import until

API_KEY = "hg-key-0123456789"
READ_KEY = "hg-key-that-reads"
LIMITED_KEY = "hg-key-with-a-limit"
KEYS: dict[str, dict[str, Any]] = {
    API_KEY: {},
    READ_KEY: {"scopes": frozenset({Scope.READ}), "label": "people"},
    LIMITED_KEY: {"requests_per_s": 0.001, "label": "website"},
}
SEED = b"\x07" * 32
STACK = "test"
EMPTY = "images"  # a group without workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """Both functions, their table, and the counter of what AWS was asked."""

    route: FunctionProcess
    report: FunctionProcess
    stores: Stores
    emulator: Emulator

    def asked(self, function: FunctionProcess, event: dict[str, Any]) -> Counter[str]:
        """Invoke a function and return how often it asked AWS for what."""
        before = self.emulator.operations()
        function.invoke(event)
        return Counter({operation.api: count for operation, count in (self.emulator.operations() - before).items()})


@pytest.fixture(scope="module")
def deployed(emulator: Emulator) -> Iterator[Deployed]:
    """Deploy both functions beside a table with one ready worker."""
    table = f"handlers-{time.time_ns()}"
    stores = dynamo_stores(emulator.client("dynamodb"), table)
    stores.pulumi.put_group(a_group())
    stores.pulumi.put_group(a_group(endpoint=EMPTY))
    for text, more in KEYS.items():
        key_sha256 = hashlib.sha256(text.encode()).hexdigest()
        stores.pulumi.put_key(ApiKey(key_sha256=key_sha256, endpoints=frozenset({ENDPOINT, EMPTY}), **more))
    stores.pulumi.put_autogroup(ENDPOINT, an_autogroup())
    stores.hold(replace(a_worker(1), condition=a_condition(reported_at_s=time.time())))
    _show(DynamoTable(BotocoreApi(emulator.client("dynamodb")), table))
    keys = [{"key_id": "k1", "seed": base64.b64encode(SEED).decode()}]
    environment = {
        "AWS_ENDPOINT_URL": emulator.endpoint_url,
        "AWS_DEFAULT_REGION": emulator.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HEADGATE_STACK": STACK,
        "HEADGATE_TABLE": table,
        "HEADGATE_SIGNING_SECRET_ARN": _secret(emulator, f"{table}/signing", {"keys": keys, "active": "k1"}),
        "HEADGATE_WORKER_TOKEN_SECRET_ARN": _secret(emulator, f"{table}/token", {"secret": base64.b64encode(SECRET).decode()}),
        "HEADGATE_SCALE_FUNCTION": "no-such-function",
        "POWERTOOLS_SERVICE_NAME": "headgate",
        "POWERTOOLS_METRICS_NAMESPACE": "Headgate",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
    with (
        FunctionProcess("functions.route.handler", environment=environment) as route,
        FunctionProcess("functions.report.handler", environment=environment) as report,
    ):
        yield Deployed(route=route, report=report, stores=stores, emulator=emulator)


def a_call(endpoint: str = ENDPOINT, **event: Any) -> dict[str, Any]:
    """Return the event of a call to /route/."""
    return an_event("/route/", {"endpoint": endpoint, "cost": 1.0}, **{"bearer": API_KEY} | event)


def a_message(**changes: Any) -> dict[str, Any]:
    """Return the event of a report, of a run of its own."""
    return an_event("/worker_status/", a_report_body(**{"run_id": f"run-{time.time_ns()}"} | changes), bearer=token())


def test_a_ticket_verifies_with_the_key_that_is_served(deployed: Deployed) -> None:
    served = deployed.route.invoke(an_event("/pubkey/", method="GET", accept="application/json"))["body"]["keys"][0]
    ticket, signature = parse_ticket(deployed.route.invoke(a_call())["body"])

    assert (served["key_id"], served["public_key"]) == (ticket.key_id, _public_key())
    SigningKey(SEED).verify_key.verify(ticket.signed_bytes(), signature)


def test_an_answer_carries_the_id_of_its_request(deployed: Deployed) -> None:
    result = deployed.route.invoke(a_call())

    assert (result["statusCode"], result["headers"]["content-type"]) == (200, "application/json")
    assert result["body"]["__request_id"] == REQUEST_ID


def test_a_warm_route_asks_for_one_write_and_nothing_else(deployed: Deployed) -> None:
    # Warm is for a second, which a busy machine may miss.
    until(lambda: deployed.asked(deployed.route, a_call()) == {"DynamoDB.UpdateItem": 1}, what="a warm route of one write")


def test_a_report_asks_for_one_write_and_nothing_else(deployed: Deployed) -> None:
    deployed.report.invoke(a_message())

    assert deployed.asked(deployed.report, a_message()) == {"DynamoDB.UpdateItem": 1}


def test_a_client_with_a_limit_costs_one_write_more_and_over_it_none(deployed: Deployed) -> None:
    limited = a_call(bearer=LIMITED_KEY)
    deployed.route.invoke(a_call())
    first, *others = (deployed.asked(deployed.route, limited)["DynamoDB.UpdateItem"] for _ in range(3))

    assert (first, others) == (2, [1, 0])  # a refused write tells once how long to wait


@pytest.mark.parametrize(
    ("event", "queries"),
    [
        (an_event("/api/v0/autojobs/", method="GET", bearer=READ_KEY), 2),
        (an_event("/get_endpoint_workers/", {"endpoint": ENDPOINT}, bearer=READ_KEY), 1),
        (an_event("/get_endpoint_logs/", {"endpoint": ENDPOINT}, bearer=READ_KEY), 1),
    ],
)
def test_what_people_read_costs_a_query_for_each_group(deployed: Deployed, event: dict[str, Any], queries: int) -> None:
    answered = deployed.route.invoke(event)
    asked = deployed.asked(deployed.route, event)

    assert answered["statusCode"] == 200
    assert asked["DynamoDB.Query"] == queries
    assert set(asked) <= {"DynamoDB.Query", "DynamoDB.GetItem"}


def test_a_stranger_costs_one_read_and_then_nothing(deployed: Deployed) -> None:
    stranger = a_call(bearer="hg-a-stranger")

    assert deployed.asked(deployed.route, stranger) == {"DynamoDB.GetItem": 1}
    assert deployed.asked(deployed.route, stranger) == {}


def test_a_false_token_costs_nothing(deployed: Deployed) -> None:
    deployed.report.invoke(a_message())  # the secret is read once

    assert deployed.asked(deployed.report, an_event("/worker_status/", {}, bearer="hg1.a.b.c")) == {}


def test_a_report_reaches_the_table(deployed: Deployed) -> None:
    result = deployed.report.invoke(a_message(seq=2_000))
    stored = deployed.stores.stored(worker_id(1))

    assert result["body"]["ok"] is True
    assert stored is not None
    assert (stored.condition.seq, stored.condition.perf) == (2_000, 123.5)


def test_a_served_request_is_forgotten(deployed: Deployed) -> None:
    deployed.stores.route.put_request(ENDPOINT, replace(a_request(5), worker_id=worker_id(1)), expires_at_s=time.time() + 60)
    body = {"worker_id": worker_id(1), "requests": [{"request_idx": 5, "success": True, "status": "Success"}]}
    result = deployed.report.invoke(an_event("/delete_requests/", body, bearer=token()))

    assert result["body"] == {"ok": True, "deleted": 1}


def test_a_request_that_waits_is_answered_although_nobody_can_be_woken(deployed: Deployed) -> None:
    result = deployed.route.invoke(a_call(EMPTY))

    assert (result["statusCode"], result["body"]["status"]) == (200, "no worker ready yet; one has been asked for")


def test_an_event_that_no_url_sends_is_answered_as_our_fault(deployed: Deployed) -> None:
    result = deployed.route.invoke({"version": "1.0"})

    assert (result["statusCode"], result["body"]["error"]) == (500, "internal_error")


def test_every_call_is_one_line_of_log(deployed: Deployed) -> None:
    deployed.route.lines.clear()
    deployed.route.invoke(a_call())
    logged = [json.loads(line) for line in deployed.route.lines]

    assert [line["message"] for line in logged if "message" in line] == ["route"]
    assert logged[0]["request_id"] == REQUEST_ID


def test_every_call_is_counted(deployed: Deployed) -> None:
    deployed.route.lines.clear()
    deployed.route.invoke(a_call(bearer="hg-stranger"))
    counted = [json.loads(line) for line in deployed.route.lines if "_aws" in line]

    assert [line["RequestsRefusedCount"] for line in counted] == [[1.0]]


def test_no_log_line_holds_a_secret(deployed: Deployed) -> None:
    ticket = deployed.route.invoke(a_call())["body"]
    deployed.report.invoke(a_message())
    logged = "".join((*deployed.route.lines, *deployed.report.lines))

    assert logged
    for secret in (*KEYS, token(), base64.b64encode(SEED).decode(), ticket["signature"]):
        assert secret not in logged


def _secret(emulator: Emulator, name: str, value: dict[str, Any]) -> str:
    arn: str = emulator.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(value))["ARN"]
    return arn


def _show(table: DynamoTable) -> None:
    shown = PublicKeys(keys=({"key_id": "k1", "algorithm": "Ed25519", "public_key": _public_key()},))
    table.put(public_keys_item(shown, revision=1))


def _public_key() -> str:
    return base64.b64encode(SigningKey(SEED).verify_key.encode()).decode()
