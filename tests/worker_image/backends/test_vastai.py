"""Worker files of the marketplace, unmodified: what they say is what happens, as with the worker that they were written for."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
from vastai.serverless.server import worker as theirs
from vastai.serverless.server.lib.data_types import JsonDataException

from protocol.report import Phase
from pyworker.backend import Ask, Backend, BadBackend, BadPayload
from pyworker.backends.vastai.loading import load_worker_file
from pyworker.logwatch import LineKind
from tests.worker_image.backends.standins import Served, serving
from tests.worker_image.backends.worker_files import ENGINE, REMOTE, write_files

ASK: Final = Ask(rng=random.Random(3), units=1, prompt_tokens=1)
AUTH: Final = {"cost": "1", "endpoint": "e", "reqnum": 1, "request_idx": 1, "signature": "s", "url": "u"}
PAYLOADS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("engine", "/v1/completions", {"input": {"prompt": "a", "max_tokens": 7}}),
    ("engine", "/v1/completions", {"prompt": "a", "max_tokens": 7}),
    ("engine", "/v1/chat/completions", {"messages": []}),
    ("engine", "/v1/completions", {"prompt": "a", "max_tokens": "many"}),
    ("engine", "/v1/completions", {"prompt": "a", "max_tokens": -3}),
    ("images", "/sdapi/v1/txt2img", {"input": {"steps": 3}}),
    ("classes", "/generate", {"inputs": "a", "parameters": {"max_new_tokens": 9}, "more": 1}),
    ("classes", "/stream", {"inputs": "a", "parameters": {}}),
    ("remote", "/add", {"a": 1, "b": 2, "c": 3}),
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return write_files(tmp_path)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker file changes the import path of its process; its repository's modules bear the names of the next one's."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name == "workers" or name.startswith("workers.")]:
        monkeypatch.delitem(sys.modules, name)


def backend_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """Load it as the settings do."""
    monkeypatch.setenv("VASTAI_WORKER", str(path))
    from pyworker.backends.vastai.backend import BACKEND  # noqa: PLC0415 - reads the variable

    return BACKEND


def handlers_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Load it as the real package does, up to where it would serve; return its handlers by route."""

    class Made(BaseException):
        pass

    def capture(_self: Any, config: Any) -> NoReturn:
        raise Made(theirs.EndpointHandlerFactory(config))

    monkeypatch.setattr(theirs.Worker, "__init__", capture)
    monkeypatch.syspath_prepend(str(path.parents[2]))
    source = compile(path.read_text(), str(path), "exec")
    try:
        exec(source, {"__name__": "__main__", "__file__": str(path)})  # noqa: S102 - the test's own file, as its program
    except Made as made:
        handlers: dict[str, Any] = made.args[0].get_all_handlers()
        return handlers
    raise AssertionError("no worker was made")


@pytest.mark.parametrize(("name", "route", "payload"), PAYLOADS)
def test_the_server_gets_and_the_books_count_what_the_real_worker_would(
    name: str, route: str, payload: dict[str, Any], files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = next(one for one in backend_of(files[name], monkeypatch).routes if one.path == route)
    for module in [module for module in sys.modules if module.startswith("workers")]:
        monkeypatch.delitem(sys.modules, module)
    handler = handlers_of(files[name], monkeypatch)[route]
    _, read, _ = handler.get_data_from_request({"auth_data": AUTH, "payload": payload})

    assert (ours.target, ours.prepare(payload), ours.load(payload, 0.2)) == (
        handler.endpoint,
        read.generate_payload_json(),
        read.count_workload(),
    )


def test_what_the_real_worker_refuses_is_refused(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    route = backend_of(files["classes"], monkeypatch).routes[0]
    handler = handlers_of(files["classes"], monkeypatch)["/generate"]
    with pytest.raises(JsonDataException):
        handler.get_data_from_request({"auth_data": AUTH, "payload": {"parameters": {}}})

    with pytest.raises(BadPayload, match="inputs: missing parameter"):
        route.prepare({"parameters": {}})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("engine", (6, 60.0, "http://127.0.0.1:18000", "/health", "engine.log")),
        ("images", (1, 10.0, "http://127.0.0.1:18288", "http://127.0.0.1:18188/health", "images.log")),
        ("classes", (3, 30.0, "http://127.0.0.1:5001", "/health", "model.log")),
    ],
)
def test_its_server_its_log_and_its_limits_are_those_of_the_file(
    name: str, said: tuple[Any, ...], files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_of(files[name], monkeypatch)

    found = (backend.max_queue_time_s, backend.model_url, backend.health_path, backend.model_log)
    assert (backend.metrics.capacity({}).slots, *found) == said


def test_it_is_measured_with_the_files_own_payloads(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    trial = backend_of(files["images"], monkeypatch).trial(ASK)

    assert (trial.payload["input"]["prompt"], trial.unit_load) == ("a hill", 100.0)


def test_a_generated_payload_counts_as_the_file_counts_it(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    trial = backend_of(files["engine"], monkeypatch).trial(ASK)

    assert (trial.payload["max_tokens"], trial.unit_load) == (20, 20.0)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("(APIServer pid=1) INFO:     Application startup complete.", LineKind.READY),
        ("x RuntimeError: Engine core initialization failed", LineKind.FATAL),
        ("12:00 Downloading the model", LineKind.LOADING),
        ("ValueError: nothing that is listed", LineKind.CAUSE),
    ],
)
def test_pieces_of_lines_mean_what_the_file_says(
    line: str, kind: LineKind, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = backend_of(files["engine"], monkeypatch).log_rules

    assert rules is not None
    assert rules.classify(line)[0] is kind


def test_the_real_package_is_in_its_place_again(files: dict[str, Path]) -> None:
    load_worker_file(files["engine"])

    assert sys.modules["vastai.serverless.server.worker"] is theirs


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_package", "VASTAI_PATH"),
        ("def", "SyntaxError"),
        ("x = 1", "without running a Worker"),
        ("raise SystemExit(3)", "SystemExit"),
        ("from vastai import HandlerConfig\nHandlerConfig(route='/', method='GET')", "method"),
        (REMOTE.replace("benchmark_config=", "benchmark_config=None and "), "one handler a BenchmarkConfig, not 0"),
        (REMOTE.replace("remote_function=add,", ""), "a lifecycle goes with remote functions alone"),
        (REMOTE.replace('generator=lambda: {"a": 1, "b": 2}, ', ""), "neither a dataset nor a generator"),
    ],
)
def test_a_file_that_cannot_work_is_told_with_its_fault(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "worker.py"
    path.write_text(text)

    with pytest.raises(BadBackend, match=told):
        backend_of(path, monkeypatch)


def test_a_file_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadBackend, match="is no file"):
        backend_of(tmp_path / "worker.py", monkeypatch)


