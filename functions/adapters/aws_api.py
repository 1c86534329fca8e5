"""Requests to AWS, from the functions whose every millisecond is paid by a client that waits.

botocore does the same and much more, and its one UpdateItem takes more CPU than everything else of a route together (`python -m
bench.route` shows both), as importing it takes longer than importing all the rest. So route and report speak to AWS through this
module: DynamoDB's JSON API, Secrets Manager's, Lambda's invoke. Where no client waits, in the scaler, botocore does it. Both answer
to `Api`, and raise the same two errors.

*Retries.* Throttled and failed (5xx) requests are repeated up to ATTEMPTS_MAX times, unanswered ones up to UNANSWERED_MAX: a write
whose answer was lost is written twice, which no total may suffer often. Between attempts it waits a random part of a doubling
pause (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).

*Deadline.* A Vast client gives `/route/` 10 s and never repeats it. One invocation makes several requests, so they share one
`Deadline`: no request waits beyond it, and none is begun after it.

Credentials are those of the environment: Lambda sets them once for an environment's life and ends it before they expire.
Integrity is TLS's; the CRC that DynamoDB sends beside it is not checked.
"""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from functions.adapters.environment import required
from functions.adapters.kept_connection import Answer, Connection, KeptConnection, Unanswered
from functions.adapters.sigv4 import Credentials, Signer, Unsigned
from functions.ports import Clock

# Long on purpose: a write that is given up too early is written twice by the next attempt.
READ_TIMEOUT_S: Final = 2.5
ATTEMPTS_MAX: Final = 4
UNANSWERED_MAX: Final = 2
PAUSE_S: Final = 0.05  # before the second attempt at most; it doubles with every further one
# Of the 10 s that a client waits, what is left for the network between it and us, and for the answer.
INVOCATION_S: Final = 8.5

_PASSES: Final = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_SERVER_ERROR: Final = 500


class AwsUnavailable(Exception):
    """No answer in time, from any attempt. The request may have had its effect."""


class AwsRefused(Exception):
    """AWS answered with an error: its code and HTTP status, and whatever else the answer held, which is never shown."""

    def __init__(self, code: str, *, status: int, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code} ({status})")
        self.code = code
        self.status = status
        self.answer = answer or {}

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.code in _PASSES or self.status >= _SERVER_ERROR


