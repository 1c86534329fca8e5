"""A function under AWS's own runtime client (`awslambdaric`), as Lambda runs it: a process that fetches events over HTTP.

Source of the API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO, Any, Final, Self

import psutil

from bench.loopback import LoopbackServer

ROOT: Final = Path(__file__).parents[1]
FUNCTION_S_MAX: Final = 30.0
_PREFIX: Final = "/2018-06-01/runtime/"


class FunctionFailed(Exception):
    """The function reported an error, or did not answer."""


class LambdaProcess:
    """One execution environment of `handler` (`module.function`); a context manager. What it logs goes to `log`, or nowhere."""

    def __init__(self, handler: str, *, environment: Mapping[str, str], log: IO[str] | int = subprocess.DEVNULL) -> None:
        self._events: queue.Queue[bytes] = queue.Queue()
        self._answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._api = LoopbackServer(_runtime_api(self._events, self._answers))
        runtime = {
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "PYTHONPATH": str(ROOT),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler], env={**environment, **runtime}, cwd=ROOT, stdout=log
        )
        self._watched = psutil.Process(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        self._api.stop()

    def invoke(self, event: bytes) -> dict[str, Any]:
        """Return what the handler answers. Raises FunctionFailed."""
        self._events.put(event)
        try:
            path, body = self._answers.get(timeout=FUNCTION_S_MAX)
        except queue.Empty:
            raise FunctionFailed("no answer") from None
        if not path.endswith("/response"):
            raise FunctionFailed(body.decode())
        answer: dict[str, Any] = json.loads(body)
        return answer

    def cpu_s(self) -> float:
        """Return the seconds of CPU that the process has used, in user and kernel."""
        times = self._watched.cpu_times()
        return float(times.user + times.system)


def _runtime_api(events: queue.Queue[bytes], answers: queue.Queue[tuple[str, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            # All of them: the runtime client ends with a segmentation fault where one is missing.
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Invocation-Id": "1",
                "Lambda-Runtime-Aws-Tenant-Id": "",
                "Lambda-Runtime-Client-Context": "{}",
                "Lambda-Runtime-Cognito-Identity": "{}",
                "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
                "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + FUNCTION_S_MAX) * 1_000)),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:bench",
            }
            self._send(200, events.get(), headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self._send(202, b"{}", {})
            if self.path.startswith(_PREFIX):
                answers.put((self.path, body))

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: it is asked thousands of times."""

    return Handler
