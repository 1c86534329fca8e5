"""Real logs of every server, read as their source notes say; skipped where the collection is not at hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from pyworker.backend import load_backend
from pyworker.lines import LineSplitter
from pyworker.logwatch import LineKind, LogRules, LogWatch

LOGS: Final = Path(__file__).resolve().parents[4] / "shared" / "data" / "logs"
BACKEND_OF: Final = {
    "a1111": "sdauto",
    "comfyui": "comfyui",
    "llama.cpp": "llamacpp",
    "ollama": "ollama",
    "oobabooga": "ooba",
    "sglang": "sglang",
    "tei": "tei",
    "tgi": "tgi",
    "vllm": "vllm",
    "real-llama.cpp": "llamacpp",
    "real-transformers": "openai",
    "real-vllm": "vllm",
}
KIND_OF: Final = {
    "ready": LineKind.READY,
    "fatal": LineKind.FATAL,
    "request_error": LineKind.REQUEST_ERROR,
    "stats": LineKind.STATS,
    "loading": LineKind.LOADING,
    "download": LineKind.LOADING,
    "api_up": LineKind.LOADING,
}
# A note counts these; of the others it says that there are some: a failure and a start take several lines.
COUNTED: Final = frozenset({"ready", "stats"})
# What a failed start of a real server is known by, beside its exit: the line that is told with it.
WHY: Final = {
    "real-llama.cpp/fail-bad-flag": "invalid argument: --no-such-flag",
    "real-llama.cpp/fail-hf-download": "exiting due to model loading error",
    "real-llama.cpp/fail-no-such-model": "failed to load model from models/nope.gguf",
    "real-llama.cpp/fail-not-gguf": "failed to load model from models/garbage.gguf",
    "real-llama.cpp/fail-port-in-use": "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18082",
    "real-llama.cpp/fail-ram-oom": "failed to allocate buffer for kv cache",
    "real-llama.cpp/fail-truncated-gguf": "data is not within the file bounds",
    "real-transformers/fail-hub-offline": "We couldn't connect to 'https://huggingface.co'",
    "real-transformers/fail-no-such-path": "Repo id must be in the form",
    "real-transformers/fail-port-in-use": "[Errno 98] error while attempting to bind on address",
    "real-vllm/fail-hub-offline": "Cannot find an appropriate cached snapshot folder",
    "real-vllm/fail-kv-oom": "EngineCore failed to start. (ValueError: Available memory on node 0",
    "real-vllm/fail-no-such-path": "Repo id must be in the form",
    "real-vllm/fail-port-in-use": "[Errno 98] Address already in use",
}


def logs(pattern: str) -> list[str]:
    return sorted(f"{log.parent.name}/{log.stem}" for log in LOGS.glob(pattern)) if LOGS.is_dir() else []


def noted() -> list[str]:
    return [name for name in logs("*/*.log") if (LOGS / f"{name}.src.json").is_file()]


def rules_of(name: str) -> LogRules:
    rules = load_backend(BACKEND_OF[name.split("/", maxsplit=1)[0]]).log_rules
    assert rules is not None
    return rules


def lines_of(name: str) -> list[str]:
    splitter = LineSplitter()
    return [*splitter.feed((LOGS / f"{name}.log").read_bytes()), *splitter.flush()]


def kinds_of(name: str) -> Counter[LineKind]:
    rules = rules_of(name)
    return Counter(rules.classify(line)[0] for line in lines_of(name))


@pytest.mark.parametrize("name", noted())
def test_an_excerpt_is_read_as_its_keeper_read_it(name: str) -> None:
    expected = {"ready": 0, "fatal": 0, **json.loads((LOGS / f"{name}.src.json").read_text())["expects"]}
    kinds = kinds_of(name)
    found = {what: kinds[KIND_OF[what]] if what in COUNTED else min(1, kinds[KIND_OF[what]]) for what in expected}

    assert found == {what: count if what in COUNTED else min(1, count) for what, count in expected.items()}


@pytest.mark.parametrize("name", [name for name in logs("real-*/*.log") if "/fail-" not in name])
def test_a_real_run_shows_itself_ready_and_never_dead(name: str) -> None:
    kinds = kinds_of(name)

    assert (kinds[LineKind.READY] > 0, kinds[LineKind.FATAL]) == (True, 0)


@pytest.mark.parametrize("name", logs("real-*/fail-*.log"))
def test_a_failed_start_never_shows_itself_ready(name: str) -> None:
    assert kinds_of(name)[LineKind.READY] == 0


@pytest.mark.parametrize("name", logs("real-*/fail-*.log"))
def test_a_failed_start_is_told_with_what_caused_it(name: str) -> None:
    reasons: list[str] = []
    watch = LogWatch(rules=rules_of(name), on_ready=lambda: None, on_fatal=reasons.append, on_progress=lambda: None)
    for line in lines_of(name):
        watch.see(line)
    reasons.append(watch.explain("the inference server exited with code 1"))

    assert WHY[name] in reasons[0]
