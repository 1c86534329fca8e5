"""A worker file, VASTAI_WORKER, as a backend. Its server is started by the image, by the file, or by MODEL_LAUNCH_COMMAND."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyworker.backend import MAX_QUEUE_TIME_S, MODEL_LOG, MODEL_URL, Backend, BadBackend
from pyworker.backends.vastai.loading import load_worker_file
from pyworker.backends.vastai.logwatch import rules_of
from pyworker.backends.vastai.metrics import metrics_of
from pyworker.backends.vastai.routes import handler_of, trial_of
from pyworker.backends.vastai.surface import HandlerConfig, WorkerConfig

if TYPE_CHECKING:
    from aiohttp import web

QUEUE_TIME_MAX_S: Final = 3600.0
HEALTH: Final = "/health"


def backend_of(config: WorkerConfig) -> Backend:
    """Return the backend. Raises BadBackend, also for what the marketplace's worker would refuse."""
    handlers = [handler_of(one) for one in config.handlers or [HandlerConfig(route="/")]]
    measured = [handler for handler in handlers if handler.sample is not None]
    if len(measured) != 1:
        raise BadBackend(f"VASTAI_WORKER must give one handler a BenchmarkConfig, not {len(measured)}")
    alone = all(handler.local for handler in handlers)
    if config.lifecycle is not None and not alone:
        raise BadBackend("VASTAI_WORKER has a lifecycle beside routes of a server; a lifecycle goes with remote functions alone")
    waits = [handler.queue_time_s for handler in handlers if handler.queue_time_s is not None]
    url = f"{config.model_server_url}:{config.model_server_port}" if config.model_server_url else MODEL_URL
    return Backend(
        name="vastai",
        routes=tuple(handler.route for handler in handlers),
        trial=trial_of(measured[0]),
        metrics=metrics_of(handlers, measured[0]),
        log_rules=rules_of(config.log_action_config) if config.model_log_file and not alone else None,
        health_path=HEALTH if alone else config.model_healthcheck_url or "",
        keeps_connections=False,
        model_url=url.removesuffix(":None"),
        model_log=config.model_log_file or MODEL_LOG,
        max_queue_time_s=min([*waits, QUEUE_TIME_MAX_S]) if handlers else MAX_QUEUE_TIME_S,
        local_server=_local_server(config.lifecycle) if alone else None,
    )


def _local_server(lifecycle: Any) -> Any:
    async def entered(_app: web.Application) -> AsyncIterator[None]:
        async with lifecycle:
            yield

    async def healthy(_request: web.Request) -> web.Response:
        from aiohttp import web  # noqa: PLC0415 - as below

        return web.Response()

    async def make() -> web.Application:
        from aiohttp import web  # noqa: PLC0415 - only a file without a server serves anything itself

        app = web.Application()
        app.router.add_get(HEALTH, healthy)
        if lifecycle is not None:
            app.cleanup_ctx.append(entered)
        return app

    return make


def _named() -> Path:
    name = os.environ.get("VASTAI_WORKER", "")
    if not name:
        raise BadBackend("VASTAI_WORKER is not set; it names the worker.py to load")
    return Path(name)


BACKEND: Final = backend_of(load_worker_file(_named()))
