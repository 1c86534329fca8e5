"""Worker files in the styles that are met in public: an adapter over a shared core, a plain script, classes, remote functions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# A repository: `workers/<engine>/worker.py` says what differs, a module at its top the rest.
CORE: Final = """
import os
from dataclasses import dataclass

from vastai import BenchmarkConfig, HandlerConfig, LogActionConfig, Worker, WorkerConfig


@dataclass(frozen=True)
class Engine:
    name: str
    log: str
    loaded: list
    failed: list


def unwrap(request):
    return request["input"] if request.get("input") is not None else request


def sample():
    return {"model": os.environ.get("MODEL_ID", ""), "prompt": "one two three", "max_tokens": 20}


def serve(engine):
    tokens = lambda data: data.get("max_tokens", 0)
    routes = [
        HandlerConfig(
            route="/v1/completions",
            workload_calculator=tokens,
            request_parser=unwrap,
            allow_parallel_requests=True,
            max_queue_time=600.0,
            benchmark_config=BenchmarkConfig(generator=sample, concurrency=6, runs=2),
        ),
        HandlerConfig(
            route="/v1/chat/completions",
            workload_calculator=tokens,
            request_parser=unwrap,
            allow_parallel_requests=True,
            max_queue_time=60.0,
        ),
    ]
    Worker(
        WorkerConfig(
            model_server_url="http://127.0.0.1",
            model_server_port=18000,
            model_log_file=engine.log,
            model_healthcheck_url="/health",
            handlers=routes,
            log_action_config=LogActionConfig(on_load=engine.loaded, on_error=engine.failed, on_info=["Downloading"]),
        )
    ).run()
"""
ENGINE: Final = """
from workers.shared.core import Engine, serve

serve(
    Engine(
        name="vllm",
        log="engine.log",
        loaded=["Application startup complete."],
        failed=["RuntimeError: Engine", "Traceback (most recent call last):"],
    )
)
"""

# A script: one serial route with payloads of its own to measure with, and replies that it makes itself.
IMAGES: Final = """
import json
import random

from aiohttp import web
from vastai import BenchmarkConfig, HandlerConfig, LogActionConfig, Worker, WorkerConfig

JOBS = [{"input": {"request_id": f"test-{random.randint(1, 9)}", "prompt": "a hill", "steps": 4}}]


async def only_images(request, reply):
    if reply.status != 200:
        return web.Response(status=reply.status)
    told = json.loads(await reply.read())
    return web.json_response({"images": told["images"], "asked": "payload" in await request.json()})


config = WorkerConfig(
    model_server_url="http://127.0.0.1",
    model_server_port=18288,
    model_log_file="images.log",
    model_healthcheck_url="http://127.0.0.1:18188/health",
    handlers=[
        HandlerConfig(
            route="/sdapi/v1/txt2img",
            max_queue_time=10.0,
            benchmark_config=BenchmarkConfig(dataset=JOBS, runs=1),
            response_generator=only_images,
        )
    ],
    log_action_config=LogActionConfig(on_load=["Model loaded in"], on_error=["failed to load"]),
)

if __name__ == "__main__":
    Worker(config).run()
"""

# Classes for the payload, and for the whole route.
CLASSES: Final = """
import asyncio
import dataclasses

from aiohttp import web
from vastai import HandlerConfig, LogActionConfig, BenchmarkConfig, Worker, WorkerConfig
from vastai.serverless.server.lib.data_types import ApiPayload, EndpointHandler, JsonDataException


@dataclasses.dataclass
class Text(ApiPayload):
    inputs: str
    tokens: int

    @classmethod
    def for_test(cls):
        return cls(inputs="a b c", tokens=16)

    @classmethod
    def from_json_msg(cls, json_msg):
        missing = {name: "missing parameter" for name in ("inputs", "parameters") if name not in json_msg}
        if missing:
            raise JsonDataException(missing)
        return cls(inputs=json_msg["inputs"], tokens=int(json_msg["parameters"].get("max_new_tokens", 256)))

    def generate_payload_json(self):
        return {"inputs": self.inputs, "parameters": {"max_new_tokens": self.tokens}}

    def count_workload(self):
        return self.tokens


@dataclasses.dataclass
class Stream(EndpointHandler[Text]):
    has_benchmark: bool = False
    allow_parallel_requests: bool = True

    @property
    def endpoint(self):
        return "/generate_stream"

    @property
    def healthcheck_endpoint(self):
        return None

    @classmethod
    def payload_cls(cls):
        return Text

    def make_benchmark_payload(self):
        return Text.for_test()

    async def call_remote_dispatch_function(self, params):
        raise NotImplementedError

    async def generate_client_response(self, client_request, model_response):
        response = web.StreamResponse()
        response.content_type = "text/event-stream"
        await response.prepare(client_request)
        async for chunk in model_response.content:
            await response.write(chunk)
        await response.write_eof()
        return response


worker = Worker(
    WorkerConfig(
        model_server_url="http://127.0.0.1",
        model_server_port=5001,
        model_log_file="model.log",
        model_healthcheck_url="/health",
        handlers=[
            HandlerConfig(
                route="/generate",
                payload_class=Text,
                allow_parallel_requests=True,
                benchmark_config=BenchmarkConfig(concurrency=3),
            ),
            HandlerConfig(route="/stream", handler_class=Stream),
        ],
        log_action_config=LogActionConfig(on_load=[\'"message":"Connected"\'], on_error=["Error: ShardCannotStart"]),
    )
)
asyncio.run(worker.run_async())
"""

# No server at all: a function answers, inside what is set up around it.
REMOTE: Final = """
from contextlib import asynccontextmanager

from vastai import BenchmarkConfig, HandlerConfig, LogActionConfig, Worker, WorkerConfig

state = {}


@asynccontextmanager
async def set_up():
    state["ready"] = True
    yield
    state.clear()


async def add(**numbers):
    if not all(isinstance(number, int) for number in numbers.values()):
        raise ValueError("numbers are needed")
    return {"sum": sum(numbers.values()), "ready": state["ready"]}


Worker(
    WorkerConfig(
        model_server_url="http://127.0.0.1",
        model_server_port=1,
        lifecycle=set_up(),
        handlers=[
            HandlerConfig(
                route="/add",
                remote_function=add,
                workload_calculator=lambda numbers: 10.0 * len(numbers),
                benchmark_config=BenchmarkConfig(generator=lambda: {"a": 1, "b": 2}, runs=1, concurrency=1),
            )
        ],
        log_action_config=LogActionConfig(),
    )
).run()
"""


def write_files(folder: Path) -> dict[str, Path]:
    """Write each file where such a file stands; return their paths."""
    package = folder / "workers" / "shared"
    package.mkdir(parents=True)
    (package / "core.py").write_text(CORE)
    texts = {"engine": ENGINE, "images": IMAGES, "classes": CLASSES, "remote": REMOTE}
    paths = {name: folder / "workers" / name / "worker.py" for name in texts}
    for name, path in paths.items():
        path.parent.mkdir()
        path.write_text(texts[name])
    return paths
