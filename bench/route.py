"""What a warm route costs: CPU under AWS's own runtime client, and DynamoDB operations, at several sizes of the group.

`python -m bench.route [--routes N] [--json]`. CPU is that of the function's process, user and kernel, so it includes the runtime
client, TLS excepted (the stub of AWS speaks plain HTTP). Three handlers run in turn over the same stub:

* route: the shipping handler
* boto3: the same with boto3's client, which is what one would take first
* nothing: a handler that does nothing, so what the runtime client costs whatever the function does

Beside them, within this process: the ticket's signature, the request's signature, and reading a snapshot of the group, which is
paid once a second and environment, not once a route.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.environment import route_environment
from bench.instant_aws import API_KEY, ENDPOINT, InstantAws
from bench.lambda_process import LambdaProcess
from functions.adapters.aws_api import Aws, dynamodb
from functions.adapters.clock import SystemClock
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.adapters.nacl_signer import NaclSigner
from functions.adapters.sigv4 import Credentials, Signer, Unsigned
from functions.core.model import EndpointGroup
from functions.route.snapshot import SHARDS_READ_MAX, read_snapshot
from protocol.ticket import Ticket

HANDLERS: Final = {
    "route": "functions.route.handler.handler",
    "boto3": "bench.boto3_route.handler",
    "nothing": "bench.bare_handlers.nothing",
}
WORKERS: Final = (1, 100, 1_000)
ROUTES: Final = 3_000
WARM_UP: Final = 200
BUDGET_US: Final = 1_000
EVENT: Final = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/route/",
    "rawQueryString": "",
    "headers": {"content-type": "application/json", "authorization": f"Bearer {API_KEY}", "user-agent": "bench", "accept": "*/*"},
    "requestContext": {
        "accountId": "anonymous",
        "http": {"method": "POST", "path": "/route/", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1", "userAgent": "bench"},
        "requestId": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
    },
    "body": json.dumps({"endpoint": ENDPOINT, "cost": 211.5}),
    "isBase64Encoded": False,
}


def warm_routes(handler: str, *, workers: int, routes: int) -> dict[str, Any]:
    """Return CPU and wall time in microseconds of a route, and the operations that it took, all of `routes` routes on average."""
    event = json.dumps(EVENT).encode()
    with InstantAws(workers) as aws, LambdaProcess(handler, environment=route_environment(aws.url)) as function:
        for _ in range(WARM_UP):
            answer = function.invoke(event)
            assert answer["statusCode"] == 200, answer
        counted, cpu_s, started_s = aws.counts.copy(), function.cpu_s(), time.perf_counter()
        for _ in range(routes):
            function.invoke(event)
        wall_s, cpu_s = time.perf_counter() - started_s, function.cpu_s() - cpu_s
        operations = {name: round(count / routes, 4) for name, count in (aws.counts - counted).items()}
    return {
        "workers": workers,
        "cpu_us": round(cpu_s / routes * 1e6),
        "wall_us": round(wall_s / routes * 1e6),
        "operations_per_route": operations,
    }


def parts() -> dict[str, float]:
    """Return the CPU time of some parts by themselves, in microseconds."""
    ticket = Ticket(
        url="https://203.0.113.7:10001",
        endpoint=ENDPOINT,
        cost=211.5,
        reqnum=1_000,
        request_idx=2**51,
        worker_id="w0-00000000002a",
        assigned_load=123_456.5,
        issued_at=1_790_000_000,
        expires_at=1_790_000_060,
        key_id="k1",
        cert_sha256="0f" * 32,
    )
    signer = NaclSigner(key_id="k1", seed=bytes(range(32)))
    credentials = Credentials(access_key_id="ASIAEXAMPLE", secret_access_key="x" * 40, session_token="t" * 900)
    aws_signer = Signer(credentials, region="eu-central-1", service="dynamodb")
    headers = {"host": "dynamodb.eu-central-1.amazonaws.com", "content-type": "j", "x-amz-target": "DynamoDB_20120810.UpdateItem"}
    request = Unsigned(method="POST", path="/", headers=headers, body=b"x" * 700)
    timed = {
        "sign_ticket_us": _cpu_us(lambda: signer.sign(ticket.signed_bytes()), 5_000),
        "sign_request_us": _cpu_us(lambda: aws_signer.signed(request, now_s=1_790_000_000.0), 5_000),
    }
    with InstantAws(1_000) as aws:
        account = Aws(credentials=credentials, region="eu-central-1", clock=SystemClock(), endpoints={"": aws.url})
        store = DynamoRouteStore(DynamoTable(dynamodb(account), "t"))
        group = EndpointGroup(endpoint=ENDPOINT, max_workers=1_000, max_hourly_cost_micro_usd=1)
        read = _cpu_us(lambda: read_snapshot(store, group, range(SHARDS_READ_MAX), now_s=time.time()), 20)
    return {**timed, "read_snapshot_of_1000_us": read}


def measure(routes: int) -> dict[str, Any]:
    """Return everything."""
    by_handler = {
        name: [warm_routes(handler, workers=workers, routes=routes) for workers in (WORKERS if name != "nothing" else WORKERS[:1])]
        for name, handler in HANDLERS.items()
    }
    return {"python": sys.version.split()[0], "routes": routes, "budget_us": BUDGET_US, **by_handler, "parts": parts()}


def _cpu_us(action: Callable[[], object], times: int) -> float:
    action()
    started_s = time.thread_time()
    for _ in range(times):
        action()
    return round((time.thread_time() - started_s) / times * 1e6, 1)


def _show(measured: Mapping[str, Any]) -> None:
    print(f"CPU of a warm route under awslambdaric, Python {measured['python']}, budget {measured['budget_us']} us")
    for name in HANDLERS:
        for row in measured[name]:
            operations = ", ".join(f"{operation} {count:g}" for operation, count in row["operations_per_route"].items()) or "none"
            print(f"  {name:8} {row['workers']:5} workers {row['cpu_us']:6} us CPU {row['wall_us']:6} us wall   {operations}")
    for name, value in measured["parts"].items():
        print(f"  {name:26} {value:8.1f}")


def main() -> int:
    """Measure, show, and fail if the budget is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=ROUTES, help="routes a measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    measured = measure(arguments.routes)
    if arguments.json:
        print(json.dumps(measured))
    else:
        _show(measured)
    return int(max(row["cpu_us"] for row in measured["route"]) > BUDGET_US)


if __name__ == "__main__":
    sys.exit(main())
