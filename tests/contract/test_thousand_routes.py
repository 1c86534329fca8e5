"""A thousand routes to one group at once, by sixteen execution environments over DynamoDB: nothing is lost and nothing given twice.

Each environment is a thread with a client, a connection, caches and a generator of its own, as each is a process on Lambda.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from functions.adapters.aws_api import Aws, dynamodb
from functions.adapters.clock import SystemClock
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.adapters.nacl_signer import NaclSigner
from functions.core.model import ApiKey, Worker
from functions.route.caches import RouteCaches
from functions.route.call import Assigned, RouteCall, Waiting
from functions.route.service import RoutePorts, route
from protocol.ticket import Ticket
from tests.contract.stores import ENDPOINT, Stores, aws_of, dynamo_stores
from tests.core.builders import a_condition, a_group, a_worker
from tests.fakes.waker import RecordingWaker
from tests.functions.router import RSA, SEED

ENVIRONMENTS = 16
ROUTES_EACH = 64
COST = 7.5
QUEUE_S = 2.0
# Of different speed, so that routers meet at the fastest; together they have room for three quarters of the requests.
PERFS = tuple(100.0 + 25.0 * number for number in range(12))


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What all the routes came to."""

    stores: Stores
    tickets: list[Ticket]
    waiting: list[Waiting]

    def by_worker(self) -> dict[str, list[Ticket]]:
        """Return each worker's tickets in order of their numbers."""
        found: dict[str, list[Ticket]] = defaultdict(list)
        for ticket in sorted(self.tickets, key=lambda each: each.reqnum):
            found[ticket.worker_id].append(ticket)
        return found

    def stored(self, worker_id: str) -> Worker:
        """Return a worker as it is in the table afterwards."""
        worker = self.stores.stored(worker_id)
        assert worker is not None
        return worker


@pytest.fixture(scope="module")
def crowd(emulator: Any) -> Crowd:
    """Let everybody route at once."""
    client = emulator.client("dynamodb")
    name = f"crowd-{time.time_ns()}"
    stores = dynamo_stores(client, name)
    stores.pulumi.put_group(a_group(max_queue_time=QUEUE_S))
    lease = stores.lease()
    for number, perf in enumerate(PERFS, start=1):
        worker = a_worker(number)
        stores.scale.put_rental(lease, worker.worker_id, worker.rental)
        said = a_condition(perf=perf, reported_at_s=time.time() + 60.0)
        stores.report.put_condition(ENDPOINT, worker.worker_id, said)
    start = threading.Barrier(ENVIRONMENTS)
    with ThreadPoolExecutor(ENVIRONMENTS) as pool:
        given = list(pool.map(lambda seed: _environment(aws_of(client), name, seed, start), range(ENVIRONMENTS)))
    answered = [each for answers in given for each in answers]
    tickets = [each.ticket for each in answered if isinstance(each, Assigned)]
    return Crowd(stores=stores, tickets=tickets, waiting=[each for each in answered if isinstance(each, Waiting)])


def test_everybody_is_answered(crowd: Crowd) -> None:
    assert len(crowd.tickets) + len(crowd.waiting) == ENVIRONMENTS * ROUTES_EACH


def test_many_are_assigned_and_many_wait(crowd: Crowd) -> None:
    """So that the other tests speak of a group that was filled to its ceilings."""
    assert len(crowd.tickets) > 500
    assert len(crowd.waiting) > 100


def test_no_request_number_is_given_twice(crowd: Crowd) -> None:
    numbers = [each.request_idx for each in crowd.tickets] + [each.request_idx for each in crowd.waiting]

    assert len(set(numbers)) == len(numbers)


def test_every_worker_s_numbers_are_unique_and_without_a_gap(crowd: Crowd) -> None:
    for tickets in crowd.by_worker().values():
        assert [each.reqnum for each in tickets] == list(range(1, len(tickets) + 1))


def test_every_ticket_s_total_is_all_that_was_assigned_up_to_it(crowd: Crowd) -> None:
    for tickets in crowd.by_worker().values():
        assert [each.assigned_load for each in tickets] == pytest.approx([COST * each.reqnum for each in tickets])


def test_the_table_holds_what_was_answered_and_no_more(crowd: Crowd) -> None:
    for worker_id, tickets in crowd.by_worker().items():
        held = crowd.stored(worker_id).assignments
        assert held.reqnum == len(tickets)
        assert held.assigned_load == pytest.approx(COST * len(tickets))


def test_no_worker_is_over_its_ceiling(crowd: Crowd) -> None:
    for worker_id in crowd.by_worker():
        worker = crowd.stored(worker_id)
        assert worker.assignments.assigned_load <= QUEUE_S * worker.condition.perf + 1e-6


def test_everybody_who_waits_is_on_record_once(crowd: Crowd) -> None:
    recorded = [each.request_idx for each in crowd.stores.route.waiting(ENDPOINT, limit=10_000)]

    assert sorted(recorded) == sorted(each.request_idx for each in crowd.waiting)


def _environment(aws: Aws, table: str, seed: int, start: threading.Barrier) -> list[Assigned | Waiting]:
    store = DynamoRouteStore(DynamoTable(dynamodb(aws), table))
    signer = NaclSigner(key_id="k1", seed=SEED, rsa=RSA)
    ports = RoutePorts(store=store, signing=lambda: signer, waker=RecordingWaker(), clock=SystemClock(), rng=random.Random(seed))
    key = ApiKey(key_sha256="5e" * 32, endpoints=frozenset({ENDPOINT}))
    caches, call = RouteCaches(), RouteCall(endpoint=ENDPOINT, cost=COST)
    start.wait()
    return [route(call, key=key, ports=ports, caches=caches) for _ in range(ROUTES_EACH)]
