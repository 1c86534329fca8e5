"""The whole system through its front doors: real functions under IAM, real workers, the simulated market."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from sandbox.scenario import attacks
from sandbox.system import System, SystemSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TOKENS = 16


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A deployed system that has served one request, so that a worker is ready."""
    with System(SystemSettings()) as started:
        started.deploy(lambda _event: None)
        yield started


@pytest.fixture(scope="module")
def reasons(system: System) -> list[str]:
    """Serve the first request, from zero; return what it was told while it waited."""
    told: list[str] = []
    generated = system.generate(tokens=TOKENS, on_waiting=told.append)
    assert generated.tokens == TOKENS
    return told


def test_the_first_request_waits_for_a_reason_and_is_served(reasons: list[str]) -> None:
    assert reasons
    assert "no worker ready yet" in reasons[0]


@pytest.mark.usefixtures("reasons")
def test_a_routed_request_is_one_write_to_the_table(system: System) -> None:
    system.ticket(cost=1)
    before = system.route_operations()

    for _ in range(20):
        system.ticket(cost=1)

    spent = system.route_operations() - before
    assert spent["UpdateItem"] == 20
    # The snapshot and the group's parameters are read about once a second, however many requests there are.
    assert set(spent) <= {"UpdateItem", "Query", "GetItem"}
    assert spent["Query"] + spent["GetItem"] < 20


@pytest.mark.usefixtures("reasons")
def test_forged_altered_and_replayed_tickets_are_refused(system: System) -> None:
    used = system.ticket(cost=TOKENS)
    assert system.present(used["url"], used, tokens=TOKENS).status_code == 200
    fresh = system.ticket(cost=TOKENS)

    tried = [one for one in attacks.attacks(fresh, used=used, held=used, other_url=None) if one.name != "expired"]
    verdicts = [attacks.judge(one, system.present(one.url, one.auth, tokens=TOKENS)) for one in tried]

    assert [(verdict.name, verdict.reason) for verdict in verdicts if not verdict.refused] == []
    assert {verdict.name for verdict in verdicts} == {"forged", "altered", "replayed"}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"endpoint": "nobody"}, 404, "unknown_endpoint"),
        ({"cost": -1}, 400, "invalid_field"),
        ({"cost": "much"}, 400, "invalid_field"),
    ],
)
def test_bad_requests_are_refused_with_a_code(system: System, change: dict[str, object], status: int, code: str) -> None:
    headers = {"Authorization": f"Bearer {system.api_key}"}
    answer = requests.post(f"{system.route_url}/route/", json={"endpoint": "llm", "cost": 1, **change}, headers=headers, timeout=10)

    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_a_wrong_key_is_refused_and_a_worker_without_a_token_too(system: System) -> None:
    wrong = {"Authorization": "Bearer hg_wrong"}

    routed = requests.post(f"{system.route_url}/route/", json={"endpoint": "llm"}, headers=wrong, timeout=10)
    reported = requests.post(f"{system.report_url}/worker_status/", json={"worker_id": "w0-x"}, headers=wrong, timeout=10)

    assert (routed.status_code, routed.json()["error"]) == (401, "invalid_api_key")
    assert (reported.status_code, reported.json()["error"]) == (401, "invalid_worker_token")


@pytest.mark.usefixtures("reasons")
def test_destroying_the_stack_leaves_no_instance_and_no_resource() -> None:
    with System(SystemSettings(seed=11)) as system:
        system.deploy(lambda _event: None)
        system.say_hello()
        assert system.marketplace.open_contracts()

        system.destroy(lambda _event: None)

        assert not system.marketplace.open_contracts()
        assert system.resources == 0