def test_a_file_that_is_not_named_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VASTAI_WORKER", raising=False)

    with pytest.raises(BadBackend, match="VASTAI_WORKER is not set"):
        __import__("pyworker.backends.vastai.backend")


@pytest.fixture
def _loaded(request: pytest.FixtureRequest, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the file of the parameter, before any loop runs, as at a worker's start."""
    files["images"].write_text(files["images"].read_text().replace('"http://127.0.0.1:18188/health"', "None"))
    backend_of(files[request.param], monkeypatch)


def loaded(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("_loaded", [name], indirect=True)


async def _ready(served: Served) -> None:
    assert await served.phase(Phase.READY, Phase.ERROR) is Phase.READY, served.control_plane.last.error


@loaded("engine")
@pytest.mark.usefixtures("_loaded")
async def test_an_engines_file_serves_and_streams(tmp_path: Path) -> None:
    async with serving("vastai", tmp_path, dialect="vllm") as served:
        await _ready(served)
        whole = await served.post("/v1/completions", {"input": {"prompt": "a", "max_tokens": 5}})
        stream = await served.post("/v1/completions", {"prompt": "a", "max_tokens": 5, "stream": True})

    assert (len(json.loads(whole[1])["choices"][0]["text"].split()), stream[1].count(b'"text":')) == (5, 5)


@loaded("images")
@pytest.mark.usefixtures("_loaded")
async def test_a_files_own_replies_reach_the_client(tmp_path: Path) -> None:
    async with serving("vastai", tmp_path, dialect="sdauto") as served:
        await _ready(served)
        status, body = await served.post("/sdapi/v1/txt2img", {"steps": 2})

    assert (status, sorted(json.loads(body)), json.loads(body)["asked"]) == (200, ["asked", "images"], True)


@loaded("classes")
@pytest.mark.usefixtures("_loaded")
async def test_a_route_of_classes_streams_by_its_own_code(tmp_path: Path) -> None:
    async with serving("vastai", tmp_path, dialect="tgi") as served:
        await _ready(served)
        _, body = await served.post("/stream", {"inputs": "a", "parameters": {"max_new_tokens": 5}})
        status, _ = await served.post("/generate", {"parameters": {}})

    assert (body.count(b'"token":'), status) == (5, 422)


@loaded("remote")
@pytest.mark.usefixtures("_loaded")
async def test_a_remote_function_answers_inside_its_lifecycle(tmp_path: Path) -> None:
    async with serving("vastai", tmp_path, MODEL_LAUNCH_COMMAND="") as served:
        await _ready(served)
        good = await served.post("/add", {"a": 1, "b": 4})
        bad = await served.post("/add", {"a": "x"})

    assert (json.loads(good[1]), bad[0]) == ({"result": {"sum": 5, "ready": True}}, 500)


def test_an_engines_file_is_not_touched(files: dict[str, Path]) -> None:
    load_worker_file(files["engine"])

    assert files["engine"].read_text() == ENGINE
