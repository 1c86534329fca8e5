"""The whole system on one machine: emulator, marketplace, the deployed program, and the ways in.

    AWS emulator (child) ─▶ marketplace simulator (child) ─▶ `infra.program` deployed into the emulator, policies asked first

Everything lives below one temporary folder and two child processes. `close` ends the children and removes the folder, whatever
has happened before, and may be called more than once; `destroy` takes the stack down first, as `pulumi destroy` would.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests

from client.errors import StreamBroken
from client.events import text_of
from client.headgate import Client
from client.pauses import PollSchedule
from functions.adapters.botocore_api import BotocoreApi
from functions.adapters.dynamodb import DynamoTable
from infra.program import main as program
from policies.stack_check import StackCheck
from sandbox.aws.deployment import Deployment, deploy
from sandbox.aws.emulator import Emulator, EmulatorSettings
from sandbox.aws.plan import ResourceEvent
from sandbox.aws.settings import read_settings
from sandbox.generated import Generated
from sandbox.market_process import MarketProcess, MarketSettings

REPOSITORY: Final = Path(__file__).resolve().parents[1]
EMULATOR_PYTHON: Final = REPOSITORY / ".venvs" / "emulator" / "bin" / "python"
STACK: Final = "sandbox"
REGION: Final = "us-east-1"
LLM: Final = "llm"
HELLO: Final = "hello"
API_KEY: Final = "demo"

# Real boots take minutes (image, weights); here seconds, so that a person can watch. Money runs on real seconds.
BOOT_SPEED: Final = 100.0
CREDIT_USD: Final = 25.0
REQUEST_DEADLINE_S: Final = 90.0
ROUTE_TIMEOUT_S: Final = 10.0
WORKER_TIMEOUT_S: Final = 30.0
TICKET_POLL_S: Final = 0.3
PROMPT: Final = "Tell me about the gate at the head of a canal."


class SystemDied(Exception):
    """A part of the system ended by itself; the message says which and shows the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSettings:
    """How to run the sandbox. `seed` decides the market; `faults` is a preset of the simulator."""

    seed: int = 7
    faults: str = "none"


