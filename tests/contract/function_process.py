"""A function as Lambda runs it: a process of its own that imports the handler and is given one event at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
REQUEST_ID = "6bc28136-xmpl-4365-b021-0ce6b2e64ab0"
_HOST = f"""
import importlib, json, sys, types
handler = importlib.import_module(sys.argv[1]).handler
context = types.SimpleNamespace(aws_request_id={REQUEST_ID!r})
for line in sys.stdin:
    print("RESULT " + json.dumps(handler(json.loads(line), context)), flush=True)
"""


class FunctionProcess:
    """A warm execution environment; a context manager. `lines` holds what it logged."""

    def __init__(self, handler_module: str, *, environment: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOST, handler_module],
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate(timeout=10)

    def invoke(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the handler answers, its JSON body decoded."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("RESULT "):
                result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
                return {**result, "body": json.loads(result["body"])}
            self.lines.append(line)
        raise AssertionError(f"the function ended: {''.join(self.lines)}")
