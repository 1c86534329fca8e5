"""The marketplace's own worker in front of the stub: `python -m bench.worker.peer STUB_PORT LOG`. Its settings come by environment.

Written as its users write theirs. Requests in parallel, no limit of the queue, and the shortest benchmark that it allows, since
that is not what is compared.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from vastai import BenchmarkConfig, HandlerConfig, LogActionConfig, Worker, WorkerConfig

from bench.worker.stub import READY_LINE

PAYLOAD: Final = {"inputs": "hello", "parameters": {"max_new_tokens": 1}}


def handler(route: str, **more: Any) -> HandlerConfig:
    """Return the configuration of one route."""
    return HandlerConfig(route=route, allow_parallel_requests=True, max_queue_time=None, workload_calculator=_workload, **more)


def _workload(_payload: dict[str, Any]) -> float:
    return 10.0


def main(port: int, log: str) -> None:
    """Serve until killed."""
    benchmark = BenchmarkConfig(dataset=[PAYLOAD], runs=1, concurrency=1, do_warmup=False)
    config = WorkerConfig(
        model_server_url="http://127.0.0.1",
        model_server_port=port,
        model_log_file=log,
        model_healthcheck_url="/health",
        handlers=[handler("/generate", benchmark_config=benchmark), handler("/generate_stream")],
        log_action_config=LogActionConfig(on_load=[READY_LINE], on_error=[], on_info=[]),
    )
    Worker(config).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
