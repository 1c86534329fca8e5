"""What is missing while nothing serves: nobody waits for a first boot alone."""

from __future__ import annotations

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.core.plan import Rent, Start, Undrain
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from tests.core.builders import NOW_S, a_group, a_request, a_snapshot, a_worker, an_offer, worker_id

_S = WorkerState
OFFERS = {"a": tuple(an_offer(number) for number in range(100, 110))}
USUAL_S, LATE_S = 100.0, 620.0  # of boots of which one in twenty takes longer than 600 s


def waiting(*workers: Worker, **changes: object) -> Snapshot:
    """Return a group in which somebody waits, whatever these workers do."""
    return a_snapshot(*workers, waiting=(a_request(),), offers=OFFERS, **changes)


def brought(snapshot: Snapshot) -> list[tuple[type, str]]:
    """Return what a decision takes back, starts or rents."""
    actions = decide(snapshot, now_s=NOW_S).actions
    return [
        (type(action), action.worker_id if not isinstance(action, Rent) else "new")
        for action in actions
        if isinstance(action, Undrain | Start | Rent)
    ]


def test_whoever_waits_for_a_first_boot_has_a_stopped_worker_started() -> None:
    snapshot = waiting(a_worker(1, _S.BOOTING, age_s=USUAL_S), a_worker(2, _S.STOPPED))

    assert brought(snapshot) == [(Start, worker_id(2))]


def test_a_rent_that_is_not_confirmed_is_no_more_waited_for() -> None:
    snapshot = waiting(a_worker(1, _S.RENTING, age_s=5.0), a_worker(2, _S.STOPPED))

    assert brought(snapshot) == [(Start, worker_id(2))]


def test_whoever_waits_for_a_first_boot_has_a_draining_worker_taken_back() -> None:
    snapshot = waiting(
        a_worker(1, _S.BOOTING, age_s=USUAL_S), a_worker(2, _S.DRAINING, age_s=5.0, drain_to=_S.STOPPING), a_worker(3, _S.STOPPED)
    )

    assert brought(snapshot) == [(Undrain, worker_id(2))]


def test_while_somebody_serves_a_first_boot_is_counted_on() -> None:
    snapshot = waiting(a_worker(1), a_worker(2, _S.BOOTING, age_s=USUAL_S), a_worker(3, _S.STOPPED))

    assert brought(snapshot) == []


def test_a_start_is_waited_for() -> None:
    snapshot = waiting(a_worker(1, _S.STARTING, age_s=20.0, created_at_s=NOW_S - 900), a_worker(2, _S.STOPPED))

    assert brought(snapshot) == []


def test_a_start_that_is_late_has_the_next_one_started() -> None:
    snapshot = waiting(a_worker(1, _S.BOOTING, age_s=95.0, created_at_s=NOW_S - 900), a_worker(2, _S.STOPPED))

    assert brought(snapshot) == [(Start, worker_id(2))]


def test_a_first_boot_that_takes_as_long_as_others_has_none_rented_beside_it() -> None:
    assert brought(waiting(a_worker(1, _S.BOOTING, age_s=USUAL_S))) == []


def test_a_first_boot_that_is_late_has_one_more_rented() -> None:
    snapshot = waiting(a_worker(1, _S.BOOTING, age_s=LATE_S))

    assert brought(snapshot) == [(Rent, "new")]


def test_beside_one_that_is_late_a_single_one_is_waited_for() -> None:
    snapshot = waiting(a_worker(1, _S.BOOTING, age_s=LATE_S), a_worker(2, _S.BOOTING, age_s=USUAL_S))

    assert brought(snapshot) == []


def test_that_one_is_late_is_said() -> None:
    plan = decide(waiting(a_worker(1, _S.BOOTING, age_s=LATE_S)), now_s=NOW_S)

    assert f"{worker_id(1)} takes longer than 19 in 20 do: nobody is to wait for it alone." in plan.sentences


@pytest.mark.parametrize("age_s", [USUAL_S, LATE_S])
def test_while_nothing_is_asked_a_first_boot_has_nothing_started_or_rented(age_s: float) -> None:
    snapshot = a_snapshot(
        a_worker(1, _S.BOOTING, age_s=age_s), a_worker(2, _S.STOPPED), offers=OFFERS, group=a_group(cold_workers=2)
    )

    assert brought(snapshot) == []


def test_a_late_boot_keeps_to_the_ceiling() -> None:
    assert brought(waiting(a_worker(1, _S.BOOTING, age_s=LATE_S), group=a_group(max_workers=1))) == []
