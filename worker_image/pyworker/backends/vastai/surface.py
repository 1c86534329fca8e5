"""What a worker file finds when it imports `vastai`: the names that such files use, with the same fields and defaults.

Nothing here works; it only holds what the file says. The package itself need not be installed. `Worker(...).run()` does not
return, as the real one does not while it serves: it hands its configuration over by leaving through `Captured`.
"""

from __future__ import annotations

import enum
import types
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NoReturn, TypeVar

RUNS_DEFAULT: Final = 8
CONCURRENCY_DEFAULT: Final = 10
QUEUE_TIME_DEFAULT_S: Final = 30.0
SESSIONS_DEFAULT: Final = 10

PayloadT = TypeVar("PayloadT", bound="ApiPayload")


class Captured(BaseException):
    """A worker was to run; `config` is what it was made of. No Exception, so that the file's own handlers let it pass."""

    def __init__(self, config: WorkerConfig) -> None:
        super().__init__()
        self.config = config


@dataclass
class LogActionConfig:
    """Pieces of lines: `on_load` ready, `on_error` failed, `on_info` worth telling."""

    on_load: list[str] = field(default_factory=list)
    on_error: list[str] = field(default_factory=list)
    on_info: list[str] = field(default_factory=list)


@dataclass
class BenchmarkConfig:
    """Payloads to measure with: one of a list, or made each time. `concurrency` is how many at a time, if they may be."""

    dataset: list[dict[str, Any]] | None = None
    generator: Callable[[], dict[str, Any]] | None = None
    runs: int = RUNS_DEFAULT
    concurrency: int | None = CONCURRENCY_DEFAULT
    do_warmup: bool = True


@dataclass
class HandlerConfig:
    """One route."""

    route: str
    healthcheck: str | None = None
    allow_parallel_requests: bool = False
    max_queue_time: float | None = QUEUE_TIME_DEFAULT_S
    benchmark_config: BenchmarkConfig | None = None
    handler_class: Callable[[], EndpointHandler[Any]] | None = None
    payload_class: type[ApiPayload] | None = None
    request_parser: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    response_generator: Callable[[Any, Any], Awaitable[Any]] | None = None
    workload_calculator: Callable[[dict[str, Any]], float] | None = None
    is_remote_dispatch: bool = False
    remote_function: Callable[..., Awaitable[Any]] | None = None


@dataclass
class WorkerConfig:
    """A worker."""

    model_server_url: str | None = None
    model_server_port: int | None = None
    model_log_file: str | None = None
    benchmark_data: list[dict[str, Any]] = field(default_factory=list)
    handlers: list[HandlerConfig] = field(default_factory=list)
    model_healthcheck_url: str | None = None
    benchmark_route: str | None = None
    log_action_config: LogActionConfig = field(default_factory=LogActionConfig)
    max_sessions: int | None = SESSIONS_DEFAULT
    lifecycle: Any = None


class Worker:
    """Holds a configuration until it is to run."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config

    def run(self, **_options: Any) -> NoReturn:
        """Hand the configuration over."""
        raise Captured(self.config)

    async def run_async(self, **_options: Any) -> NoReturn:
        """Hand the configuration over."""
        raise Captured(self.config)


class JsonDataException(Exception):
    """A payload is at fault; `message` says which field, and why."""

    def __init__(self, json_msg: dict[str, Any]) -> None:
        super().__init__(json_msg)
        self.message = json_msg


class ApiPayload(ABC):
    """A route's payload, as a class of the file."""

    @classmethod
    @abstractmethod
    def for_test(cls: type[PayloadT]) -> PayloadT:
        """Make one to measure with."""

    @classmethod
    @abstractmethod
    def from_json_msg(cls: type[PayloadT], json_msg: dict[str, Any]) -> PayloadT:
        """Read a client's."""

    @abstractmethod
    def generate_payload_json(self) -> dict[str, Any]:
        """Write what the model's server gets."""

    def generate_payload_multipart(self) -> dict[str, Any] | None:
        """Write what it gets as a form; None: it gets JSON."""
        return None

    @abstractmethod
    def count_workload(self) -> float:
        """Return its load."""


class EndpointHandler(ABC, Generic[PayloadT]):
    """A route, as a class of the file."""

    has_benchmark: bool = True
    concurrency: int = CONCURRENCY_DEFAULT
    benchmark_runs: int = RUNS_DEFAULT
    allow_parallel_requests: bool = False
    max_queue_time: float | None = None
    remote_function: Callable[..., Awaitable[Any]] | None = None
    do_warmup_benchmark: bool = True

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The server's path."""

    @property
    @abstractmethod
    def healthcheck_endpoint(self) -> str | None:
        """Its health, which nobody asks for."""

    @classmethod
    @abstractmethod
    def payload_cls(cls) -> type[PayloadT]:
        """Return the class of its payloads."""

    @abstractmethod
    def make_benchmark_payload(self) -> PayloadT:
        """Make a payload to measure with."""

    @abstractmethod
    async def generate_client_response(self, client_request: Any, model_response: Any) -> Any:
        """Make the client's reply out of the server's."""

    async def call_remote_dispatch_function(self, params: dict[str, Any]) -> Any:
        """Call what answers in place of a server."""
        assert self.remote_function is not None
        return await self.remote_function(**params)


class LogAction(enum.Enum):
    """What a piece of a line means."""

    ModelLoaded = 1
    ModelError = 2
    Info = 3


def modules() -> dict[str, types.ModuleType]:
    """Return the package and those of its parts that worker files import, by name."""
    configs = {"Worker": Worker, "WorkerConfig": WorkerConfig, "HandlerConfig": HandlerConfig}
    configs |= {"BenchmarkConfig": BenchmarkConfig, "LogActionConfig": LogActionConfig}
    types_ = {"ApiPayload": ApiPayload, "ApiPayload_T": PayloadT, "EndpointHandler": EndpointHandler}
    types_ |= {"JsonDataException": JsonDataException, "LogAction": LogAction}
    holding: dict[str, dict[str, Any]] = {
        "vastai": configs,
        "vastai.serverless": {},
        "vastai.serverless.server": {},
        "vastai.serverless.server.worker": {**configs, **types_},
        "vastai.serverless.server.lib": {},
        "vastai.serverless.server.lib.data_types": types_,
    }
    return {name: _module(name, holds) for name, holds in holding.items()}


def _module(name: str, holds: dict[str, Any]) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(holds, __path__=[])
    return module
