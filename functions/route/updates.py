"""`POST /update_workers/`: have the workers of an autogroup replaced by ones born from now on, or call that off.

It is the one thing besides requests that a caller may ask for, and takes the scope `update`. What is asked is a moment, written
here and read by the scaler, which proves a first worker and replaces the others as for a change in the stack file (`core.rollout`).
Path and shapes are those of Vast's router, whose clients take a refusal from the body of a success.

Asking again while it is under way tells how many are left, and after ASKED_AGAIN_S begins anew. Calling off leaves older and newer
workers as they are. A change of the stack file is not called off here: what is configured would no longer be what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from functions.adapters.function_url import HttpReply, HttpRequest, check_path
from functions.core.lifecycle import HELD, WorkerState
from functions.core.model import Scope, Worker
from functions.core.scaler_state import ScalerState
from functions.route.authenticate import let_in
from functions.route.caches import RouteCaches
from functions.route.opened import Opened, within_limit
from functions.route.service import RoutePorts, no_such_group
from protocol.problem import Problem, RequestRefused, shown

PATH: Final = "/update_workers/"
# A client repeats a call whose answer was lost within seconds, a person who means it anew does not.
ASKED_AGAIN_S: Final = 60.0


def update(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    """Return the reply to a wish. Raises RequestRefused and StoreUnavailable."""
    check_path(request, {PATH: "POST"})
    caller, body = let_in(request, Scope.UPDATE, ports=ports, caches=caches)
    within_limit(caller, ports=ports, caches=caches)
    opened = Opened(caller=caller, ports=ports, caches=caches)
    endpoint, autogroup = opened.autogroup(body, field="workergroup_id")
    if autogroup not in {each.name for each in ports.store.autogroups(endpoint)}:
        raise no_such_group(f"{endpoint} with an autogroup {shown(autogroup)}", field="autogroup")
    answer = _cancel if _is_cancel(body) else _ask
    told = answer(opened, endpoint, autogroup)
    ports.waker.wake(endpoint)
    return HttpReply(status=200, body=told, outcome="update", facts={"endpoint": endpoint, "autogroup": autogroup})


def _ask(opened: Opened, endpoint: str, autogroup: str) -> dict[str, Any]:
    store, now_s = opened.ports.store, opened.ports.clock.now_s()
    asked_at_s = store.ask_update(endpoint, autogroup, asked_at_s=now_s, settled_s=ASKED_AGAIN_S)
    mine = [one for one in opened.workers(opened.known(endpoint)) if one.rental.autogroup == autogroup]
    left, said = sum(_is_older(one, asked_at_s) for one in mine), _said(store.scaler_state(endpoint), autogroup)
    return {"success": True, "workers_to_update": left, "cancelled": False, "status": said}


def _cancel(opened: Opened, endpoint: str, autogroup: str) -> dict[str, Any]:
    store = opened.ports.store
    store.cancel_update(endpoint, autogroup)
    state = store.scaler_state(endpoint)
    if _is_change(state, autogroup):
        refused = "this update is a change of the stack file: change the autogroup back there and run `pulumi up`"
        return {"success": False, "error_msg": refused, "workers_to_update": 0, "cancelled": False}
    return {"success": True, "workers_to_update": 0, "cancelled": True, "status": ""}


def _is_older(worker: Worker, asked_at_s: float) -> bool:
    rental = worker.rental
    return rental.state in HELD - {WorkerState.DESTROYING} and rental.created_at_s < asked_at_s


def _is_change(state: ScalerState, autogroup: str) -> bool:
    """Tell whether the autogroup is on its way to another version, as far as the scaler has seen."""
    rollout = state.rollouts.get(autogroup)
    return rollout is not None and rollout.good is not None and rollout.good.version != rollout.wanted.version


def _said(state: ScalerState, autogroup: str) -> str:
    """Return what the scaler's last decision said of the update."""
    return " ".join(sentence for sentence in state.said if sentence.startswith(f"Update of autogroup {autogroup} "))


def _is_cancel(body: Mapping[str, Any]) -> bool:
    value = body.get("cancel_update", False)
    if not isinstance(value, bool):
        message, remedy = f"cancel_update cannot be {shown(value)}", "send true to call the update off, or leave it out"
        raise RequestRefused(Problem(status=400, code="invalid_field", message=message, field="cancel_update", remedy=remedy))
    return value
