"""What the environment tells a worker, read once, checked whole.

Every fault is found before any is told, so that a template is mended in one go. If the variables that name the worker and its
control plane are sound, the faults of the others are reported there as the worker's error; if not, the container's log is all
there is.
"""

from __future__ import annotations

import enum
import importlib.util
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pyworker.backend import Ask, Backend, BadBackend, Trial, load_backend

PERF_LIMIT_S: Final = 28.0
SESSIONS_MAX: Final = 10
LOAD_TIMEOUT_S: Final = 1800.0
KEYS_TIMEOUT_S: Final = 60.0
DRAIN_TIMEOUT_S: Final = 120.0
BODY_BYTES_MAX: Final = 16 * 2**20  # anybody may make the worker hold this much, before the ticket in it is checked
_CREDENTIALS: Final = frozenset({"MASTER_TOKEN", "CONTAINER_API_KEY", "JUPYTER_TOKEN"})
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$")
_DAY_S: Final = 86_400.0


class Tls(enum.StrEnum):
    """Whether clients get TLS: what USE_SSL says."""

    OFFERED = "auto"  # to those who ask for it, on the same port
    REQUIRED = "true"
    OFF = "false"


class BadEnvironment(ValueError):
    """The environment cannot be worked with.

    `problems` holds a sentence for each variable at fault; `identity` is who can report them, None if that is among the faults.
    """

    def __init__(self, problems: tuple[str, ...], identity: Identity | None) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.identity = identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this worker is and to whom it reports. `url` is where clients reach it; `token` is secret."""

    worker_id: str
    endpoint: str
    instance_id: int
    report_url: str
    token: str = field(repr=False)
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything else. Times in seconds; `launch_command` empty means that the inference server runs already or is part of us.

    `slots` 0 means: ask the server. `prompt_weight` is the load of one prompt token in generated tokens, None: measure it.
    `peers_perf` is the median speed of workers like this one, 0 where it is not known.
    """

    listen_host: str
    listen_port: int
    backend: Backend
    model_url: str
    model_headers: Mapping[str, str] = field(repr=False)
    model_log: Path
    model_id: str
    launch_command: tuple[str, ...]
    launch_environment: Mapping[str, str] = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    working_directory: Path
    tls: Tls
    slots: int
    sessions_max: int
    prompt_weight: float | None
    peers_perf: float
    max_queue_time_s: float
    perf_limit_s: float
    load_timeout_s: float
    keys_timeout_s: float
    drain_timeout_s: float
    body_bytes_max: int


def read_environment(environment: Mapping[str, str], *, working_directory: Path) -> tuple[Identity, Settings]:
    """Read everything. Raises BadEnvironment naming every missing or bad variable."""
    who, rest = _Reader(environment), _Reader(environment)
    identity, settings = _identity(who, rest), _settings(rest, working_directory)
    if launch_problem := environment.get("HEADGATE_LAUNCH_PROBLEM"):  # from start_server.sh
        rest.problems.append(launch_problem)
    if who.problems or rest.problems:
        raise BadEnvironment((*who.problems, *rest.problems), None if who.problems else identity)
    return identity, settings


def _identity(who: _Reader, rest: _Reader) -> Identity:
    scheme = "https" if _tls(_Reader(rest.environment)) is Tls.REQUIRED else "http"
    port_name = f"VAST_TCP_PORT_{who.environment.get('WORKER_PORT', '3000')}"
    return Identity(
        worker_id=who.text("HEADGATE_WORKER_ID"),
        instance_id=who.integer("CONTAINER_ID", minimum=0),
        report_url=who.url("REPORT_ADDR"),
        token=who.text("MASTER_TOKEN"),
        endpoint=rest.text("HEADGATE_ENDPOINT"),
        url=f"{scheme}://{rest.text('PUBLIC_IPADDR').strip()}:{rest.integer(port_name, minimum=1, maximum=65_535)}",
    )


