"""ministack, an emulator of AWS, as a child process that can be trusted to go away.

The child has its own interpreter, its own folder, a new process group and an environment written
here from nothing. The listening socket is bound here, to 127.0.0.1 and by default to port 0, and
handed down: whoever connects waits in the kernel until the child serves, so a start needs no
polling, and a child that dies refuses the connection at once. The child's standard input is a pipe
that breaks when this process goes, however it goes (see `emulator_main`).

Measured 2026-11 on 2 cores: start 0.2-0.35 s, 36 MB; stop 0.2 s.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from sandbox.aws.clients import OPERATOR_KEY_ID, OPERATOR_SECRET, Clients
from sandbox.aws.errors import EmulatorFailed, PortTaken
from sandbox.aws.runtime_packages import link_runtime_packages

EMULATOR_INTERPRETER: Final = Path(__file__).resolve().parents[2] / ".venvs" / "emulator" / "bin" / "python"
"""Where `make setup` puts it: ministack's dependencies must not mix with the project's."""
HOST: Final = "127.0.0.1"
ACCOUNT_ID: Final = "123456789012"
START_DEADLINE_S: Final = 30.0
STOP_GRACE_S: Final = 6.0
REQUEST_TIMEOUT_S: Final = 10.0
FUNCTION_CONCURRENCY_MAX: Final = 16
"""Executions at a time; a worker is about 50 MB, and AWS's default of 1,000 would not fit here. More are throttled, as on AWS."""
WARM_WORKER_TTL_S: Final = 60
LOG_TAIL_LINES: Final = 30

