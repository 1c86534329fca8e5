"""Which worker a session belongs to, and what that may cost."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.core.affinity import EXTRA_SHARE, Affinity
from functions.core.model import Assignments
from functions.core.routing import Candidate, Leaning, candidates, choose, completion_s, fits
from tests.core.builders import NOW_S, a_condition, a_group, a_worker, worker_id

KEYS = [f"session {number}" for number in range(2_000)]
EXTRA_S = EXTRA_SHARE * 30.0


def owner(key: str, perfs: dict[str, float]) -> str:
    """Return the worker that a key belongs to, of workers by their performance."""
    wish = Affinity.of(key, max_queue_time=30.0)
    return max(perfs, key=lambda name: wish.weight(name, perfs[name]))


def fleet(size: int) -> dict[str, float]:
    """Return that many workers, every third twice as fast."""
    return {worker_id(number): 200.0 if number % 3 == 0 else 100.0 for number in range(size)}


def owners(perfs: dict[str, float]) -> dict[str, str]:
    """Return every key's worker."""
    return {key: owner(key, perfs) for key in KEYS}


def candidate(number: int, load: float = 0.0, *, perf: float = 100.0) -> Candidate:
    """Return a candidate with this backlog."""
    worker = replace(a_worker(number), condition=a_condition(perf=perf), assignments=Assignments(assigned_load=load, reqnum=1))
    totals = replace(worker.assignments, ticket_expires_at_s=NOW_S + 60)
    [made] = candidates([replace(worker, assignments=totals)], group=a_group(), now_s=NOW_S)
    return made


def chosen(places: list[Candidate], key: str = "a session", *, cost: float = 10.0) -> int:
    """Return the number of the worker that a request of the session gets."""
    wish = Affinity.of(key, max_queue_time=30.0)
    made = choose(places, cost=cost, avoid=(), rng=random.Random(1), leaning=Leaning(affinity=wish))
    assert made is not None
    return int(made.worker.worker_id[3:])


# Whose is it?


def test_a_key_belongs_to_the_same_worker_for_ever() -> None:
    assert [owner(key, fleet(9))[-1] for key in ("", "a", "b", "ü")] == ["6", "0", "8", "4"]


@pytest.mark.parametrize("size", [2, 10, 40])
def test_when_a_worker_leaves_its_keys_move_and_no_others(size: int) -> None:
    before = owners(fleet(size))
    left = {name: perf for name, perf in fleet(size).items() if name != worker_id(1)}
    after = owners(left)

    assert {key for key in KEYS if before[key] != after[key]} == {key for key in KEYS if before[key] == worker_id(1)}


@pytest.mark.parametrize("size", [2, 10, 40])
def test_when_a_worker_joins_it_takes_its_share_and_nothing_else_moves(size: int) -> None:
    before, after = owners(fleet(size)), owners(fleet(size + 1))
    moved = [key for key in KEYS if before[key] != after[key]]
    perfs = fleet(size + 1)
    share = perfs[worker_id(size)] / sum(perfs.values())

    assert {after[key] for key in moved} == {worker_id(size)}
    assert len(moved) / len(KEYS) == pytest.approx(share, rel=0.4, abs=0.005)


def test_a_workers_share_of_keys_is_its_share_of_performance() -> None:
    perfs = fleet(10)
    counts = Counter(owners(perfs).values())

    assert all(counts[name] / len(KEYS) == pytest.approx(perf / sum(perfs.values()), rel=0.2) for name, perf in perfs.items())


def test_the_keys_of_one_worker_are_spread_over_all_others_when_it_leaves() -> None:
    before = owners(fleet(10))
    left = {name: perf for name, perf in fleet(10).items() if name != worker_id(3)}

    assert {owner(key, left) for key in KEYS if before[key] == worker_id(3)} == left.keys()


def test_when_a_shard_is_added_the_keys_that_move_go_there() -> None:
    wishes = [Affinity.of(key, max_queue_time=30.0) for key in KEYS]
    moved = [wish.home(range(9)) for wish in wishes if wish.home(range(8)) != wish.home(range(9))]

    assert set(moved) == {8}
    assert len(moved) / len(KEYS) == pytest.approx(1 / 9, rel=0.2)


# What it may cost


def test_a_session_goes_to_its_worker_although_another_would_be_a_little_sooner() -> None:
    home = chosen([candidate(1), candidate(2)])
    busy = [candidate(number, 290.0 if number == home else 0.0) for number in (1, 2)]

    assert chosen(busy) == home


def test_it_goes_elsewhere_when_that_would_take_longer_than_the_bound() -> None:
    home = chosen([candidate(1), candidate(2)])
    busy = [candidate(number, 310.0 if number == home else 0.0) for number in (1, 2)]

    assert chosen(busy) == 3 - home


def test_it_goes_to_the_next_in_its_own_order_and_comes_back() -> None:
    idle = [candidate(number) for number in range(1, 6)]
    first = chosen(idle)
    without = [each for each in idle if each.worker.worker_id != worker_id(first)]
    second = chosen(without)
    full = [candidate(number, 3_000.0 if number == first else 0.0) for number in range(1, 6)]

    assert (chosen(full), chosen(idle)) == (second, first)


def test_a_crowd_on_one_session_spreads_over_as_many_workers_as_it_needs() -> None:
    loads = dict.fromkeys(range(1, 11), 0.0)
    for _ in range(100):
        loads[chosen([candidate(number, load) for number, load in loads.items()], cost=50.0)] += 50.0

    assert max(loads.values()) - min(loads.values()) <= EXTRA_S * 100.0 + 50.0
    assert sum(loads.values()) == 5_000.0


@settings(max_examples=40)
@given(
    loads=st.lists(st.floats(0, 4_000), min_size=1, max_size=5),
    perfs=st.lists(st.sampled_from([50.0, 100.0, 400.0]), min_size=5, max_size=5),
    cost=st.floats(0.001, 4_000),
    key=st.text(max_size=5),
)
def test_no_wish_lifts_a_ceiling_or_waits_longer_than_the_bound(
    loads: list[float], perfs: list[float], cost: float, key: str
) -> None:
    places = [candidate(number, load, perf=perfs[number]) for number, load in enumerate(loads)]
    plain = choose(places, cost=cost, avoid=(), rng=random.Random(1))
    leaning = Leaning(affinity=Affinity.of(key, max_queue_time=30.0))
    wished = choose(places, cost=cost, avoid=(), rng=random.Random(1), leaning=leaning)

    assert (plain is None) == (wished is None)
    if plain is not None and wished is not None:
        assert fits(wished, cost)
        assert completion_s(wished, cost) <= completion_s(plain, cost) + EXTRA_S
