"""The two-step call as an application sees it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import pytest

from client import (
    Client,
    ClientClosed,
    DeadlineExceeded,
    PollSchedule,
    RouteRefused,
    StreamBroken,
    WorkerRefused,
    text_of,
)
from tests.client.servers import REQUEST_IDX, Answer, Scripted, assigned, event, waiting
from tests.waiting import until

KEY: Final = "an-api-key"
QUICK: Final = PollSchedule(first_s=0.01, shortest_s=0.001, longest_s=0.02)
HELLO: Final = Answer(body={"generated_text": "hello"})
PAYLOAD: Final = {"inputs": "hi"}


@dataclass(kw_only=True)
class World:
    """A route function, two workers, and a client."""

    router: Scripted
    worker: Scripted
    other: Scripted
    client: Client

    def request(self, **more: Any) -> Any:
        """Ask for a whole reply."""
        return self.client.request("words", "/generate", PAYLOAD, **more)

    def stream(self, **more: Any) -> list[dict[str, Any]]:
        """Ask for a streamed reply and take all of it."""
        return list(self.client.stream("words", "/generate_stream", PAYLOAD, **more))


@pytest.fixture
def world() -> Iterator[World]:
    router, worker, other = Scripted(), Scripted(), Scripted()
    with router.serving(), worker.serving(), other.serving(), Client(router.url, KEY, deadline_s=20, schedule=QUICK) as client:
        router.will(assigned(worker))
        worker.will(HELLO)
        other.will(HELLO)
        yield World(router=router, worker=worker, other=other, client=client)


def test_a_request_returns_the_models_reply(world: World) -> None:
    assert world.request().json() == {"generated_text": "hello"}


def test_a_reply_says_how_it_came_about(world: World) -> None:
    reply = world.request()

    assert (reply.status, reply.worker_url, reply.request_idx, reply.attempts) == (200, world.worker.url, REQUEST_IDX, 1)


def test_the_route_function_is_told_endpoint_and_cost(world: World) -> None:
    world.request(cost=242)

    asked = world.router.asked[0]
    assert (asked.path, asked.body) == ("/route/", {"endpoint": "words", "cost": 242, "request_idx": 0})


def test_the_route_function_is_told_which_requests_belong_together(world: World) -> None:
    world.stream(affinity="a chat")

    assert world.router.asked[0].body["session"] == "a chat"


def test_the_worker_gets_the_ticket_as_it_came_and_the_payload(world: World) -> None:
    world.request()

    asked = world.worker.asked[0]
    assert (asked.path, asked.body) == ("/generate", {"auth_data": assigned(world.worker).body, "payload": PAYLOAD})


def test_the_key_goes_to_the_route_function_alone(world: World) -> None:
    world.request()

    assert (world.router.asked[0].authorization, world.worker.asked[0].authorization) == (f"Bearer {KEY}", "")


def test_the_client_does_not_show_its_key(world: World) -> None:
    assert KEY not in repr(world.client)


def test_the_payload_does_not_go_to_the_route_function(world: World) -> None:
    world.request()

    assert "inputs" not in str(world.router.asked)


def test_a_waiting_request_is_polled_under_its_number(world: World) -> None:
    world.router.will(waiting(), waiting(), assigned(world.worker))
    world.request()

    assert [asked.body["request_idx"] for asked in world.router.asked] == [0, REQUEST_IDX, REQUEST_IDX]


def test_why_a_request_waits_is_told_with_every_poll(world: World) -> None:
    world.router.will(waiting("renting a machine"), waiting("loading the model"), assigned(world.worker))
    told: list[str] = []
    world.request(on_waiting=told.append)

    assert told == ["renting a machine", "loading the model"]


def test_a_request_that_waits_too_long_says_what_for(world: World) -> None:
    world.router.will(waiting("the budget is spent"))

    with pytest.raises(DeadlineExceeded, match="the budget is spent"):
        world.request(deadline_s=0.1)


@pytest.mark.parametrize(
    "failure", [Answer(status=503, body={"error": "store_unavailable"}), Answer(hang_up=True), Answer(body=[])]
)
def test_a_route_function_that_stumbles_is_asked_again(world: World, failure: Answer) -> None:
    world.router.will(failure, failure, assigned(world.worker))

    assert world.request().json() == {"generated_text": "hello"}


@pytest.mark.parametrize(("status", "code"), [(401, "invalid_api_key"), (404, "unknown_endpoint"), (400, "invalid_field")])
def test_a_route_function_that_refuses_is_believed(world: World, status: int, code: str) -> None:
    world.router.will(Answer(status=status, body={"error": code, "error_msg": "no", "remedy": "mend it"}))

    with pytest.raises(RouteRefused, match="no mend it") as refused:
        world.request()
    assert (refused.value.code, refused.value.status, len(world.router.asked)) == (code, status, 1)


@pytest.mark.parametrize(
    "failure",
    [
        Answer(hang_up=True),
        Answer(status=429, body={}),
        Answer(status=502, body={}),
        Answer(status=503, body={}),
        Answer(status=307, body={}, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
        Answer(chunks=(b'{"generated',), cut=True),
    ],
)
def test_after_a_workers_failure_another_one_serves(world: World, failure: Answer) -> None:
    world.router.will(assigned(world.worker), assigned(world.other))
    world.worker.will(failure)
    reply = world.request()

    assert (reply.worker_url, reply.attempts) == (world.other.url, 2)


def test_after_a_workers_failure_the_request_keeps_its_number(world: World) -> None:
    world.router.will(assigned(world.worker), assigned(world.other))
    world.worker.will(Answer(hang_up=True))
    world.request()

    assert [asked.body["request_idx"] for asked in world.router.asked] == [0, REQUEST_IDX]


def test_a_worker_that_is_not_there_is_left_for_another(world: World) -> None:
    gone = Scripted()
    with gone.serving():
        pass
    world.router.will(assigned(gone), assigned(world.other))

    assert world.request().worker_url == world.other.url


def test_when_every_worker_fails_the_deadline_ends_it_with_the_reason(world: World) -> None:
    world.worker.will(Answer(status=500, body={"error": "out of memory"}))

    with pytest.raises(DeadlineExceeded, match="the worker answered 500"):
        world.request(deadline_s=0.2)


def test_the_models_judgement_of_the_payload_is_the_callers(world: World) -> None:
    world.worker.will(Answer(status=422, body={"error": "`inputs` cannot be empty"}))

    with pytest.raises(WorkerRefused, match="cannot be empty") as refused:
        world.request()
    assert (refused.value.status, len(world.worker.asked)) == (422, 1)


def test_a_ticket_that_expired_on_the_way_is_replaced(world: World) -> None:
    world.worker.will(Answer(status=401, body={"error": "expired_ticket"}), HELLO)

    assert world.request().attempts == 2


def test_tickets_refused_again_and_again_are_an_error(world: World) -> None:
    world.worker.will(Answer(status=401, body={"error": "unknown_key"}))

    with pytest.raises(WorkerRefused, match="unknown_key"):
        world.request()


def test_a_payload_that_is_no_json_is_refused_before_anything_is_sent(world: World) -> None:
    with pytest.raises(ValueError, match="JSON"):
        world.client.request("words", "/generate", {"temperature": float("nan")})
    assert world.router.asked == []


def test_a_stream_gives_its_events_as_they_come(world: World) -> None:
    world.worker.will(Answer(chunks=(event(1), event(2) + event(3)[:10], event(3)[10:], b"data:[DONE]\n\n")))

    assert [text_of(one) for one in world.stream()] == [" word1", " word2", " word3"]


def test_a_stream_starts_before_it_ends(world: World) -> None:
    """The worker holds the second event back until the first has been taken."""
    taken = threading.Event()

    def held() -> Iterator[bytes]:
        yield event(1)
        assert taken.wait(10)
        yield event(2)

    world.worker.will(Answer(chunks=held()))
    events = world.client.stream("words", "/generate_stream", PAYLOAD)
    first = next(events)
    taken.set()

    assert [first["index"], *[later["index"] for later in events]] == [1, 2]


@pytest.mark.parametrize("failure", [Answer(chunks=(b":\n\n",), cut=True), Answer(chunks=(b'data:{"error":"CUDA error"}\n\n',))])
def test_a_stream_that_fails_before_its_first_event_is_begun_again_elsewhere(world: World, failure: Answer) -> None:
    world.router.will(assigned(world.worker), assigned(world.other))
    world.worker.will(failure)
    world.other.will(Answer(chunks=(event(1),)))

    assert len(world.stream()) == 1


@pytest.mark.parametrize(
    "failure",
    [Answer(chunks=(event(1), event(2)), cut=True), Answer(chunks=(event(1), event(2), b'data:{"error":"CUDA error"}\n\n'))],
)
def test_a_stream_that_fails_later_says_how_much_had_come(world: World, failure: Answer) -> None:
    world.worker.will(failure)

    with pytest.raises(StreamBroken) as broken:
        world.stream()
    assert broken.value.events == 2


def test_the_reason_told_inside_a_stream_is_passed_on(world: World) -> None:
    world.worker.will(Answer(chunks=(event(1), b'data: {"error": {"message": "engine is dead", "code": 500}}\n\n')))

    with pytest.raises(StreamBroken, match="engine is dead"):
        world.stream()


def test_closing_a_client_ends_requests_that_wait(world: World) -> None:
    world.router.will(waiting())
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(world.request)
        until(lambda: len(world.router.asked) > 1)
        world.client.close()

        with pytest.raises(ClientClosed):
            waits.result(timeout=10)


def test_many_threads_share_a_client(world: World) -> None:
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: world.request(), range(100)))

    assert [reply.json() for reply in replies] == [{"generated_text": "hello"}] * 100
