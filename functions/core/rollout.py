"""How a changed autogroup comes into force: what its workers should be, whether that was proven, and what is rented until it is.

An autogroup wants one *edition* of workers: those of its present version (`core.version`), born after the last time that an update
of them was asked for. Each edition goes through the same stages:

    SETTLING ──▶ PROVING ──▶ CURRENT      one of its workers is ready, fast enough, and well for PROVING_S
                    └──────▶ FAILED       FAILURES_MAX of its workers in a row were not

* SETTLING: its secrets have just changed. Execution environments know a secret for minutes longer than it is; while two of them may
  take turns, nothing follows from what one of them sees.
* PROVING: a single worker of it, on *probation*, is rented beside the others. It serves, yet makes nobody dispensable, and
  what is missing meanwhile, even if there are no others, is rented as the last edition that was proven. So is, while nothing that
  is known to work runs and something is asked, what comes after a trial that failed, or beside another autogroup's trial: where
  places are few, they are not all given to what may fail.
* CURRENT: workers of other editions are outdated, and replaced (`core.renewing`).
* FAILED: the last edition that was proven is what workers should be again; those of this one are outdated. Where that cannot be
  rented any more, since its secrets are gone, what there is stays, and one of this edition is rented only if nothing runs at all
  although something is asked.

Where no edition was ever proven there is nothing to fall back on: the first is CURRENT from the beginning, and the crash breaker
watches it alone. While an edition is being proven, its failures count here and not there: the breaker never halts what one falls
back on.

A further change of the autogroup begins anew, whatever came before; changing it back makes the last proven edition CURRENT at once.
The workers of Headgates from before versions count as what was configured when the first scaler that knows versions looked.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from functions.core.capacity import carry_over, is_heard
from functions.core.expecting import key_of
from functions.core.lifecycle import COMING_OR_SERVING, HELD, WorkerState
from functions.core.model import Autogroup, Rental, Worker
from functions.core.scaler_state import Edition, Rollout, ScalerState
from functions.core.snapshot import Snapshot
from functions.core.version import reborn, version_of

# What CURRENT takes, beyond the measurement: an engine that falls over at its first real requests does it within these.
PROVING_S: Final = 60.0
# Fewer than the crash breaker's four, and more than chance: a third of unverified machines fail (measured 2024).
FAILURES_MAX: Final = 3
# Longer than an execution environment keeps a secret (adapters/secrets).
SETTLE_S: Final = 330.0
_S = WorkerState
# Serves, comes, or can be started in seconds.
_OF_USE: Final = COMING_OR_SERVING | {_S.STOPPING, _S.STOPPED}


class Stage(enum.StrEnum):
    """Where an edition stands."""

    SETTLING = "settling"
    PROVING = "proving"
    CURRENT = "current"
    FAILED = "failed"


def stage(rollout: Rollout, *, now_s: float) -> Stage:
    """Return where the wanted edition stands."""
    if now_s < rollout.settles_at_s:
        return Stage.SETTLING
    if rollout.proven or rollout.good is None:
        return Stage.CURRENT
    return Stage.FAILED if rollout.failure else Stage.PROVING


def follow(snapshot: Snapshot, *, now_s: float) -> Mapping[str, Rollout]:
    """Return each autogroup's rollout with what is wanted now. No configuration at all is missing data, not a wish."""
    before = snapshot.state.rollouts
    if not snapshot.autogroups:
        return before
    return {one.name: _followed(before.get(one.name), one, snapshot, now_s=now_s) for one in snapshot.autogroups}


def _followed(before: Rollout | None, autogroup: Autogroup, snapshot: Snapshot, *, now_s: float) -> Rollout:
    secrets = snapshot.secrets.get(autogroup.name, "")
    asked_at_s = snapshot.updates.get(autogroup.name, 0.0)
    wanted = Edition(version=version_of(autogroup, secrets=secrets), asked_at_s=asked_at_s)
    if before is None:
        return Rollout(wanted=wanted, secrets=secrets, unversioned=wanted.version)
    if wanted == before.wanted:
        return before
    settles_at_s = now_s + SETTLE_S if secrets != before.secrets else before.settles_at_s
    known = _is_proven(wanted, before.good)
    begun = replace(before, wanted=wanted, secrets=secrets, settles_at_s=settles_at_s, failed_workers=(), failure="", proven=known)
    return replace(begun, good=wanted) if known else begun


def _is_proven(wanted: Edition, good: Edition | None) -> bool:
    """Tell whether what is wanted was proven before: the change, or the wish for an update, was taken back."""
    return good is not None and wanted.version == good.version and wanted.asked_at_s <= good.asked_at_s


def is_of(edition: Edition, rental: Rental, rollout: Rollout) -> bool:
    """Tell whether a worker is of an edition."""
    born_as = rental.autogroup_version or rollout.unversioned
    return born_as == edition.version and rental.created_at_s >= edition.asked_at_s


# What speaks for an edition, and against it


def changed(before: Mapping[str, Rollout], after: Mapping[str, Rollout]) -> frozenset[str]:
    """Return the autogroups that have another version than before."""
    return frozenset(name for name, one in after.items() if name in before and before[name].wanted.version != one.wanted.version)


