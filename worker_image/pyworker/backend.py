"""What one kind of inference server is to a worker: a few values in a folder of `pyworker/backends`.

    backends/<name>/backend.py   BACKEND = Backend(...): routes, request -> load, a trial request, hooks
    backends/<name>/metrics.py   Metrics(...): how many requests at a time, which answers are failures, what is reported
    backends/<name>/logwatch.py  LogRules(...): log line -> event
    backends/<name>/launch.sh    starts the server (optional)

The frame knows no backend and no backend knows the frame's insides: it is all in the fields below. Every hook is a pure function,
except `Route.serve` and `local_server`.
"""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from protocol.problem import Problem, RequestRefused
from pyworker.logwatch import LogRules
from pyworker.metrics import SERIAL, Metrics

if TYPE_CHECKING:
    from aiohttp import ClientResponse, web

MODEL_URL: Final = "http://127.0.0.1:5001"
MODEL_LOG: Final = "model.log"
MAX_QUEUE_TIME_S: Final = 30.0


class BadPayload(RequestRefused):
    """A payload that cannot be sent to the server: 422, naming `field`. Raised by `Route.prepare` and `Route.serve`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(Problem(status=422, code="invalid_field", message=f"{field}: {message}", field=field))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole reply."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Server(Protocol):
    """The inference server, as `Route.serve` may use it."""

    async def call(self, method: str, path: str, payload: Mapping[str, Any] | None = None) -> Answer:
        """Make one call; any status is an answer. Raises UpstreamFailed when there is none."""
        ...


def _as_it_is(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path that clients POST to, forwarded to the same path of the server, unless `server_path` is another.

    `load(payload, prompt_weight)` is the request's load in load units, and never raises: the server judges payloads. `units(event)`
    tells how many units of output (tokens, images) the bytes of one event of a streamed reply carry; None: the reply comes in one
    piece. `prepare` may change the payload on its way (raises BadPayload). `serve`, if given, answers in place of forwarding, for
    servers whose answer takes more than one call; its request holds a slot meanwhile, and is cancelled when the client goes away.
    `respond`, if given, makes the client's reply out of the server's, in place of passing it on.
    """

    path: str
    load: Callable[[Mapping[str, Any], float], float]
    units: Callable[[bytes], int] | None = None
    prepare: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_it_is
    serve: Callable[[Server, Mapping[str, Any]], Awaitable[Answer]] | None = None
    respond: Callable[[web.BaseRequest, ClientResponse], Awaitable[web.StreamResponse]] | None = None
    server_path: str = ""

    @property
    def target(self) -> str:
        """Return the path at the server."""
        return self.server_path or self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How large a trial should be: about so many units of output, after about so many tokens of prompt if it has one."""

    rng: random.Random
    units: float
    prompt_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A request of our own: the tokens of its prompt (0: it has none), and the load of every unit of its output.

    A reply in one piece is one unit.
    """

    route: Route
    payload: Mapping[str, Any]
    prompt_tokens: float = 0.0
    unit_load: float = 1.0


def _no_headers(_environment: Mapping[str, str]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One kind of inference server.

    `trial` makes a request unlike any before it (a cache must not help); its size is asked for between `trial_units_min` and
    `trial_units_max`. The server is healthy when `health_path` (or a whole address) answers 200, or if that is empty, when anything
    answers. `keeps_connections` False: connections must not be used for a second request. `model_url`, `model_log` and
    `max_queue_time_s` hold unless the environment says otherwise. `server_headers(environment)` go with every request to the server
    (an API key). `required_environment` is what launch.sh cannot do without. `local_server` makes the application of a backend that
    lives in this process.
    """

    name: str
    routes: tuple[Route, ...]
    trial: Callable[[Ask], Trial]
    trial_units_min: float = 1.0
    trial_units_max: float = 1.0
    metrics: Metrics = SERIAL
    log_rules: LogRules | None = None
    health_path: str = "/health"
    keeps_connections: bool = True
    model_url: str = MODEL_URL
    model_log: str = MODEL_LOG
    max_queue_time_s: float = MAX_QUEUE_TIME_S
    server_headers: Callable[[Mapping[str, str]], Mapping[str, str]] = _no_headers
    required_environment: tuple[str, ...] = ()
    local_server: Callable[[], Awaitable[web.Application]] | None = None


class BadBackend(ValueError):
    """A backend's own variables cannot be worked with; the message names the variable and what it must be."""


def chosen(name: str, values: tuple[str, ...]) -> str:
    """Return which of `values` the variable `name` chooses, the first by default. Raises BadBackend."""
    value = os.environ.get(name) or values[0]
    if value not in values:
        raise BadBackend(f"{name} must be one of {', '.join(values)}, not {value!r}")
    return value


def load_backend(name: str) -> Backend:
    """Return the backend of the folder `name`, of which `settings` has checked that it exists. Raises BadBackend."""
    backend: Backend = importlib.import_module(f"pyworker.backends.{name}.backend").BACKEND
    return backend