def _settings(reader: _Reader, working_directory: Path) -> Settings:
    environment = reader.environment
    backend = reader.backend("BACKEND")
    return Settings(
        listen_host=environment.get("HEADGATE_LISTEN_HOST", "0.0.0.0"),  # noqa: S104 - clients come from the internet
        listen_port=_listen_port(reader),
        tls=_tls(reader),
        backend=backend,
        model_url=reader.url("MODEL_SERVER_URL", default=backend.model_url),
        model_headers=backend.server_headers(environment),
        model_log=working_directory / environment.get("MODEL_LOG", backend.model_log),
        model_id=environment.get("MODEL_ID", ""),
        launch_command=_launch_command(reader, backend),
        launch_environment=_without_credentials(environment),
        secrets=_secrets(environment),
        working_directory=working_directory,
        slots=reader.integer("HEADGATE_SLOTS", default=0, minimum=0, maximum=4096),
        sessions_max=reader.integer("HEADGATE_MAX_SESSIONS", default=SESSIONS_MAX, minimum=0, maximum=10_000),
        prompt_weight=_prompt_weight(reader),
        peers_perf=reader.number("HEADGATE_PEERS_PERF", default=0.0, minimum=0, maximum=1e9),
        max_queue_time_s=reader.number("HEADGATE_MAX_QUEUE_TIME", default=backend.max_queue_time_s, minimum=0.1, maximum=3600),
        perf_limit_s=reader.number("HEADGATE_PERF_SECONDS_MAX", default=PERF_LIMIT_S, minimum=1, maximum=600),
        load_timeout_s=reader.number("HEADGATE_LOAD_TIMEOUT_S", default=LOAD_TIMEOUT_S, minimum=1, maximum=_DAY_S),
        keys_timeout_s=reader.number("HEADGATE_KEYS_TIMEOUT_S", default=KEYS_TIMEOUT_S, minimum=1, maximum=_DAY_S),
        drain_timeout_s=reader.number("HEADGATE_DRAIN_TIMEOUT_S", default=DRAIN_TIMEOUT_S, minimum=0, maximum=_DAY_S),
        body_bytes_max=reader.integer("HEADGATE_BODY_BYTES_MAX", default=BODY_BYTES_MAX, minimum=1024, maximum=2**30),
    )


def _tls(reader: _Reader) -> Tls:
    return Tls(reader.choice("USE_SSL", tuple(Tls)))


def _prompt_weight(reader: _Reader) -> float | None:
    name = "HEADGATE_PROMPT_WEIGHT"
    return reader.number(name, default=0.0, minimum=0, maximum=100) if reader.environment.get(name) else None


def _listen_port(reader: _Reader) -> int:
    name = "HEADGATE_LISTEN_PORT" if "HEADGATE_LISTEN_PORT" in reader.environment else "WORKER_PORT"
    return reader.integer(name, default=3000, minimum=0, maximum=65_535)


def _launch_command(reader: _Reader, backend: Backend) -> tuple[str, ...]:
    given = reader.command("MODEL_LAUNCH_COMMAND")
    script = Path(__file__).parent / "backends" / backend.name / "launch.sh"
    if reader.choice("HEADGATE_SERVER", ("start", "join")) == "join":
        return ()
    if given or not script.is_file():
        return given
    for name in backend.required_environment:
        reader.text(name)
    return ("/bin/sh", str(script))


def _without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    # The inference server runs other people's code: it has no business with our credential, nor with the marketplace's.
    return {name: value for name, value in environment.items() if name not in _CREDENTIALS}


def _no_trial(_ask: Ask) -> Trial:
    raise AssertionError("there is no backend")


# Stands in for a backend that is not there, until the problem is told along with the others.
_NO_BACKEND: Final = Backend(name="", routes=(), trial=_no_trial)


def _secrets(environment: Mapping[str, str]) -> frozenset[str]:
    # By name, since who rents may pass any: what an inference server writes of them must not get into an error report.
    return frozenset(value for name, value in environment.items() if _SECRET_NAME.search(name))


class _Reader:
    """Reads variables and remembers what was wrong with each."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value.strip():
            self.problems.append(f"{name} is not set")
        return value

    def url(self, name: str, *, default: str = "") -> str:
        value = self.environment.get(name, default) or self.text(name)
        parts = urlsplit(value)
        if value and ("," in value or parts.scheme not in {"http", "https"} or not parts.hostname):
            self.problems.append(f"{name} must be one http:// or https:// address")
        return value.rstrip("/")

    def number(self, name: str, *, default: float, minimum: float, maximum: float) -> float:
        text = self.environment.get(name, "")
        value = _number(text) if text else default
        if not minimum <= value <= maximum:  # also for NaN, which text that is no number becomes
            self.problems.append(f"{name} must be a number from {minimum:g} to {maximum:g}, not {text!r}")
            return default
        return value

    def integer(self, name: str, *, minimum: int, maximum: int = 2**53, default: int | None = None) -> int:
        text = self.environment.get(name, "").strip()
        if not text and default is None:
            self.problems.append(f"{name} is not set")
            return minimum
        value = int(text) if text.isascii() and text.isdigit() else -1
        if text and not minimum <= value <= maximum:
            self.problems.append(f"{name} must be a whole number from {minimum} to {maximum}, not {text!r}")
        return value if text else default or 0

    def choice(self, name: str, values: tuple[str, ...]) -> str:
        value = self.environment.get(name, "") or values[0]
        if value not in values:
            self.problems.append(f"{name} must be one of {', '.join(values)}, not {value!r}")
            return values[0]
        return value

    def command(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(self.environment.get(name, "")))
        except ValueError as exc:
            self.problems.append(f"{name} cannot be split into words: {exc}")
            return ()

    def backend(self, name: str) -> Backend:
        value = self.text(name)
        if value.isidentifier() and importlib.util.find_spec(f"pyworker.backends.{value}"):
            try:
                return load_backend(value)
            except BadBackend as exc:
                self.problems.append(str(exc))
        elif value:
            self.problems.append(f"{name} is {value!r}, for which there is no folder in pyworker/backends")
        return _NO_BACKEND


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