def unmeasured_versions(rollouts: Mapping[str, Rollout]) -> frozenset[str]:
    """Return the versions that are still to be proven, and are not just the last good one asked for again."""
    begun = (one for one in rollouts.values() if not one.proven and one.good is not None)
    return frozenset(one.wanted.version for one in begun if one.good is not None and one.good.version != one.wanted.version)


def is_on_probation(state: ScalerState, autogroup: str, rental: Rental, *, now_s: float) -> bool:
    """Tell whether a worker is of an edition that is being proven."""
    rollout = state.rollouts.get(autogroup)
    return rollout is not None and stage(rollout, now_s=now_s) is Stage.PROVING and is_of(rollout.wanted, rental, rollout)


def spoken_against(state: ScalerState, autogroup: str, worker_id: str, reason: str) -> ScalerState:
    """Return the state after a worker has spoken against its edition, each once."""
    rollout = state.rollouts[autogroup]
    return replace(state, rollouts={**state.rollouts, autogroup: _with_failure(rollout, worker_id, reason)})


def judge(state: ScalerState, snapshot: Snapshot, *, now_s: float) -> ScalerState:
    """Return the state with what the workers that are measured by now say of their editions."""
    for autogroup in snapshot.autogroups:
        rollout = state.rollouts[autogroup.name]
        if rollout.proven:
            continue
        of_it = [one for one in snapshot.workers if _is_measured(one) and one.rental.autogroup == autogroup.name]
        of_it = [one for one in of_it if is_of(rollout.wanted, one.rental, rollout)]
        if rollout.good is None:
            # Whatever was measured once, stopped or not, is something to fall back on.
            judged = _proven(rollout, autogroup) if of_it else rollout
        else:
            ready = [one for one in of_it if one.rental.state is _S.READY and is_heard(one, now_s=now_s)]
            judged, state = _judged(rollout, autogroup, ready, state, least=snapshot.group.update_perf_min, now_s=now_s)
        state = replace(state, rollouts={**state.rollouts, autogroup.name: judged})
    return state


def _is_measured(worker: Worker) -> bool:
    return worker.rental.state in HELD and worker.condition.perf > 0


def _judged(
    rollout: Rollout, autogroup: Autogroup, ready: list[Worker], state: ScalerState, *, least: float, now_s: float
) -> tuple[Rollout, ScalerState]:
    if not _may_be_proven(rollout, now_s=now_s):
        return rollout, state
    for worker in ready:
        usual = state.learned.get(key_of(worker.rental))
        if usual is not None and worker.condition.perf < least * usual.perf:
            told = f"measured at {worker.condition.perf:.1f} load/s, where {usual.perf:.1f} is usual (update_perf_min: {least:g})"
            rollout = _with_failure(rollout, worker.worker_id, told)
    well = [one for one in ready if one.worker_id not in rollout.failed_workers]
    long_enough = any(now_s - one.rental.state_since_s >= PROVING_S for one in well)
    if not (long_enough and _may_be_proven(rollout, now_s=now_s)):
        return rollout, state
    return _proven(rollout, autogroup), replace(state, learned=carry_over(state.learned, autogroup.name, well, now_s=now_s))


def _may_be_proven(rollout: Rollout, *, now_s: float) -> bool:
    """Tell whether the wanted edition still has its chance: even after it failed, if nothing else can be rented."""
    at = stage(rollout, now_s=now_s)
    return at is Stage.PROVING or (at is Stage.FAILED and not can_fall_back(rollout))


def _proven(rollout: Rollout, autogroup: Autogroup) -> Rollout:
    return replace(
        rollout, proven=True, good=rollout.wanted, good_secrets=rollout.secrets, good_spec=autogroup, failed_workers=(), failure=""
    )


def _with_failure(rollout: Rollout, worker_id: str, reason: str) -> Rollout:
    if worker_id in rollout.failed_workers:
        return rollout
    failed = (*rollout.failed_workers, worker_id)[-FAILURES_MAX:]
    failure = f"{len(failed)} of its workers in a row failed, the last: {reason}" if len(failed) >= FAILURES_MAX else ""
    return replace(rollout, failed_workers=failed, failure=failure)


# What the workers are


@dataclass(frozen=True, slots=True, kw_only=True)
class Editions:
    """The held workers that are not simply what they should be, by id.

    `outdated` are to be replaced. `on_probation` are of an edition that is being proven, and carry nothing that makes others
    dispensable, while there are others; `uncounted` do not even count as coming, since what is missing can be rented as something
    that is known to work: these, and one that boots alone.
    """

    outdated: frozenset[str] = frozenset()
    on_probation: frozenset[str] = frozenset()
    uncounted: frozenset[str] = frozenset()
    under_way: frozenset[str] = frozenset()  # autogroups that have either


