"""The generations of 2024, of which there is no package: their messages as they were seen on the wire, sent as they send them.

They post with `requests`, to an address that they make of REPORT_ADDR; they fetch their key with `curl`; and they verify with
PyCryptodome what they have written down again. No code of theirs is here: these tests hold Headgate to what was observed of them.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

import pytest
import requests
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

from functions.adapters.clock import SystemClock
from functions.core.routing import backlog
from functions.core.vast_load import load_in_flight
from protocol.report import Phase
from tests.contract.vast_sdk.headgate import Headgate
from tests.functions.router import API_KEY
from tests.protocol.test_vast_report import JUL24_LOADED, JUL24_LOADING, JUL24_UPDATE, SEP24

CURL: Final = shutil.which("curl") or "curl"
HISTORY: Final = 100
FIELDS: Final = ("cost", "endpoint", "reqnum", "url")


@dataclass
class Verifier:
    """What a worker of 2024 checks of a request, as it was observed to."""

    key: RSA.RsaKey
    newest: int = -1
    seen: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def accepts(self, reply: dict[str, Any]) -> bool:
        """Tell whether the worker would serve the bearer."""
        message = {name: reply[name] for name in FIELDS}
        if message["reqnum"] < self.newest - HISTORY or message in self.seen:
            return False
        text = json.dumps(message, indent=4)
        try:
            pkcs1_15.new(self.key).verify(SHA256.new(text.encode()), base64.b64decode(reply["signature"]))
        except ValueError:
            return False
        self.newest = max(self.newest, message["reqnum"])
        self.seen.append(message)
        return True


@pytest.fixture
def headgate() -> Iterator[Headgate]:
    """Return a control plane that serves."""
    headgate = Headgate()
    with headgate.serving():
        yield headgate


def verifier(headgate: Headgate) -> Verifier:
    """Fetch the key as they do."""
    text = subprocess.run(
        [CURL, "-sS", "--noproxy", "*", "-X", "GET", f"{headgate.url}/pubkey/"], check=True, capture_output=True, timeout=20
    ).stdout
    return Verifier(RSA.import_key(text))


def post(address: str, body: dict[str, Any]) -> int:
    """Post as they do: with the address's own user and password, if it has them."""
    session = requests.Session()
    session.trust_env = False
    with session:
        return session.post(address, json=body, timeout=5).status_code


def say_september(headgate: Headgate, token: str, **changes: Any) -> int:
    """Report as the worker of September 2024 does with `report_addr_token`."""
    report_addr = headgate.url.replace("http://", f"http://worker:{token}@") + "/a/path/that/it/drops"
    return post(urljoin(report_addr, "/worker_status/"), SEP24 | changes)


def say_july(headgate: Headgate, token: str, message: dict[str, Any]) -> int:
    """Report as the worker of July 2024 does."""
    return post(f"{headgate.url}/worker_status/", message | {"mtoken": token})


def route(headgate: Headgate, **asked: Any) -> dict[str, Any]:
    """Ask for a route as the clients of 2024 do: the key in the body, no number."""
    body = {"endpoint": "chat", "api_key": API_KEY, "cost": 256} | asked
    answer: dict[str, Any] = requests.post(f"{headgate.url}/route/", json=body, timeout=5).json()
    return answer


@pytest.fixture(params=["july", "september"])
def ready(request: pytest.FixtureRequest, headgate: Headgate) -> Headgate:
    """Return a control plane with a ready worker of either generation."""
    token = headgate.rent(1)
    if request.param == "september":
        say_september(headgate, token)
    else:
        for message in (JUL24_LOADING, JUL24_LOADED, JUL24_UPDATE):
            say_july(headgate, token, message)
    return headgate


def test_it_becomes_ready(ready: Headgate) -> None:
    said = ready.worker(1).condition

    assert (said.phase, said.version, said.error) == (Phase.READY, "", "")
    assert said.perf > 0


def test_it_accepts_what_headgate_signs(ready: Headgate) -> None:
    assert verifier(ready).accepts(route(ready))


@pytest.mark.parametrize("change", [{"cost": 255}, {"endpoint": "other"}, {"reqnum": 99}, {"url": "http://203.0.113.1:1"}])
def test_it_refuses_what_was_altered(ready: Headgate, change: dict[str, Any]) -> None:
    assert not verifier(ready).accepts(route(ready) | change)


def test_it_refuses_what_was_used(ready: Headgate) -> None:
    worker, reply = verifier(ready), route(ready)

    assert [worker.accepts(reply), worker.accepts(reply)] == [True, False]


def test_its_numbers_never_fall_so_far_that_it_would_refuse_them(ready: Headgate) -> None:
    worker = verifier(ready)

    assert all(worker.accepts(reply) for reply in reversed([route(ready, cost=0.01) for _ in range(20)]))


def test_between_loaded_and_its_first_update_it_is_ready_and_nobody_is_sent_there(headgate: Headgate) -> None:
    token = headgate.rent(1)
    say_july(headgate, token, JUL24_LOADED)

    assert headgate.worker(1).condition.phase is Phase.READY
    assert "url" not in route(headgate)


def test_july_tells_the_load_in_flight_and_september_requests_alone(headgate: Headgate) -> None:
    token = headgate.rent(1)
    say_july(headgate, token, JUL24_UPDATE | {"cur_capacity": 640.0})
    july = load_in_flight(headgate.worker(1))

    headgate = Headgate()
    with headgate.serving():
        token = headgate.rent(1)
        say_september(headgate, token, num_requests_working=0)
        route(headgate, cost=100)
        say_september(headgate, token, num_requests_working=1)
        september = load_in_flight(headgate.worker(1))

    assert (july, september) == (640.0, 100.0)


def test_a_load_that_was_served_is_gone_after_two_reports(ready: Headgate) -> None:
    token = ready.rent(1)
    route(ready)
    for _ in range(2):
        say_july(ready, token, JUL24_UPDATE | {"num_requests_working": 0, "cur_capacity": 0.0})

    assert backlog(ready.worker(1)) == 0.0


def test_without_its_token_september_is_refused_with_a_reason(headgate: Headgate) -> None:
    headgate.rent(1)

    answer = requests.post(f"{headgate.url}/worker_status/", json=SEP24, timeout=5)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_worker_token")
    assert headgate.worker(1).condition.reported_at_s < SystemClock().now_s() - 60
