"""The server and its description in one: `POST /generate {"units": n}` takes n / HELLO_UNITS_PER_S seconds, one at a time."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from pyworker.backend import Ask, Backend, Route, Trial
from pyworker.backends.helloautoscaler.logwatch import LOG_RULES
from pyworker.backends.helloautoscaler.metrics import load_of

if TYPE_CHECKING:
    from aiohttp import web

UNITS_PER_S_DEFAULT: Final = 100.0

GENERATE: Final = Route(path="/generate", load=load_of)


def trial(ask: Ask) -> Trial:
    """Ask for so many units of work; the reply comes in one piece, so it counts for all of them."""
    return Trial(route=GENERATE, payload={"units": ask.units}, unit_load=ask.units)


async def local_server() -> web.Application:
    """Return the application that does the work. HELLO_UNITS_PER_S is its speed."""
    from aiohttp import web  # noqa: PLC0415 - only this backend serves anything itself

    units_per_s = float(os.environ.get("HELLO_UNITS_PER_S", "") or UNITS_PER_S_DEFAULT)
    turn = asyncio.Lock()

    async def generate(request: web.Request) -> web.Response:
        units = load_of(await request.json(), 0.0)
        async with turn:
            await asyncio.sleep(units / units_per_s)
        return web.json_response({"hello": "autoscaler", "units": units})

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app = web.Application()
    app.router.add_post("/generate", generate)
    app.router.add_get("/health", health)
    return app


BACKEND: Final = Backend(
    name="helloautoscaler",
    routes=(GENERATE,),
    trial=trial,
    trial_units_min=1,
    trial_units_max=50,
    log_rules=LOG_RULES,
    local_server=local_server,
)
