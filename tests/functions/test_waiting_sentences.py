"""What a client that waits reads, as the router sends it: one sentence for each thing that can stand in the way."""

from __future__ import annotations

from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointState, Worker
from protocol.report import Phase
from tests.core.builders import NOW_S, a_group, a_state, a_worker, worker_id
from tests.functions.router import Router, ready


def status(*workers: Worker, ahead: int = 0, remembered: dict[str, Any] | None = None, **group: Any) -> str:
    """Return what a newcomer to a group of these workers is told, which are filled first, with that many before it."""
    router = Router()
    router.holds(*workers, group=a_group(**group))
    if workers and workers[0].rental.state is WorkerState.BOOTING:
        router.reports(worker_id(1), phase=Phase.LOADING)
    if remembered is not None:
        lease = router.store.acquire_lease("chat", owner="scaler", now_s=NOW_S, duration_s=1e9)
        assert lease is not None
        router.store.put_state(lease, a_state(**remembered))
    for _ in range(sum(worker.rental.state is WorkerState.READY for worker in workers)):
        router.ticket(cost=3_000)
    for _ in range(ahead):
        router.waits(cost=10.0)
    return router.waits(cost=10.0).status


SENTENCES = {
    "nobody is there yet": (status(), "no worker ready yet; one has been asked for"),
    "one is being rented": (status(a_worker(1, WorkerState.RENTING, age_s=3.0)), "no worker ready yet; 1 being rented since 3 s"),
    "one is loading": (status(a_worker(1, WorkerState.BOOTING, age_s=40.0)), "no worker ready yet; 1 loading since 40 s"),
    "all are full": (status(*ready(1, 2), ahead=12), "2 ready workers full, 12 ahead of you; one has been asked for"),
    "the budget is reached": (
        status(*ready(1), max_hourly_cost_micro_usd=500_000),
        "1 ready worker full, you are next; the budget of $0.50 per hour leaves no room for another",
    ),
    "the ceiling is reached": (
        status(*ready(1), max_workers=1),
        "1 ready worker full, you are next; the ceiling of 1 worker is reached",
    ),
    "no offers match": (
        status(remembered={"said": ("Autogroup a: no machine on offer matches.",)}),
        "no worker ready yet; none can be rented: autogroup a: no machine on offer matches",
    ),
    "the marketplace refuses": (
        status(remembered={"halted_until_s": NOW_S + 9, "halted_reason": "the credit is used up"}),
        "no worker ready yet; none can be rented: the credit is used up",
    ),
    "the endpoint is suspended": (
        status(endpoint_state=EndpointState.SUSPENDED),
        "no worker ready yet; the endpoint is suspended, so its fleet is held as it is",
    ),
    "the endpoint is stopped": (status(endpoint_state=EndpointState.STOPPED), "endpoint stopped"),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_a_waiting_client_reads_what_stands_in_its_way(case: str) -> None:
    told, sentence = SENTENCES[case]

    assert told == sentence


def test_a_client_whose_only_worker_failed_it_reads_that() -> None:
    router = Router()
    router.holds(*ready(1))
    failed = router.ticket()

    assert router.waits(request_idx=failed.request_idx).status.startswith("no ready worker but 1 worker that failed this request")


def test_the_figures_change_from_poll_to_poll() -> None:
    router = Router()
    router.holds(a_worker(1, WorkerState.BOOTING, age_s=40.0))
    router.reports(worker_id(1), phase=Phase.LOADING)
    idx = router.waits().request_idx
    router.clock.advance(3.0)

    assert router.waits(request_idx=idx).status == "no worker ready yet; 1 loading since 43 s"


def test_a_client_is_told_its_place_and_then_that_it_is_next() -> None:
    router = Router()
    router.holds(*ready(1))
    router.ticket(cost=3_000)
    first = router.waits(cost=3_000).request_idx
    router.clock.advance(1.5)
    second = router.waits(cost=3_000).request_idx
    assert "1 ahead of you" in router.waits(request_idx=second).status
    router.reports(worker_id(1), finished_load=3_000)
    router.clock.advance(1.5)
    router.ticket(request_idx=first)

    assert "you are next" in router.waits(request_idx=second).status
