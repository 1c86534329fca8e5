"""TGI's log, loads and capacity, as its versions write and tell them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyworker.backends.tgi.backend import BACKEND
from pyworker.backends.tgi.logwatch import LOG_RULES
from pyworker.backends.tgi.metrics import MAX_NEW_TOKENS_DEFAULT, SLOTS_DEFAULT, capacity, load_of, token_units
from pyworker.lines import LineSplitter
from pyworker.logwatch import LineKind, LogWatch
from pyworker.replies import EventReader

CAPTURED: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "logs" / "tgi"


def launcher(message: str, *, level: str = "ERROR") -> str:
    """A line of the launcher with `--json-output`: the message is nested."""
    fields = {"message": message}
    return json.dumps({"timestamp": "2024-02-21T05:09:46Z", "level": level, "fields": fields, "target": "text_generation_launcher"})


def router(message: str, *, level: str = "ERROR") -> str:
    """A line of the router with `--json-output`: the message is flat."""
    target = "text_generation_router::server"
    return json.dumps({"timestamp": "2025-09-01T10:00:05Z", "level": level, "message": message, "target": target})


READY: Final = (
    router("Connected", level="INFO"),
    '{"timestamp":"2024-02-21T05:10:01.304586Z","level":"INFO","message":"Connected","target":"text_generation_router"}',
    "2025-05-01T01:31:02.842858Z  INFO text_generation_router::server: router/src/server.rs:2266: Connected",
    "2023-06-01T10:00:00.000001Z  INFO text_generation_router: router/src/main.rs:178: Connected",
)
FATAL: Final = (
    "Error: ShardCannotStart",
    "Error: WebserverFailed",
    "Error: DownloadError",
    "Error: ShardFailed",
    'Error: ArgumentValidation("`max_input_length` must be < `max_total_tokens`")',
    'Error: NotEnoughCUDADevices("`sharded` is true but only found 1 CUDA devices")',
    "2023-08-17T10:23:27.032737Z ERROR text_generation_launcher: Shard 0 failed to start",
    launcher("Shard 0 crashed"),
    launcher("Webserver Crashed"),
    launcher("Download encountered an error: \nTraceback\nOSError: no such model"),
    "2023-08-17T10:23:27Z ERROR shard-manager: text_generation_launcher: Shard process was signaled to shutdown with signal 9",
    router("Failed to bind to 0.0.0.0:80: Address already in use"),
    "RuntimeError: Not enough memory to handle `max_total_tokens=4096`. You need to decrease `--max-total-tokens`",
)
TALK: Final = (
    launcher("Starting download process.", level="INFO"),
    router("Warming up model", level="INFO"),
    router("Input validation error: `inputs` cannot be empty"),
    router("Request failed during generation: Server error: CUDA error"),
    router("Model is overloaded"),
    launcher("Connected to the tracing collector", level="INFO"),
    "2024-01-01T00:00:00Z  INFO text_generation_launcher: Not Connected",
    "user text that says Error: ShardCannotStart in the middle",
    "{broken json",
    "{}",
    '{"message":null}',
    "[1,2]",
)


@pytest.mark.parametrize("line", READY)
def test_a_ready_line_is_a_hint_in_every_frame(line: str) -> None:
    assert LOG_RULES.classify(line)[0] is LineKind.READY


@pytest.mark.parametrize("line", FATAL)
def test_a_named_failure_is_fatal_in_every_frame(line: str) -> None:
    assert LOG_RULES.classify(line)[0] is LineKind.FATAL


@pytest.mark.parametrize("line", TALK)
def test_errors_of_single_requests_and_other_talk_are_neither(line: str) -> None:
    assert LOG_RULES.classify(line)[0] not in {LineKind.READY, LineKind.FATAL, LineKind.CAUSE}


def test_an_exception_is_a_cause() -> None:
    line = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"

    assert LOG_RULES.classify(line)[0] is LineKind.CAUSE


def test_the_cause_is_told_with_a_failure_that_says_nothing() -> None:
    reasons: list[str] = []
    watch = LogWatch(rules=LOG_RULES, on_ready=lambda: None, on_fatal=reasons.append, on_progress=lambda: None)
    for line in ("torch.cuda.OutOfMemoryError: CUDA out of memory.", " rank=0", "Error: ShardCannotStart"):
        watch.see(line)

    assert reasons == ["Error: ShardCannotStart (torch.cuda.OutOfMemoryError: CUDA out of memory.)"]


def captured_logs() -> list[Path]:
    return sorted(CAPTURED.glob("*.log")) if CAPTURED.is_dir() else []


@pytest.mark.parametrize("log", captured_logs(), ids=lambda log: log.stem)
def test_a_captured_log_is_read_as_its_keeper_read_it(log: Path) -> None:
    expected = json.loads(log.with_suffix(".src.json").read_text())["expects"]
    splitter = LineSplitter()
    kinds = [LOG_RULES.classify(line)[0] for line in [*splitter.feed(log.read_bytes()), *splitter.flush()]]

    assert {"ready": LineKind.READY in kinds, "fatal": LineKind.FATAL in kinds} == {
        "ready": expected["ready"] > 0,
        "fatal": expected["fatal"] > 0,
    }


@pytest.mark.parametrize(
    ("payload", "load"),
    [
        ({"inputs": "x" * 400, "parameters": {"max_new_tokens": 50}}, 70),
        ({"inputs": "", "parameters": {"max_new_tokens": 50}}, 50),
        ({"inputs": "", "parameters": {}}, MAX_NEW_TOKENS_DEFAULT),
        ({"inputs": ""}, MAX_NEW_TOKENS_DEFAULT),
        ({"inputs": "", "parameters": {"max_new_tokens": 50, "best_of": 3}}, 150),
        ({"inputs": "é" * 200, "parameters": {"max_new_tokens": 50}}, 70),
    ],
)
def test_load_is_new_tokens_and_a_fifth_of_the_prompt(payload: dict[str, Any], load: float) -> None:
    assert load_of(payload, 0.2) == load


ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["", "x" * 40, [], {}, {"a": 1}]))


@given(
    st.fixed_dictionaries(
        {}, optional={"inputs": ODD, "parameters": ODD | st.fixed_dictionaries({"max_new_tokens": ODD, "best_of": ODD})}
    )
)
def test_whatever_the_payload_its_load_can_be_counted(payload: dict[str, Any]) -> None:
    load = load_of(payload, 0.2)

    assert math.isfinite(load)
    assert load >= 0


def test_each_token_event_is_a_unit_wherever_the_chunks_end() -> None:
    stream = b'data:{"index":1,"token":{"id":1}}\n\ndata:{"index":2,"token":{"id":2}}\n\ndata:{"other":1}\n\n'
    reader = EventReader(token_units)

    assert sum(reader.feed(stream[at : at + 7]) for at in range(0, len(stream), 7)) == 2


def test_an_error_told_inside_a_stream_is_noticed() -> None:
    reader = EventReader(token_units)
    reader.feed(b'data:{"error":"Request failed during generation","error_type":"generation"}\n\n')

    assert reader.fault() == "Request failed during generation"


def test_text_that_speaks_of_errors_is_none() -> None:
    reader = EventReader(token_units)
    reader.feed(b'data:{"token":{"text":" \\"error\\": 5"},"generated_text":null}\n\n')

    assert reader.fault() == ""


@pytest.mark.parametrize(
    ("info", "slots"),
    [
        ({"max_batch_size": 8, "max_concurrent_requests": 128, "max_batch_total_tokens": 100_000}, 8),
        ({"max_batch_size": None, "max_concurrent_requests": 4, "max_batch_total_tokens": 100_000}, 4),
        ({"max_concurrent_requests": 128, "max_batch_total_tokens": 16_000}, 15),
        ({"max_batch_total_tokens": 10}, 1),
        ({}, SLOTS_DEFAULT),
        ({"max_batch_size": "many", "max_concurrent_requests": -1}, SLOTS_DEFAULT),
    ],
)
def test_the_server_takes_as_many_as_the_least_of_its_limits(info: dict[str, Any], slots: int) -> None:
    assert capacity(info).slots == slots


def test_the_worker_serves_its_own_routes_and_chat() -> None:
    assert [route.path for route in BACKEND.routes] == ["/generate", "/generate_stream", "/v1/chat/completions"]
