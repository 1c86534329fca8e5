"""Ways to choose a worker, each a function of what one router knows. All choose among the workers that have room.

The central queue is not among them: it is no way to choose but the limit of all (`world.central_queue`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bench.routing_study.world import Policy, View
from functions.core.routing import Candidate, Leaning, choose, completion_s, fits


def within_the_age(times: float) -> Policy:
    """Take any that would be done within so many times the snapshot's age of the first: 1 is what ships, 0 the very first."""

    def policy(view: View) -> Candidate | None:
        return choose(view.known, cost=view.cost, avoid=(), rng=view.router.rng, leaning=Leaning(age_s=times * view.age_s))

    return policy


def within(seconds: float) -> Policy:
    """Take any that would be done within so many seconds of the first, however old the snapshot is."""

    def policy(view: View) -> Candidate | None:
        return choose(view.known, cost=view.cost, avoid=(), rng=view.router.rng, leaning=Leaning(age_s=seconds))

    return policy


def first_of_random(count: int) -> Policy:
    """Take the one of `count` at random that would be done first: 2 is the power of two choices on expected completion."""

    def policy(view: View) -> Candidate | None:
        return _soonest(_some(view, _fitting(view), count), view)

    return policy


def any_of_best(share: float, *, drawn: int = 1) -> Policy:
    """Draw some of the best `share` of the workers (two at least), and take the one of them that would be done first."""

    def policy(view: View) -> Candidate | None:
        fitting = _fitting(view)
        best = heapq.nsmallest(max(2, round(share * len(fitting))), fitting, key=lambda each: completion_s(each, view.cost))
        return _soonest(_some(view, best, drawn), view)

    return policy


def progress_guessed(view: View) -> Candidate | None:
    """Take the first to be done if every worker has worked on at full speed since its report."""

    def guessed_s(each: Candidate) -> float:
        since_s = view.now_s - each.worker.condition.reported_at_s
        return (max(0.0, each.backlog - each.perf * since_s) + view.cost) / each.perf

    return min(_fitting(view), key=guessed_s, default=None)


def poured(view: View) -> Candidate | None:
    """Draw a worker by how much of what others have assigned since the snapshot would lie on it by now, were it poured evenly.

    Dahlin, "Interpreting Stale Load Information", ICDCS 1999.
    """
    fitting = _fitting(view)
    if not fitting:
        return None
    return view.router.rng.choices(fitting, _poured(fitting, view.router.others_per_s * view.age_s + view.cost))[0]


def fewest_requests(view: View) -> Candidate | None:
    """Take the worker with the fewest requests outstanding, ties at random."""
    return _fewest(_fitting(view), view)


def fewer_requests_of_two(view: View) -> Candidate | None:
    """Take the one of two at random with fewer requests outstanding: what proxies call the power of two choices."""
    return _fewest(_some(view, _fitting(view), 2), view)


def at_random(view: View) -> Candidate | None:
    """Take any."""
    fitting = _fitting(view)
    return view.router.rng.choice(fitting) if fitting else None


def in_turn(view: View) -> Candidate | None:
    """Take the workers one after another, each router from a place of its own."""
    router = view.router
    router.turn = router.turn or router.rng.randrange(1, 1_000_000)
    for _ in view.known:
        router.turn += 1
        candidate = view.known[router.turn % len(view.known)]
        if fits(candidate, view.cost):
            return candidate
    return None


POLICIES: Final[Mapping[str, Callable[[View], Candidate | None]]] = {
    "within the age (shipped)": within_the_age(1.0),
    "within twice the age": within_the_age(2.0),
    "within 0.5 s": within(0.5),
    "within 1 s": within(1.0),
    "least completion": within_the_age(0.0),
    "least completion, progress guessed": progress_guessed,
    "first of 2": first_of_random(2),
    "first of 4": first_of_random(4),
    "first of 8": first_of_random(8),
    "any of best 25 %": any_of_best(0.25),
    "first of 2 of best 50 %": any_of_best(0.5, drawn=2),
    "poured": poured,
    "least requests": fewest_requests,
    "fewer requests of 2": fewer_requests_of_two,
    "random": at_random,
    "round robin": in_turn,
}


def _fitting(view: View) -> list[Candidate]:
    return [each for each in view.known if fits(each, view.cost)]


def _some(view: View, among: list[Candidate], count: int) -> list[Candidate]:
    return view.router.rng.sample(among, count) if len(among) > count else among


def _soonest(among: Sequence[Candidate], view: View) -> Candidate | None:
    return min(among, key=lambda each: (completion_s(each, view.cost), view.router.rng.random()), default=None)


def _fewest(among: Sequence[Candidate], view: View) -> Candidate | None:
    router = view.router
    return min(among, key=lambda each: (router.requests[each.worker.worker_id], router.rng.random()), default=None)


def _poured(fitting: Sequence[Candidate], load: float) -> list[float]:
    """Return how much of `load` each takes when all who take any are then done at the same time."""
    ordered = sorted(fitting, key=lambda each: each.backlog / each.perf)
    perf = backlog = level_s = 0.0
    for index, each in enumerate(ordered):
        perf, backlog = perf + each.perf, backlog + each.backlog
        level_s = (load + backlog) / perf
        if index + 1 == len(ordered) or level_s <= ordered[index + 1].backlog / ordered[index + 1].perf:
            break
    return [max(0.0, level_s * each.perf - each.backlog) for each in fitting]
