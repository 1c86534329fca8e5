"""Headgate's own route function over a table in memory, on a socket: what stands behind `--router`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from functions.adapters.function_url import HttpRequest
from functions.route.answer import answer
from tests.contract.function_url import function_url
from tests.functions.reporter import PUBLIC_KEYS
from tests.functions.router import Router


@contextmanager
def serving(router: Router) -> Iterator[str]:
    """Serve a router; yields its URL."""

    def handler(event: dict[str, Any]) -> dict[str, Any]:
        asked = HttpRequest.of_event(event)
        return answer(asked, ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS).result()

    with function_url(handler) as url:
        yield url
