"""A worker as its author writes it for Vast's SDK: run by an interpreter that has the package, with the environment of an instance.

Arguments: the port of the model server, its log file, what the log says when the model is loaded.
"""

from __future__ import annotations

import sys

from vastai import BenchmarkConfig, HandlerConfig, LogActionConfig, Worker, WorkerConfig


def units(payload: dict[str, float]) -> float:
    """Return the load of a request."""
    return float(payload.get("units", 10))


def handler(route: str, benchmark: BenchmarkConfig | None = None) -> HandlerConfig:
    """Return what serves a route."""
    return HandlerConfig(route=route, allow_parallel_requests=True, workload_calculator=units, benchmark_config=benchmark)


benchmark = BenchmarkConfig(dataset=[{"units": 1000}], runs=1, concurrency=1)
Worker(
    WorkerConfig(
        model_server_url="http://127.0.0.1",
        model_server_port=int(sys.argv[1]),
        model_log_file=sys.argv[2],
        model_healthcheck_url="/health",
        handlers=[handler("/generate", benchmark), handler("/stream"), handler("/teapot"), handler("/held")],
        log_action_config=LogActionConfig(on_load=[sys.argv[3]]),
    )
).run(host="127.0.0.1")
