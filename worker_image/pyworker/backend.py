"""What one kind of inference server is to a worker: a class and three small modules in a folder of `pyworker/backends`.

    backends/<name>/backend.py   BACKEND = Backend(...): routes, hooks
    backends/<name>/metrics.py   request -> load; what in a reply is a unit of output; how many requests at a time
    backends/<name>/logwatch.py  LOG_RULES, or none
    backends/<name>/launch.sh    starts the server (optional)

The frame knows no backend and no backend knows the frame's insides: it is all in the fields below.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pyworker.logwatch import LogRules
from pyworker.replies import PlainReader, ReplyReader

if TYPE_CHECKING:
    from aiohttp import web

LOAD_MAX: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path that clients POST to, forwarded to the same path of the server. `load` never raises: the server judges payloads."""

    path: str
    load: Callable[[Mapping[str, Any], float], float]
    reader: Callable[[], ReplyReader] = PlainReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A request of our own: the load of its input, and of every unit of its output. A reply in one piece is one unit."""

    route: Route
    payload: Mapping[str, Any]
    input_load: float = 0.0
    unit_load: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many requests the server takes at a time, and which software says so (part of what a measurement is kept under)."""

    slots: int
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One kind of inference server.

    `trial(rng, units, prompt_weight)` makes a request of about `units` units of output, unlike any before it (a cache must not
    help). Trials are asked for between `trial_units_min` and `trial_units_max`. `capacity(info)` reads the reply of
    `info_path`, or nothing where there is none. `keeps_connections` False: connections must not be used for a second request.
    `local_server` makes the application of a backend that lives in this process.
    """

    name: str
    routes: tuple[Route, ...]
    trial: Callable[[random.Random, float, float], Trial]
    trial_units_min: float = 1.0
    trial_units_max: float = 1.0
    health_path: str = "/health"
    info_path: str | None = None
    capacity: Callable[[Mapping[str, Any]], Capacity] = lambda _info: Capacity(slots=1)
    log_rules: LogRules | None = None
    keeps_connections: bool = True
    local_server: Callable[[], Awaitable[web.Application]] | None = None
    required_environment: tuple[str, ...] = field(default=())


def load_backend(name: str) -> Backend:
    """Return the backend of the folder `name`. `settings` has checked that it exists."""
    backend: Backend = importlib.import_module(f"pyworker.backends.{name}.backend").BACKEND
    return backend


def bounded_load(load: float) -> float:
    """Keep a load that a stranger's payload gave rise to within what can be counted; NaN counts as nothing."""
    return min(max(load, 0.0), LOAD_MAX) if load == load else 0.0  # noqa: PLR0124 - NaN alone differs from itself
