"""How long a key works: from the deployment that makes it to the one that takes it away, or to its own end."""

from __future__ import annotations

from typing import Any

import pytest

from functions.adapters.function_url import HttpReply, HttpRequest
from functions.core.model import Scope
from functions.route.answer import answer
from functions.route.caches import KEY_TTL_S
from tests.core.builders import NOW_S
from tests.functions.events import an_event
from tests.functions.reporter import PUBLIC_KEYS
from tests.functions.router import API_KEY, KEY, READ_KEY, Router, a_key, ready

OLD, NEW = "hg-the-old-key", "hg-the-new-key"


@pytest.fixture
def router() -> Router:
    """Return a router of a group with a ready worker."""
    router = Router()
    router.holds(*ready(1))
    return router


def post(router: Router, key: str, **event: Any) -> HttpReply:
    """Send a request with a key in its header."""
    request = HttpRequest.of_event(an_event("/route/", {"endpoint": "chat"}, bearer=key, **event))
    return answer(request, ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS)


def test_a_key_that_was_taken_away_is_dead_within_seconds(router: Router) -> None:
    assert post(router, API_KEY).status == 200
    router.store.drop_key(KEY)
    router.clock.advance(KEY_TTL_S)

    assert post(router, API_KEY).body["error"] == "invalid_api_key"


def test_a_scope_that_was_taken_away_is_gone_as_soon(router: Router) -> None:
    assert post(router, API_KEY).status == 200
    router.store.put_key(a_key(API_KEY, scopes=frozenset({Scope.READ})))
    router.clock.advance(KEY_TTL_S)

    assert post(router, API_KEY).body["error"] == "missing_scope"


def test_a_key_ends_at_its_moment_although_it_is_cached(router: Router) -> None:
    router.store.put_key(a_key(OLD, expires_at_s=NOW_S + 2))
    at_first = post(router, OLD).status
    router.clock.advance(1.9)
    before = post(router, OLD).status
    router.clock.advance(0.1)

    assert (at_first, before, post(router, OLD).body["error"]) == (200, 200, "expired_api_key")


def test_while_one_key_replaces_another_both_work_and_then_the_new_one_alone(router: Router) -> None:
    router.store.put_key(a_key(OLD, label="website", expires_at_s=NOW_S + 60))
    router.store.put_key(a_key(NEW, label="website"))
    both = [post(router, key).status for key in (OLD, NEW)]
    router.clock.advance(60.0)
    router.refresh()

    assert both == [200, 200]
    assert [post(router, key).status for key in (OLD, NEW)] == [401, 200]


@pytest.mark.parametrize("key", [API_KEY, READ_KEY, "guess"])
def test_a_key_costs_one_read_in_five_seconds_whatever_it_is(router: Router, key: str) -> None:
    router.store.calls.clear()
    for _ in range(4):
        post(router, key)
        router.clock.advance(1.0)

    assert list(router.store.calls).count("api_key") == 1
