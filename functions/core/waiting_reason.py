"""Why a request waits, in a sentence for the person who sent it.

The sentence says what stands between the request and a worker, the nearest obstacle first, in figures that change from poll to
poll, so that nobody has to wonder whether anything happens. Of a group with more than two shards the router knows two;
the figures are then of those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from functions.core.lifecycle import HELD, RUNNING, WorkerState
from functions.core.model import EndpointGroup, EndpointState, Worker
from functions.core.routing import Candidate
from functions.core.scaler_state import ScalerState
from protocol.report import Phase

STOPPED: Final = "endpoint stopped"  # Vast's own words, which its clients know
OFFERS_SENTENCE: Final = "Autogroup "  # so begins what `growing` says of an autogroup's offers; a test holds the two together
SUSPENDED: Final = "the endpoint is suspended, so its fleet is held as it is"

_S = WorkerState
_COMING: Final = {
    _S.RENTING: "being rented",
    _S.STARTING: "starting from cold",
    _S.BOOTING: "booting",
}
_LOADING: Final = {
    Phase.LOADING: "loading",
    Phase.MEASURING: "being measured",
    Phase.ERROR: "failing to start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the request stands: how many are before it, and which workers it is not sent to because they failed it."""

    waiting_ahead: int
    avoid: Collection[str] = frozenset()


def explain(
    group: EndpointGroup,
    *,
    workers: Sequence[Worker],
    candidates: Sequence[Candidate],
    place: Place,
    state: ScalerState,
    now_s: float,
) -> str:
    """Return the reason. `workers` is every worker known, `candidates` those that serve now."""
    if group.endpoint_state is EndpointState.STOPPED:
        return STOPPED
    parts = [_serving(workers, candidates, place), *_coming(workers, now_s=now_s)]
    return "; ".join([*parts, *_no_more(group, workers, state, now_s=now_s)])


def halt_reason(state: ScalerState, *, now_s: float) -> str:
    """Return what keeps the scaler from renting at this time, "" if nothing does."""
    if state.halted_until_s > now_s:
        return state.halted_reason
    return "; ".join(f"{name}: {halt.reason}" for name, halt in state.halted_autogroups.items() if halt.until_s > now_s)


def _serving(workers: Sequence[Worker], candidates: Sequence[Candidate], place: Place) -> str:
    silent = sum(worker.rental.state is WorkerState.READY for worker in workers) - len(candidates)
    failed_it = sum(candidate.worker.worker_id in place.avoid for candidate in candidates)
    if len(candidates) > failed_it:
        turn = f"{place.waiting_ahead} ahead of you" if place.waiting_ahead else "you are next"
        return f"{_count(len(candidates) - failed_it, 'ready worker')} full, {turn}"
    if failed_it:
        return f"no ready worker but {_count(failed_it, 'worker')} that failed this request"
    if silent:
        return f"{_count(silent, 'worker')} not answering for the moment"
    return "no worker ready yet"


def _coming(workers: Sequence[Worker], *, now_s: float) -> list[str]:
    since: dict[str, list[float]] = defaultdict(list)
    for worker in workers:
        if worker.rental.state in _COMING:
            since[_stage(worker)].append(worker.rental.state_since_s)
    return [f"{len(times)} {stage} since {max(0.0, now_s - min(times)):.0f} s" for stage, times in since.items()]


def _stage(worker: Worker) -> str:
    state, said = worker.rental.state, worker.condition
    # What was reported before this boot began speaks of another one.
    if state is WorkerState.BOOTING and said.reported_at_s > worker.rental.boot_started_at_s:
        return _LOADING.get(said.phase, _COMING[state])
    return _COMING[state]


def _no_more(group: EndpointGroup, workers: Sequence[Worker], state: ScalerState, *, now_s: float) -> list[str]:
    """Say why there will not be another worker, if that is known; or that one is asked for."""
    if group.endpoint_state is EndpointState.SUSPENDED:
        return [SUSPENDED]
    held = [worker for worker in workers if worker.rental.state in HELD]
    if len(held) >= group.max_workers:
        return [f"the ceiling of {_count(group.max_workers, 'worker')} is reached"]
    if _budget_is_spent(group, held):
        return [f"the budget of ${group.max_hourly_cost_micro_usd / 1e6:.2f} per hour leaves no room for another"]
    if halted := halt_reason(state, now_s=now_s):
        return [f"none can be rented: {halted}"]
    if any(worker.rental.state in _COMING for worker in held):
        return []
    return [f"none can be rented: {'; '.join(found)}"] if (found := _on_offer(state)) else ["one has been asked for"]


def _on_offer(state: ScalerState) -> list[str]:
    """Return what the scaler's last decision said of offers that it could not take: none match, or all are too dear or avoided."""
    return [f"a{sentence[1:].rstrip('.')}" for sentence in state.said if sentence.startswith(OFFERS_SENTENCE)]


def _budget_is_spent(group: EndpointGroup, held: Sequence[Worker]) -> bool:
    """Tell whether another like the cheapest that is held would exceed the budget."""
    if not held:
        return False
    spent = sum(_micro_usd_per_hour(worker) for worker in held)
    return spent + min(worker.rental.running_micro_usd_per_hour for worker in held) > group.max_hourly_cost_micro_usd


def _micro_usd_per_hour(worker: Worker) -> int:
    rental = worker.rental
    return rental.running_micro_usd_per_hour if rental.state in RUNNING else rental.stopped_micro_usd_per_hour


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
