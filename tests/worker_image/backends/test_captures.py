"""Logs that real servers wrote behind this worker (`make test-servers`, November 2026), trimmed in the middle: what lines mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from pyworker.backend import load_backend
from pyworker.lines import LineSplitter
from pyworker.logwatch import LineKind, LogWatch

CAPTURES: Final = Path(__file__).parent / "captures"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Ready lines, the first fatal reason (with the process's exit last), lines of failed requests, and of statistics."""

    name: str
    ready: int = 0
    reason: str = "exited"
    request_errors: int = 0
    stats: int = 0


LOGS: Final = (
    Expected(name="llamacpp-served", ready=1, request_errors=1, stats=2),
    Expected(
        name="llamacpp-no-model",
        reason="srv  llama_server: exiting due to model loading error"
        " (llama_model_load: error loading model: llama_model_loader: failed to load model from /models/bad.gguf)",
    ),
    Expected(
        name="llamacpp-port-taken",
        reason="srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 42749",
    ),
    Expected(name="openai-transformers-served", ready=1),
    Expected(
        name="openai-transformers-no-model",
        reason="exited (OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/no-model'."
        " Use `repo_type` argument if needed.)",
    ),
    Expected(
        name="openai-transformers-port-taken",
        reason="[Errno 98] error while attempting to bind on address ('127.0.0.1', 36213): address already in use",
    ),
)


@pytest.mark.parametrize("expected", LOGS, ids=lambda expected: expected.name)
def test_a_capture_is_read_as_what_happened(expected: Expected) -> None:
    rules = load_backend(expected.name.split("-", 1)[0]).log_rules
    assert rules is not None
    reasons: list[str] = []
    watch = LogWatch(rules=rules, on_ready=lambda: None, on_fatal=reasons.append, on_progress=lambda: None)
    splitter = LineSplitter()
    lines = [*splitter.feed((CAPTURES / f"{expected.name}.log").read_bytes()), *splitter.flush()]
    for line in lines:
        watch.see(line)
    kinds = [rules.classify(line)[0] for line in lines]
    counts = {kind: kinds.count(kind) for kind in LineKind}

    assert (
        Expected(
            name=expected.name,
            ready=counts[LineKind.READY],
            reason=[*reasons, watch.explain("exited")][0],
            request_errors=counts[LineKind.REQUEST_ERROR],
            stats=counts[LineKind.STATS],
        )
        == expected
    )
