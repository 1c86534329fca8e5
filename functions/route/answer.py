"""From an HTTP request to its reply: find the path, authenticate, parse, route or read; every refusal becomes HTTP here alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from functions.adapters.function_url import STORE_UNAVAILABLE, HttpReply, HttpRequest, check_path, refusal
from functions.adapters.public_key_reply import PATH as PUBLIC_KEY_PATH
from functions.adapters.public_key_reply import public_key_reply
from functions.core.model import Scope
from functions.key_ports import PublicKeys
from functions.ports import StoreUnavailable
from functions.route.authenticate import let_in
from functions.route.caches import RouteCaches
from functions.route.call import Assigned, RouteCall, Waiting
from functions.route.service import RoutePorts, route
from protocol.problem import RequestRefused

PATHS: Final = {"/route/": "POST", PUBLIC_KEY_PATH: "GET"}
# What people and SDKs read begins so; `reads` knows the paths.
READ_PREFIXES: Final = ("/get_", "/api/")
UPDATE_PREFIX: Final = "/update_workers/"


def answer(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches, public_keys: Callable[[], PublicKeys]) -> HttpReply:
    """Return the reply to any request. Raises nothing but bugs."""
    try:
        if request.path.startswith(READ_PREFIXES):
            return _read(request, ports=ports, caches=caches)
        if request.path.startswith(UPDATE_PREFIX):
            return _update(request, ports=ports, caches=caches)
        check_path(request, PATHS)
        if request.path == PUBLIC_KEY_PATH:
            return public_key_reply(request, public_keys())
        return _route(request, ports=ports, caches=caches)
    except RequestRefused as exc:
        return refusal(exc.problem)
    except StoreUnavailable:
        return refusal(STORE_UNAVAILABLE)


def _read(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    from functions.route.reads import read  # noqa: PLC0415 - a route must not pay for what only people ask for

    return read(request, ports=ports, caches=caches)


def _update(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    from functions.route.updates import update  # noqa: PLC0415 - as above

    return update(request, ports=ports, caches=caches)


def _route(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    caller, body = let_in(request, Scope.ROUTE, ports=ports, caches=caches)
    answered = route(RouteCall.parse(body), key=caller.key, ports=ports, caches=caches)
    return HttpReply(status=200, body=answered.wire(), outcome=_outcome(answered), facts=_facts(answered))


def _outcome(answered: Assigned | Waiting) -> str:
    return "assigned" if isinstance(answered, Assigned) else "waiting"


def _facts(answered: Assigned | Waiting) -> dict[str, str | float]:
    """Say what was decided; never the ticket's signature, nor the url that it opens."""
    if isinstance(answered, Waiting):
        told: dict[str, str | float] = {"status": answered.status, "waiting_ahead": answered.waiting_ahead}
        return {"endpoint": answered.endpoint, "request_idx": answered.request_idx, **told}
    ticket = answered.ticket
    given: dict[str, str | float] = {"worker_id": ticket.worker_id, "reqnum": ticket.reqnum, "cost": ticket.cost}
    return {"endpoint": ticket.endpoint, "request_idx": ticket.request_idx, **given}
