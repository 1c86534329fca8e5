"""A group whose autogroup was changed, by short ways to say so: versions, workers of them, what was decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from functions.core.lifecycle import WorkerState
from functions.core.model import Autogroup, Worker
from functions.core.plan import Plan, Rent
from functions.core.scaler_state import Edition, Rollout
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from functions.core.version import version_of
from tests.core.builders import NOW_S, a_snapshot, a_state, a_worker, an_autogroup, an_offer

OLD: Final = an_autogroup(image="tgi:1")
NEW: Final = an_autogroup(image="tgi:2")
V1: Final = version_of(OLD)
V2: Final = version_of(NEW)
OFFERS: Final = {"a": tuple(an_offer(number) for number in range(100, 120))}
_S = WorkerState


def old(number: int, state: WorkerState = _S.READY, **changes: Any) -> Worker:
    """Return a worker of the version before."""
    return a_worker(number, state, autogroup_version=V1, **changes)


def new(number: int, state: WorkerState = _S.READY, **changes: Any) -> Worker:
    """Return a worker of the version that is wanted."""
    return a_worker(number, state, autogroup_version=V2, **changes)


def steady(**changes: Any) -> Rollout:
    """Return the rollout of an autogroup whose first version is proven."""
    proven = Rollout(wanted=Edition(version=V1), proven=True, good=Edition(version=V1), good_spec=OLD, unversioned=V1)
    return replace(proven, **changes)


def proving(**changes: Any) -> Rollout:
    """Return the rollout of an autogroup that was changed and whose new version is being proven."""
    begun: dict[str, Any] = {"wanted": Edition(version=V2), "proven": False}
    return replace(steady(), **begun | changes)


def proven(**changes: Any) -> Rollout:
    """Return the rollout of an autogroup that was changed and whose new version is proven."""
    over: dict[str, Any] = {"wanted": Edition(version=V2), "good": Edition(version=V2), "good_spec": NEW}
    return replace(steady(), **over | changes)


def failed(**changes: Any) -> Rollout:
    """Return the rollout of an autogroup that was changed and whose new version has failed."""
    return proving(**{"failed_workers": ("x", "y", "z"), "failure": "3 of its workers in a row failed, the last: boom"} | changes)


def rolling(*workers: Worker, rollout: Rollout, autogroup: Autogroup = NEW, load_per_s: float = 0.0, **changes: Any) -> Snapshot:
    """Return a group of these workers, its autogroup changed, under this steady load."""
    state = a_state(load_per_s=load_per_s, rollouts={"a": rollout})
    return a_snapshot(*workers, **{"autogroups": (autogroup,), "offers": OFFERS, "state": state} | changes)


def decided(*workers: Worker, rollout: Rollout, **changes: Any) -> Plan:
    """Return the decision about such a group."""
    return decide(rolling(*workers, rollout=rollout, **changes), now_s=NOW_S)


def remembered(plan: Plan) -> Rollout:
    """Return what is remembered of the autogroup's update."""
    return plan.state.rollouts["a"]


def rented_versions(plan: Plan) -> list[str]:
    """Return as which versions workers are rented."""
    return [action.version for action in plan.actions if isinstance(action, Rent)]


def told(plan: Plan) -> str:
    """Return what was said about the update."""
    return " ".join(sentence for sentence in plan.sentences if sentence.startswith("Update of"))