class Api(Protocol):
    """One service of AWS, by the names of its API reference."""

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Perform one operation. Raises AwsRefused and AwsUnavailable, repeating what passes by itself before it does."""


class Deadline:
    """When an invocation must have its answer; the handler restarts it with every event."""

    def __init__(self, clock: Clock, *, total_s: float = INVOCATION_S) -> None:
        self._clock = clock
        self._total_s = total_s
        self._end_s = math.inf

    def restart(self) -> None:
        """Give the invocation that begins now its whole time."""
        self._end_s = self._clock.now_s() + self._total_s

    def left_s(self) -> float:
        """Return the seconds that are left; infinite before the first invocation."""
        return self._end_s - self._clock.now_s()


def _for_ever() -> float:
    return math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """For whom, where, and until when requests are made."""

    credentials: Credentials
    region: str
    clock: Clock
    endpoints: Mapping[str, str] = field(default_factory=dict)  # by service, "" for all: where else than at AWS
    left_s: Callable[[], float] = _for_ever
    rng: random.Random = field(default_factory=random.Random)
    connect: Callable[[str], Connection] = KeptConnection

    @classmethod
    def of_environment(cls, environ: Mapping[str, str], *, clock: Clock, left_s: Callable[[], float] = _for_ever) -> Self:
        """Read what the Lambda runtime sets, and `AWS_ENDPOINT_URL[_SERVICE]`. Raises Misconfigured, naming what is missing."""
        region = environ.get("AWS_REGION") or required(environ, "AWS_DEFAULT_REGION")
        prefix = "AWS_ENDPOINT_URL"
        # AWS_ENDPOINT_URL_SECRETS_MANAGER is of the service whose host begins with secretsmanager.
        found = {name.removeprefix(prefix): url for name, url in environ.items() if name.startswith(prefix)}
        endpoints = {service.replace("_", "").lower(): url for service, url in found.items()}
        credentials = Credentials(
            access_key_id=required(environ, "AWS_ACCESS_KEY_ID"),
            secret_access_key=required(environ, "AWS_SECRET_ACCESS_KEY"),
            session_token=environ.get("AWS_SESSION_TOKEN", ""),
        )
        return cls(credentials=credentials, region=region, clock=clock, endpoints=endpoints, left_s=left_s)

    def url(self, service: str) -> str:
        """Return where a service is."""
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        elsewhere = self.endpoints.get(service) or self.endpoints.get("")
        return elsewhere or f"https://{service}.{self.region}.{suffix}"


class AwsService:
    """One service: signs, sends, repeats. Safe to use from any thread; each has a connection of its own."""

    def __init__(self, aws: Aws, service: str) -> None:
        self._aws = aws
        self._service = service
        self._url = aws.url(service)
        self._signer = Signer(aws.credentials, region=aws.region, service=service)
        self._of_thread = threading.local()

    def post(self, path: str, headers: Mapping[str, str], body: bytes, *, attempts_max: int = ATTEMPTS_MAX) -> bytes:
        """Send one request and return the body of its answer. Raises AwsRefused and AwsUnavailable."""
        unanswered = 0
        for attempt in range(1, attempts_max + 1):
            try:
                answer = self._attempt(path, headers, body)
            except Unanswered as exc:
                unanswered += 1
                if attempt == attempts_max or unanswered == UNANSWERED_MAX:
                    raise AwsUnavailable(f"{self._service}: {exc}") from exc
            else:
                if answer.status < 300:
                    return answer.body
                refused = _refused(answer)
                if attempt == attempts_max or not refused.passes:
                    raise refused
            self._pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        timeout_s = min(READ_TIMEOUT_S, self._aws.left_s())
        if timeout_s <= 0:
            raise AwsUnavailable(f"{self._service}: the invocation's time is over")
        connection = self._connection()
        now_s = self._aws.clock.now_s()
        request = Unsigned(method="POST", path=path, headers={**headers, "host": connection.host}, body=body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._signer.signed(request, now_s=now_s).items())
        head = f"POST {path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        return connection.exchange(head.encode("latin-1") + body, method="POST", now_s=now_s, timeout_s=timeout_s)

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._aws.connect(self._url)
        return connection

    def _pause(self, attempt: int) -> None:
        pause_s = self._aws.rng.uniform(0.0, PAUSE_S * 2 ** (attempt - 1))
        if pause_s >= self._aws.left_s():
            raise AwsUnavailable(f"{self._service}: the invocation's time is over")
        self._aws.clock.wait_s(pause_s)


class JsonApi:
    """A service whose operations are JSON objects sent to one path. Implements `Api`."""

    def __init__(self, aws: Aws, service: str, *, target: str, version: str) -> None:
        self._service = AwsService(aws, service)
        self._target = target
        self._content_type = f"application/x-amz-json-{version}"

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Perform one operation."""
        headers = {"content-type": self._content_type, "x-amz-target": f"{self._target}.{operation}"}
        body = json.dumps(parameters, separators=(",", ":")).encode()
        answer: Mapping[str, Any] = json.loads(self._service.post("/", headers, body) or b"{}")
        return answer


def dynamodb(aws: Aws) -> JsonApi:
    """Return DynamoDB, whose binary values are base64 text on this side too."""
    return JsonApi(aws, "dynamodb", target="DynamoDB_20120810", version="1.0")


def secrets_manager(aws: Aws) -> JsonApi:
    """Return Secrets Manager."""
    return JsonApi(aws, "secretsmanager", target="secretsmanager", version="1.1")


def _refused(answer: Answer) -> AwsRefused:
    try:
        told = json.loads(answer.body or b"{}")
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    kind = answer.headers.get("x-amzn-errortype") or str(told.get("__type", "Unknown"))
    # `com.amazonaws.dynamodb.v20120810#ThrottlingException`, or `ThrottlingException:http://…`
    return AwsRefused(kind.rpartition("#")[2].partition(":")[0], status=answer.status, answer=told)