_MAIN: Final = Path(__file__).with_name("emulator_main.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSettings:
    """How to run the emulator.

    `interpreter` is the Python that has ministack installed; functions run under it too, so it has to
    be of the version that their dependencies were built for. With `enforce_iam` every function has
    the rights of its role and no others. `port` 0 takes a free one.
    """

    interpreter: Path = EMULATOR_INTERPRETER
    region: str = "eu-central-1"
    enforce_iam: bool = False
    port: int = 0


class Operation(NamedTuple):
    """An API operation and who called it.

    `caller` is `operator` for the clients made here, a function's name where IAM is enforced,
    `functions` where it is not and all functions share one key, or `anonymous`.
    """

    api: str
    caller: str


class Emulator:
    """A running emulator; use it as a context manager, or call `stop` yourself.

    `on_death` is called once, from another thread, with a message to show, when the emulator ends
    without having been asked to.

    Raises `EmulatorFailed` when it does not come up, `PortTaken` when the port asked for is in use.
    """

    def __init__(self, settings: EmulatorSettings, *, on_death: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self.account_id = ACCOUNT_ID
        self.region = settings.region
        self._stopping = threading.Event()
        listener = _bind(settings.port)
        self._port: int = listener.getsockname()[1]
        self._clients = Clients(endpoint_url=self.endpoint_url, region=settings.region)
        self._folder = Path(tempfile.mkdtemp(prefix="headgate-aws-"))
        try:
            self._process = self._spawn(listener)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        finally:
            # Only the child may hold the socket, so that its death refuses connections.
            listener.close()
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._watch, args=(on_death,), name=f"aws-emulator-{self.pid}", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def endpoint_url(self) -> str:
        """Where every AWS API is served."""
        return f"http://{HOST}:{self._port}"

    def client(self, service: str) -> Any:
        """Give the boto3 client of a service, made once; safe to call from any thread."""
        return self._clients.get(service)

    def reachable_url(self, function_url: str) -> str:
        """Rewrite `https://<id>.lambda-url.<region>.on.aws/<path>` to where it is served here.

        Any other URL is returned as it is.
        """
        parts = urlsplit(function_url)
        url_id, _, domain = (parts.hostname or "").partition(".")
        if not domain.startswith("lambda-url."):
            return function_url
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.endpoint_url}/_aws/lambda-url/{url_id}{parts.path or '/'}{query}"

    def operations(self) -> Counter[Operation]:
        """Count the operations served since the start, by API and caller.

        Subtract two of them to count what happened in between. Counted are the services that name
        the operation in a header, in their own spelling (`DynamoDB.UpdateItem`, `AmazonSQS.SendMessage`,
        `secretsmanager.GetSecretValue`, `Logs.PutLogEvents`), `Lambda.Invoke` and `Lambda.InvokeFunctionUrl`.
        """
        counts: Counter[Operation] = Counter()
        for api, caller, count in json.loads(self._get("/_headgate/operations", timeout_s=REQUEST_TIMEOUT_S)):
            counts[Operation(api, _caller_name(caller))] += count
        return counts

    def poll(self) -> str | None:
        """Return None while the emulator runs, else a message that says how it ended."""
        status = self._process.poll()
        return None if status is None else self._obituary(status)

    def ensure_alive(self) -> None:
        """Raise `EmulatorFailed` if the emulator has ended or answers no more."""
        if self._answers():
            return
        # Its sockets close a moment before its status can be had.
        self._wait(STOP_GRACE_S)
        raise EmulatorFailed(self.poll() or f"the AWS emulator answers no more; the end of its log:\n{self._log_tail()}")

    def stop(self) -> None:
        """End the emulator and every function in it, and remove its files; harmless when repeated."""
        self._stopping.set()
        try:
            self._end_process()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _spawn(self, listener: socket.socket) -> subprocess.Popen[bytes]:
        (self._folder / "tmp").mkdir()
        link_runtime_packages(self._folder / "runtime")
        arguments = [str(listener.fileno()), str(self._folder)]
        with self._log_path.open("wb") as log:
            try:
                return subprocess.Popen(
                    [self.settings.interpreter, _MAIN, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder / "tmp",
                    env=self._environment(),
                    pass_fds=[listener.fileno()],
                    start_new_session=True,
                )
            except OSError as exc:
                message = f"no emulator at {self.settings.interpreter} ({exc.strerror}): run `make setup`"
                raise EmulatorFailed(message) from exc

    def _environment(self) -> dict[str, str]:
        """Write the child's whole environment; its functions inherit it."""
        temporary = str(self._folder / "tmp")
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": temporary,
            "TMPDIR": temporary,
            "PYTHONNOUSERSITE": "1",
            "AUTH": "true" if self.settings.enforce_iam else "false",
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self._port),
            "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
            "MINISTACK_REGION": self.settings.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": OPERATOR_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": OPERATOR_SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LAMBDA_EXECUTOR": "local",
            "LAMBDA_ACCOUNT_CONCURRENCY": str(FUNCTION_CONCURRENCY_MAX),
            "LAMBDA_WARM_TTL_SECONDS": str(WARM_WORKER_TTL_S),
            "LOG_LEVEL": "WARNING",
            # Listeners on fixed ports, and containers: none of them is wanted here.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._folder}/no-docker.sock",
        }

    def _await_ready(self) -> None:
        """Ask for the health page once; the connection waits in the kernel until it is served."""
        if not self._answers(timeout_s=START_DEADLINE_S):
            self.ensure_alive()

    def _answers(self, *, timeout_s: float = REQUEST_TIMEOUT_S) -> bool:
        try:
            self._get("/_ministack/health", timeout_s=timeout_s)
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _get(self, path: str, *, timeout_s: float) -> bytes:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def _watch(self, on_death: Callable[[str], None] | None) -> None:
        status = self._process.wait()
        if on_death is not None and not self._stopping.is_set():
            on_death(self._obituary(status))

    def _wait(self, timeout_s: float) -> bool:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _end_process(self) -> None:
        self._process.terminate()
        if not self._wait(STOP_GRACE_S):
            self._process.kill()
            self._process.wait()
        # Functions that outlived the server, as when it was killed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()

    @property
    def _log_path(self) -> Path:
        return self._folder / "emulator.log"

    def _obituary(self, status: int) -> str:
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return f"the AWS emulator ended {how}; the end of its log:\n{self._log_tail()}"

    def _log_tail(self) -> str:
        try:
            with self._log_path.open(errors="replace") as log:
                return "".join(deque(log, maxlen=LOG_TAIL_LINES)).strip() or "(empty)"
        except FileNotFoundError:
            return "(gone)"


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A restart on the same port must not wait for the last one's closed connections.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} on {HOST} is in use") from exc
        raise
    return listener


def _caller_name(caller: str) -> str:
    if caller == OPERATOR_KEY_ID:
        return "operator"
    return "functions" if caller == ACCOUNT_ID else caller.rpartition("/")[2]
