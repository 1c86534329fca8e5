"""From an HTTP request to its reply: find the path, authenticate, parse, route, and turn every refusal into HTTP in one place.

The key is looked for in the `Authorization` header, then in the query, then in the body; wherever it stands outside the body,
nothing of the body is looked at before it has been found valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from functions.adapters.function_url import STORE_UNAVAILABLE, HttpReply, HttpRequest, check_path, refusal
from functions.ports import StoreUnavailable
from functions.route.caches import RouteCaches
from functions.route.call import BODY_BYTES_MAX, Assigned, RouteCall, Waiting
from functions.route.service import RoutePorts, authenticate, route
from protocol.problem import RequestRefused

PATHS: Final = {"/route/": "POST", "/pubkey/": "GET"}


def answer(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches, public_keys: Sequence[Mapping[str, str]]) -> HttpReply:
    """Return the reply to any request. Raises nothing but bugs."""
    try:
        check_path(request, PATHS)
        if request.path == "/pubkey/":
            return HttpReply(status=200, body={"keys": list(public_keys)}, outcome="public_keys")
        return _route(request, ports=ports, caches=caches)
    except RequestRefused as exc:
        return refusal(exc.problem)
    except StoreUnavailable:
        return refusal(STORE_UNAVAILABLE)


def _route(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    api_key = request.bearer() or request.query.get("api_key")
    key = authenticate(api_key, ports=ports, caches=caches) if api_key else None
    body = request.json_object(size_max=BODY_BYTES_MAX)
    if key is None:
        in_body = body.get("api_key")
        key = authenticate(in_body if isinstance(in_body, str) else None, ports=ports, caches=caches)
    answered = route(RouteCall.parse(body), key=key, ports=ports, caches=caches)
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