class System:
    """A started sandbox; a context manager. Raises EmulatorFailed, MarketplaceFailed and what `deploy` raises."""

    def __init__(self, settings: SystemSettings) -> None:
        self._deaths: list[str] = []
        self._deployment: Deployment | None = None
        self._client: Client | None = None
        self._on_resource: Callable[[ResourceEvent], None] = lambda _event: None
        self._folder = Path(tempfile.mkdtemp(prefix="headgate-sandbox-"))
        try:
            self._emulator = Emulator(
                EmulatorSettings(interpreter=EMULATOR_PYTHON, region=REGION, enforce_iam=True), on_death=self._died
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        try:
            market = MarketSettings(seed=settings.seed, boot_speed=BOOT_SPEED, credit_usd=CREDIT_USD, faults=settings.faults)
            self.marketplace = MarketProcess(market, self._folder / "marketplace", on_death=self._died)
        except BaseException:
            self._emulator.stop()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def deploy(self, on_resource: Callable[[ResourceEvent], None]) -> None:
        """Deploy the program as `pulumi up` would; a violated policy stops it before anything is made."""
        settings = read_settings(
            REPOSITORY,
            STACK,
            overrides={"marketplaceUrl": self.marketplace.url},
            secrets={"marketplaceApiKey": self.marketplace.api_key},
        )
        self._on_resource = on_resource
        self._deployment = deploy(program, settings, cloud=self._emulator, check=StackCheck(), on_resource=self._tell)
        self._client = Client(self.route_url, self.api_key, deadline_s=REQUEST_DEADLINE_S, schedule=PollSchedule(longest_s=3.0))

    def destroy(self, on_resource: Callable[[ResourceEvent], None]) -> None:
        """Release every instance and delete the stack, as `pulumi destroy` would. Raises DestroyStopped."""
        self._on_resource = on_resource
        if self._deployment:
            self._deployment.destroy(unprotect=True)

    def _tell(self, event: ResourceEvent) -> None:
        self._on_resource(event)

    def close(self) -> None:
        """End every process and remove every file; a second Ctrl-C does not stop it half way."""
        with _uninterrupted():
            if self._client:
                self._client.close()
            # The marketplace first: it ends the workers, which would otherwise report to nobody.
            self.marketplace.stop()
            self._emulator.stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _died(self, message: str) -> None:
        """Take note, and let nobody wait any longer for an answer that cannot come."""
        self._deaths.append(message)
        if self._client:
            self._client.close()

    def ensure_alive(self) -> None:
        """Raise SystemDied if a part has ended by itself."""
        if self._deaths:
            raise SystemDied(self._deaths[0])

    @property
    def resources(self) -> int:
        """How many resources stand."""
        return len(self._deployment.resources) if self._deployment else 0

    @property
    def table(self) -> DynamoTable:
        """The state table, as an operator may read it."""
        return DynamoTable(BotocoreApi(self._emulator.client("dynamodb")), self._output("table_name"))

    @property
    def route_url(self) -> str:
        """Where clients ask for a route."""
        return str(self._output("route_url")).rstrip("/")

    @property
    def report_url(self) -> str:
        """Where workers report."""
        return str(self._output("report_url")).rstrip("/")

    @property
    def api_key(self) -> str:
        """A key for every group of the sandbox."""
        return str(self._output("api_keys")[API_KEY])

    def route_operations(self) -> Counter[str]:
        """Count the DynamoDB operations of the route function since the start, by API."""
        counts: Counter[str] = Counter()
        for operation, count in self._emulator.operations().items():
            service, _, api = operation.api.partition(".")
            if service.startswith("DynamoDB") and "-route" in operation.caller:
                counts[api] += count
        return counts

    def generate(self, *, tokens: int, on_waiting: Callable[[str], None] | None = None) -> Generated:
        """Stream one generation, beginning anew if its worker fails under way, as an application would."""
        started_s, moves = time.monotonic(), 0
        while True:
            try:
                return self._stream(tokens, started_s, moves, on_waiting)
            except StreamBroken:
                moves += 1
                if time.monotonic() - started_s > REQUEST_DEADLINE_S:
                    raise

    def say_hello(self) -> str:
        """Make one request to the second endpoint group; return what it answered."""
        reply = self._require_client().request(HELLO, "/generate", {"units": 10}, cost=10)
        return str(reply.json()["hello"])

    def ticket(self, *, cost: float) -> dict[str, Any]:
        """Take a ticket of the language model's group as a client would, waiting for room if need be, and do not use it."""
        body: dict[str, Any] = {"endpoint": LLM, "cost": cost, "request_idx": 0}
        end_s = time.monotonic() + REQUEST_DEADLINE_S
        while "url" not in (answer := self._route(body)):
            self.ensure_alive()
            if time.monotonic() > end_s:
                raise SystemDied(f"no ticket within {REQUEST_DEADLINE_S:.0f} s: {answer.get('status')}")
            body["request_idx"] = answer["request_idx"]
            threading.Event().wait(TICKET_POLL_S)
        return answer

    def present(self, url: str, auth: Mapping[str, Any], *, tokens: int) -> requests.Response:
        """Put a request with this ticket on this worker, exactly as given. Raises requests.RequestException."""
        body = {"auth_data": dict(auth), "payload": payload(tokens)}
        return requests.post(url + "/generate", json=body, timeout=WORKER_TIMEOUT_S)

    def _stream(self, tokens: int, started_s: float, moves: int, on_waiting: Callable[[str], None] | None) -> Generated:
        first_s, count = 0.0, 0
        events = self._require_client().stream(LLM, "/generate_stream", payload(tokens), cost=tokens, on_waiting=on_waiting)
        for event in events:
            if text_of(event):
                first_s = first_s or time.monotonic() - started_s
                count += 1
        return Generated(first_token_s=first_s, tokens=count, moves=moves)

    def _route(self, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        response = requests.post(f"{self.route_url}/route/", json=body, headers=headers, timeout=ROUTE_TIMEOUT_S)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            return {**body, "status": "the route function is throttled"}
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _require_client(self) -> Client:
        assert self._client is not None, "deploy first"
        return self._client

    def _output(self, name: str) -> Any:
        assert self._deployment is not None, "deploy first"
        return self._deployment.outputs[name].value


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM meanwhile; only the main thread can, and only there they would interrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def payload(tokens: int) -> dict[str, Any]:
    """Return what the model is asked."""
    return {"inputs": PROMPT, "parameters": {"max_new_tokens": tokens}}
