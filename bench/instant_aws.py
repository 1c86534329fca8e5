"""DynamoDB and Secrets Manager that answer at once, over loopback: one group of ready workers, one API key, one signing secret.

What they hold is made by the shipping codecs, and answers have the headers and sizes of real ones. Operations are counted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self

from bench.loopback import LoopbackServer
from functions.adapters.dynamodb_items import attributes_of, worker_key
from functions.adapters.spec_codec import spec_attribute
from functions.core.lifecycle import WorkerState
from functions.core.model import ApiKey, Condition, EndpointGroup, Rental, Worker, fleet_shards
from protocol.report import Phase

ENDPOINT: Final = "chat"
API_KEY: Final = "hg-benchmark-0123456789abcdef"
SEED: Final = base64.b64encode(bytes(range(32))).decode()
HOUR_S: Final = 3_600.0


class InstantAws:
    """The servers, for `workers` workers; a context manager. `counts` holds how often which operation was asked for."""

    def __init__(self, workers: int) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
        self._shards: dict[str, list[dict[str, Any]]] = defaultdict(list)
        shards = fleet_shards(workers)
        for worker in (_worker(number, number % shards) for number in range(workers)):
            key = worker_key(ENDPOINT, worker.worker_id)
            self._shards[key["pk"]["S"]].append({**key, **attributes_of(worker.rental), **attributes_of(worker.condition)})
        group = EndpointGroup(endpoint=ENDPOINT, max_workers=workers, max_hourly_cost_micro_usd=10**9, max_queue_time=1e6)
        self._spec = {"pk": {"S": f"ENDPOINT#{ENDPOINT}"}, "sk": {"S": "SPEC"}, "spec": spec_attribute(group)}
        key_sha256 = hashlib.sha256(API_KEY.encode()).hexdigest()
        api_key = ApiKey(key_sha256=key_sha256, endpoints=frozenset({ENDPOINT}))
        self._api_key = {"pk": {"S": f"KEY#{key_sha256}"}, "sk": {"S": "KEY"}, **attributes_of(api_key)}
        self._server: LoopbackServer | None = None

    @property
    def url(self) -> str:
        """Where both services are, once they run."""
        assert self._server is not None
        return f"http://{self._server.address}"

    def __enter__(self) -> Self:
        self._server = LoopbackServer(_handler(self.answer))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.stop()

    def answer(self, target: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Perform one operation, such as `DynamoDB_20120810.GetItem`."""
        operation = target.rpartition(".")[2]
        with self._lock:
            self.counts[operation] += 1
            match operation:
                case "GetSecretValue":
                    secret = {"keys": [{"key_id": "k1", "seed": SEED}], "active": "k1"}
                    return {"SecretString": json.dumps(secret)}
                case "GetItem":
                    return {"Item": self._api_key if asked["Key"]["pk"]["S"].startswith("KEY#") else self._spec}
                case "Query":
                    return {"Items": self._shards.get(asked["ExpressionAttributeValues"][":pk"]["S"], [])}
                case "UpdateItem":
                    return {"Attributes": self._assign(asked)}
                case _:
                    raise AssertionError(target)

    def _assign(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        totals = self._totals[asked["Key"]["sk"]["S"]]
        totals[0] += float(asked["ExpressionAttributeValues"][":cost"]["N"])
        totals[1] += 1
        expires = asked["ExpressionAttributeValues"][":expires_at_s"]
        return {"assigned_load": {"N": str(totals[0])}, "reqnum": {"N": str(int(totals[1]))}, "ticket_expires_at_s": expires}


def _worker(number: int, shard: int) -> Worker:
    rental = Rental(
        state=WorkerState.READY,
        state_since_s=time.time(),
        autogroup="a100",
        created_at_s=time.time(),
        instance_id=10_000_000 + number,
        offer_id=7_000_000 + number,
        machine_id=20_000 + number,
        gpu_name="A100_SXM4",
        running_micro_usd_per_hour=1_200_000,
        dlperf=80.5,
    )
    said = Condition(
        phase=Phase.READY,
        run_id=f"{number:032x}",
        seq=1_000,
        reported_at_s=time.time() + HOUR_S,
        url=f"https://203.0.113.7:{10_000 + number}",
        perf=1_000.0 + number,
        slots=64,
        loadtime_s=61.25,
        received_load=123_456.0,
        finished_load=123_456.0,
        finished_requests=600,
        cert_sha256="0f" * 32,
    )
    return Worker(worker_id=f"w{shard}-{number:012x}", endpoint=ENDPOINT, rental=rental, condition=said)


def _handler(answer: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            # botocore repeats what has another checksum than it says.
            body = json.dumps(answer(self.headers["x-amz-target"], asked)).encode()
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Sun, 22 Nov 2026 03:00:00 GMT\r\n"
                b"Content-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\nx-amzn-RequestId: "
                b"VCNRPLVPPTCFQ7LMUC1UO2QJHVVV4KQNSO5AEMVJF66Q9ASUAAJG\r\n"
                + f"x-amz-crc32: {binascii.crc32(body)}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )

        def log_message(self, *_: object) -> None:
            """Say nothing: it is asked thousands of times."""

    return Handler
