"""The limits of a client, held by many execution environments that know nothing of each other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from functions.adapters.function_url import HttpReply, HttpRequest
from functions.core.model import ApiKey
from functions.core.rate_limit import BURST_S, SHARE_LIFE_S, SHARE_S
from functions.route.allowance import Allowance
from functions.route.answer import answer
from protocol.request_idx import is_recorded
from tests.core.builders import NOW_S, worker_id
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore
from tests.functions.events import an_event
from tests.functions.reporter import PUBLIC_KEYS
from tests.functions.router import Router, a_key, ready

LIMITED = "hg-a-limited-key"


def router_of(store: MemoryStore | None = None, clock: FakeClock | None = None, **limits: Any) -> Router:
    """Return an environment whose client has these limits, with a worker of its group."""
    router = Router(store=store, clock=clock)
    router.store.put_key(a_key(LIMITED, label="website", **limits))
    router.holds(*ready(1))
    return router


def post(router: Router, *, key: str = LIMITED, path: str = "/route/", **body: Any) -> HttpReply:
    """Send a request."""
    event = an_event(path, {"endpoint": "chat", "cost": 1} | body, bearer=key)
    return answer(HttpRequest.of_event(event), ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS)


def outcomes(router: Router, count: int) -> list[str]:
    """Send that many requests at once."""
    return [post(router).outcome for _ in range(count)]


# What a client sees


def test_within_its_limit_a_client_notices_nothing() -> None:
    assert outcomes(router_of(requests_per_s=5.0), 10) == ["assigned"] * 10


def test_over_its_limit_a_client_waits_and_is_told_why() -> None:
    router = router_of(requests_per_s=5.0)
    outcomes(router, 11)
    reply = post(router)

    assert (reply.status, reply.outcome) == (200, "waiting")
    assert reply.body["status"] == "the limit of this API key is reached (5 requests per second); there is room again in 0.1 s"
    assert "url" not in reply.body


def test_who_waits_for_its_limit_is_served_when_it_asks_again() -> None:
    router = router_of(requests_per_s=5.0)
    outcomes(router, 11)
    idx = post(router).body["request_idx"]
    router.clock.advance(1.0)

    assert idx > 0
    assert post(router, request_idx=idx).outcome == "assigned"


def test_the_load_of_a_client_is_limited_as_well() -> None:
    router = router_of(load_per_s=100.0)

    assert post(router, cost=500).outcome == "assigned"
    assert "100 load per second" in post(router, cost=1).body["status"]


def test_who_is_over_its_limit_is_no_demand() -> None:
    router = router_of(requests_per_s=5.0)
    outcomes(router, 20)

    assert (router.store.requests("chat"), router.waker.woken) == ([], [])


def test_the_number_of_who_is_over_its_limit_is_nobodys_record() -> None:
    router = router_of(requests_per_s=5.0)
    outcomes(router, 11)

    assert not is_recorded(post(router).body["request_idx"])


def test_a_request_that_waits_for_a_worker_counts_once() -> None:
    router = router_of(requests_per_s=1.0)
    post(router, cost=3_000)
    idx = post(router, cost=10).body["request_idx"]
    assert "full" in post(router, request_idx=idx).body["status"]
    for _ in range(5):
        assert "full" in post(router, request_idx=idx).body["status"]

    assert post(router, cost=10).body["status"].startswith("1 ready worker full")
    assert post(router, cost=10).body["status"].startswith("the limit")


def test_a_request_that_comes_back_counts_again_so_that_made_up_numbers_pass_no_limit() -> None:
    router = router_of(requests_per_s=5.0)
    idx = post(router).body["request_idx"]
    outcomes(router, 10)

    assert post(router, request_idx=idx).body["status"].startswith("the limit")


def test_the_keys_of_one_client_share_its_limit() -> None:
    router = router_of(requests_per_s=5.0)
    router.store.put_key(a_key("hg-the-next-key", label="website", requests_per_s=5.0))
    outcomes(router, 11)

    assert post(router, key="hg-the-next-key").outcome == "waiting"


def test_a_read_over_the_limit_is_told_when_to_come_again() -> None:
    router = router_of(requests_per_s=0.5, scopes=frozenset({"read", "route"}))
    asked = [post(router, path="/get_endpoint_workers/") for _ in range(3)]

    assert [reply.status for reply in asked] == [200, 200, 429]
    assert asked[2].body["error"] == "rate_limited"
    assert asked[2].headers["retry-after"] == "2"


def test_a_limit_that_is_raised_is_live_within_seconds() -> None:
    router = router_of(load_per_s=0.001)
    post(router, cost=1_000)
    assert post(router).outcome == "waiting"
    router.store.put_key(a_key(LIMITED, label="website"))
    router.clock.advance(5.1)

    assert post(router).outcome == "assigned"


# What it costs


def written(router: Router) -> list[str]:
    """Return the calls of the table since the last look."""
    calls = [call for call in router.store.calls if call in {"assign", "spend"}]
    router.store.calls.clear()
    return calls


def test_a_client_without_a_limit_costs_no_write_for_it() -> None:
    router = router_of()
    outcomes(router, 3)

    assert written(router) == ["assign"] * 3


def test_a_slow_client_costs_a_write_for_each_request() -> None:
    router = router_of(requests_per_s=5.0)
    for _ in range(3):
        post(router)
        router.clock.advance(2.0)

    assert written(router) == ["spend", "assign"] * 3


def test_a_busy_client_costs_two_writes_a_second_in_each_environment() -> None:
    router = router_of(requests_per_s=1_000.0)
    for step in range(1_000):
        if step == 500:
            written(router)  # by now its rate is known
        post(router)
        router.clock.advance(0.02)

    assert written(router).count("spend") <= 2 * 10 + 4


def test_who_was_refused_costs_no_write_until_its_budget_is_due() -> None:
    router = router_of(load_per_s=1.0)
    post(router, cost=100)
    post(router)
    written(router)
    for _ in range(10):
        post(router)

    assert written(router) == []


# What it holds


def arrivals(rate_per_s: float, duration_s: float, rng: random.Random) -> Iterator[float]:
    """Yield the gaps of a Poisson stream."""
    passed_s = 0.0
    while passed_s < duration_s:
        gap_s = rng.expovariate(rate_per_s)
        passed_s += gap_s
        yield gap_s


def run(key: ApiKey, environments: int, rate_per_s: float, *, cost: float = 1.0, duration_s: float = 30.0) -> list[float]:
    """Return when requests passed, of a stream that is spread over environments at random."""
    rng, store, clock = random.Random(7), MemoryStore(), FakeClock(NOW_S)
    each = [Allowance() for _ in range(environments)]
    passed = []
    for gap_s in arrivals(rate_per_s, duration_s, rng):
        clock.advance(gap_s)
        if not rng.choice(each).admit(key, cost=cost, now_s=clock.now_s(), store=store):
            passed.append(clock.now_s())
    return passed


def most_within(times: list[float], span_s: float) -> int:
    """Return the greatest number of times within any span."""
    most = first = 0
    for last, at_s in enumerate(times):
        while at_s - times[first] > span_s:
            first += 1
        most = max(most, last - first + 1)
    return most


CASES = [(50.0, 1, 200.0), (50.0, 40, 200.0), (50.0, 400, 200.0), (5.0, 40, 100.0), (200.0, 16, 1_000.0)]


@pytest.mark.parametrize(("limit", "environments", "rate_per_s"), CASES)
@pytest.mark.parametrize("span_s", [1.0, 10.0])
def test_whatever_the_number_of_environments_no_span_passes_more_than_the_bound(
    limit: float, environments: int, rate_per_s: float, span_s: float
) -> None:
    times = run(a_key(LIMITED, label="website", requests_per_s=limit), environments, rate_per_s)

    assert most_within(times, span_s) <= limit * (span_s + BURST_S + SHARE_S + SHARE_LIFE_S) + 1


@pytest.mark.parametrize(("limit", "environments", "rate_per_s"), CASES)
def test_a_client_over_its_limit_gets_it(limit: float, environments: int, rate_per_s: float) -> None:
    times = run(a_key(LIMITED, label="website", requests_per_s=limit), environments, rate_per_s)

    assert len(times) >= 0.98 * 30 * limit


def test_a_client_below_its_limit_is_hardly_ever_held_back() -> None:
    key = a_key(LIMITED, label="website", requests_per_s=100.0)

    assert len(run(key, 20, 70.0)) >= 0.99 * len(list(arrivals(70.0, 30.0, random.Random(7))))


def test_a_limit_of_load_holds_over_all_environments() -> None:
    times = run(a_key(LIMITED, label="website", load_per_s=500.0), 40, 100.0, cost=20.0)

    assert 20 * most_within(times, 10.0) <= 500 * (10 + BURST_S + SHARE_S + SHARE_LIFE_S) + 20


def test_environments_of_the_whole_router_share_one_limit() -> None:
    first = router_of(requests_per_s=5.0)
    others = [Router(store=first.store, clock=first.clock) for _ in range(7)]
    replies = [post(router) for _ in range(5) for router in (first, *others)]

    assert 5 * BURST_S <= [reply.outcome for reply in replies].count("assigned") <= 5 * (BURST_S + SHARE_S + SHARE_LIFE_S) + 1
    assert first.store.worker("chat", worker_id(1)).assignments.reqnum == [reply.outcome for reply in replies].count("assigned")
