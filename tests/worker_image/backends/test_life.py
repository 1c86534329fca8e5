"""Every backend from its launch script to a lost server, in front of a stand-in that speaks and logs as the real one does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from protocol.report import Phase
from sandbox.inference.speech import CRASH, FAIL
from tests.worker_image.backends.standins import serving
from tests.worker_image.waiting import until_async


@dataclass(frozen=True, kw_only=True)
class Case:
    """How to ask a server for `tokens` units of output; `count` counts them in the whole reply, `events` in a stream."""

    name: str
    path: str
    ask: Any
    count: Any
    stream: Mapping[str, Any] | None = None
    events: bytes = b""
    slots: int = 1
    fault: bytes = b'"error"'
    gauges: tuple[float | None, float | None] = (None, None)  # queue depth and cache use of a server at rest
    bad: Mapping[str, Any] = field(default_factory=lambda: {"nothing": True})
    died: str = "the inference server exited with code 1"
    no_memory: str = (
        "the inference server exited with code 1 (torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.)"
    )
    environment: Mapping[str, str] = field(default_factory=dict)


def _chat(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 6}


def _completion(text: str) -> dict[str, Any]:
    return {"prompt": text, "max_tokens": 6}


def _ollama(text: str) -> dict[str, Any]:
    return {"prompt": text, "options": {"num_predict": 6}, "stream": False}


def _workflow(text: str) -> dict[str, Any]:
    nodes = {
        "1": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
        "2": {"class_type": "KSampler", "inputs": {"steps": 6, "seed": 5, "text": text}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
    }
    return {"prompt": nodes}


def _words_of_choice(reply: Any) -> int:
    choice = reply["choices"][0]
    return len((choice.get("text") or choice["message"]["content"]).split())


STREAM: Final = {"stream": True}
CASES: Final = (
    Case(
        name="vllm",
        gauges=(0, 0.0),
        path="/v1/completions",
        ask=_completion,
        count=_words_of_choice,
        stream=STREAM,
        events=b'"text":',
        slots=4,
        died="AsyncLLM output_handler failed.",
        no_memory="EngineCore failed to start.",
    ),
    Case(
        name="openai",
        path="/v1/chat/completions",
        ask=_chat,
        count=_words_of_choice,
        stream=STREAM,
        events=b'"content":" ',
        fault=b"broke off",
    ),
    Case(
        name="sglang",
        gauges=(0, 0.0),
        path="/generate",
        ask=lambda text: {"text": text, "sampling_params": {"max_new_tokens": 6}},
        count=lambda reply: len(reply["text"].split()),
        stream=STREAM,
        events=b'"text":',
        slots=4,
        died="Received sigquit from a child process. It usually means the child failed.",
        no_memory="Scheduler hit an exception: Traceback (most recent call last):",
    ),
    Case(
        name="llamacpp",
        gauges=(0, None),
        path="/completion",
        ask=lambda text: {"prompt": text, "n_predict": 6},
        count=lambda reply: len(reply["content"].split()),
        stream=STREAM,
        events=b'"content":',
        slots=4,
        died="CUDA error: an illegal memory access was encountered",
        no_memory=(
            "srv  llama_server: exiting due to model loading error"
            " (llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache)"
        ),
    ),
    Case(
        name="ollama",
        path="/api/generate",
        ask=_ollama,
        count=lambda reply: len(reply["response"].split()),
        stream=STREAM,
        events=b'"response":',
        died="llama runner process has terminated: exit status 2",
        no_memory=(
            "error loading llama server: llama runner process has terminated: exit status 2"
            " (ggml_cuda: cudaMalloc failed: out of memory)"
        ),
    ),
    Case(
        name="tei",
        gauges=(0, None),
        path="/embed",
        ask=lambda text: {"inputs": [text] * 6},
        count=len,
        slots=4,
        died="Error: Model backend is not healthy",
        no_memory="Error: Could not create backend",
    ),
    Case(
        name="sdauto",
        path="/sdapi/v1/txt2img",
        ask=lambda text: {"prompt": text, "steps": 2, "batch_size": 6},
        count=lambda reply: len(reply["images"]),
        bad={"steps": 0},
        died="the inference server exited with code 1 (RuntimeError: CUDA error: an illegal memory access was encountered)",
        no_memory=(
            "Stable diffusion model failed to load (torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 114.00 MiB)"
        ),
    ),
    Case(
        name="ooba",
        path="/v1/completions",
        ask=_completion,
        count=_words_of_choice,
        stream=STREAM,
        events=b'"text":',
        fault=b"broke off",
        no_memory="Failed to load the model. (torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.)",
    ),
    Case(
        name="ooba",
        path="/api/v1/generate",
        ask=lambda text: {"prompt": text, "max_new_tokens": 6},
        count=lambda reply: len(reply["results"][0]["text"].split()),
        environment={"OOBA_API": "blocking"},
    ),
    Case(
        name="comfyui",
        path="/prompt",
        ask=_workflow,
        count=lambda reply: 6 * len(reply["outputs"]["7"]["images"]),
        no_memory="RuntimeError: No CUDA GPUs are available",
    ),
)


def _named(case: Case) -> str:
    return case.name + "".join(f"-{value}" for value in case.environment.values())


@pytest.fixture
def _environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    case: Case = request.getfixturevalue("case")
    monkeypatch.setenv("MODEL_ID", "tiny.gguf")
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a client and the control plane saw of one life."""

    slots: int
    gauges: tuple[float | None, float | None]
    measured: bool
    status: int
    units: int
    streamed: int
    failed_stream: bool
    refused: bool
    failures: int
    error: str


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("case", CASES, ids=_named)
async def test_a_server_is_launched_measured_served_and_given_up(case: Case, tmp_path: Path) -> None:
    async with serving(case.name, tmp_path, **case.environment) as served:
        plane = served.control_plane
        assert await served.phase(Phase.READY, Phase.ERROR) is Phase.READY, plane.last.error
        ready = plane.last
        await until_async(lambda: (plane.last.queue_depth is None) == (case.gauges[0] is None), what="the page is read")
        gauges = (plane.last.queue_depth, plane.last.cache_use)
        status, body = await served.post(case.path, case.ask("hello"))
        streamed = await served.post(case.path, {**case.ask("hello"), **case.stream}) if case.stream else (200, b"")
        broken = await served.post(case.path, {**case.ask(f"hello {FAIL}"), **(case.stream or {})})
        refused = await served.post(case.path, case.bad)
        await until_async(lambda: plane.last.finished_requests >= 3 + bool(case.stream))
        failures, phase = plane.last.failed_requests, plane.last.phase
        await served.post(case.path, case.ask(f"hello {CRASH}"))
        await served.phase(Phase.ERROR)
        seen = Seen(
            slots=ready.slots,
            gauges=gauges,
            measured=ready.perf > 0,
            status=status,
            units=case.count(json.loads(body)),
            streamed=streamed[1].count(case.events) if case.stream else 6,
            failed_stream=case.fault in broken[1],
            refused=400 <= refused[0] < 500 and phase is Phase.READY,
            failures=failures,
            error=plane.last.error,
        )

    assert seen == Seen(
        slots=case.slots,
        gauges=case.gauges,
        measured=True,
        status=200,
        units=6,
        streamed=6,
        failed_stream=True,
        refused=True,
        failures=1,
        error=case.died,
    )


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("case", [case for case in CASES if not case.environment], ids=_named)
async def test_a_server_that_finds_no_memory_is_told_with_its_reason(case: Case, tmp_path: Path) -> None:
    async with serving(case.name, tmp_path, stand_in="--crash-at-load out-of-memory") as served:
        await served.phase(Phase.ERROR)
        error = served.control_plane.last.error

    assert error == case.no_memory