def editions(workers: Iterable[Worker], rollouts: Mapping[str, Rollout], *, now_s: float) -> Editions:
    """Return which workers are outdated, and which are on probation."""
    held = [one for one in workers if one.rental.state in HELD]
    outdated: set[str] = set()
    on_probation: set[str] = set()
    uncounted: set[str] = set()
    under_way: set[str] = set()
    for name, rollout in rollouts.items():
        at = stage(rollout, now_s=now_s)
        if at is Stage.SETTLING:
            continue
        mine = [one for one in held if one.rental.autogroup == name]
        old = _outdated(mine, rollout, now_s=now_s)
        tried = [one for one in mine if is_of(rollout.wanted, one.rental, rollout)] if at is Stage.PROVING else []
        beside = {one.worker_id for one in tried} if tried and any(_stands_in(one, rollout) for one in mine) else set()
        # One that is alone may never come either: whoever waits is not to wait for it alone.
        unsure = beside or {one.worker_id for one in tried if one.rental.state in {_S.RENTING, _S.BOOTING}}
        outdated |= old
        on_probation |= beside
        uncounted |= unsure if can_fall_back(rollout) else set()
        under_way |= {name} if old or beside else set()
    return Editions(
        outdated=frozenset(outdated),
        on_probation=frozenset(on_probation),
        uncounted=frozenset(uncounted),
        under_way=frozenset(under_way),
    )


def _outdated(workers: Iterable[Worker], rollout: Rollout, *, now_s: float) -> set[str]:
    """Return which workers are neither of the edition that is due nor of the wanted one, while that has a chance."""
    at_present = due(rollout, now_s=now_s)
    wanted = rollout.wanted if _may_be_proven(rollout, now_s=now_s) else at_present
    old = (one for one in workers if not is_of(at_present, one.rental, rollout) and not is_of(wanted, one.rental, rollout))
    return {one.worker_id for one in old}


def _stands_in(worker: Worker, rollout: Rollout) -> bool:
    """Tell whether the worker is of use, and not of the wanted edition."""
    return worker.rental.state in _OF_USE and not is_of(rollout.wanted, worker.rental, rollout)


def due(rollout: Rollout, *, now_s: float) -> Edition:
    """Return the edition that workers should be: the wanted one, or the last good one while or because that is not proven."""
    if rollout.good is not None and stage(rollout, now_s=now_s) in {Stage.PROVING, Stage.FAILED}:
        return rollout.good
    return rollout.wanted


# What is rented


@dataclass(frozen=True, slots=True, kw_only=True)
class Renting:
    """As what an autogroup's workers are rented in this decision.

    `spec` is None where it is the configured one. `single`: one and no more. `closed` says why none, "" if any.
    """

    version: str
    spec: Autogroup | None = None
    single: bool = False
    closed: str = ""


def can_fall_back(rollout: Rollout) -> bool:
    """Tell whether workers of the last good edition can still be rented: its secrets are kept nowhere but in themselves."""
    return rollout.good_spec is not None and rollout.good_secrets == rollout.secrets


def renting(
    autogroup: Autogroup, rollout: Rollout, workers: Iterable[Worker], *, starved: bool, others_tried: bool, now_s: float
) -> Renting:
    """Return as what this autogroup's workers are rented now.

    `workers` are the group's; `starved` says that none of them that counts runs although something is asked, `others_tried` that
    some of the group are on trial.
    """
    wanted = Renting(version=rollout.wanted.version)
    match stage(rollout, now_s=now_s):
        case Stage.PROVING if can_fall_back(rollout):
            name, fleet = autogroup.name, tuple(workers)
            unsure = starved and (others_tried or _has_just_failed(name, rollout, fleet))
            relieved = unsure or is_tried(name, rollout, fleet)
            return _as_before(autogroup, rollout) if relieved else replace(wanted, single=True)
        case Stage.FAILED if can_fall_back(rollout):
            return _as_before(autogroup, rollout)
        case Stage.FAILED if not starved:
            gone = "the secrets that its last good version was started with are gone"
            return replace(wanted, closed=f"nothing more of autogroup {autogroup.name} is rented: its version failed, and {gone}")
        case Stage.FAILED:
            return replace(wanted, single=True)
        case _:
            return wanted


def _has_just_failed(name: str, rollout: Rollout, workers: Iterable[Worker]) -> bool:
    """Tell whether the newest worker of this autogroup, gone or not, was a trial that failed."""
    mine = (one for one in workers if one.rental.autogroup == name)
    newest = max(mine, key=lambda one: one.rental.created_at_s, default=None)
    return newest is not None and newest.worker_id in rollout.failed_workers


def is_tried(name: str, rollout: Rollout, workers: Iterable[Worker]) -> bool:
    """Tell whether there is a worker, rented or ready, that may prove the wanted edition of this autogroup."""
    able = (one for one in workers if one.rental.autogroup == name and one.rental.state in COMING_OR_SERVING)
    return any(is_of(rollout.wanted, one.rental, rollout) and one.worker_id not in rollout.failed_workers for one in able)


def _as_before(autogroup: Autogroup, rollout: Rollout) -> Renting:
    assert rollout.good is not None, "what was not proven has no specification"
    assert rollout.good_spec is not None, "what was proven has one"
    return Renting(version=rollout.good.version, spec=reborn(autogroup, rollout.good_spec))
