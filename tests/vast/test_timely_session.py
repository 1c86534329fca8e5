"""An exchange ends in time whatever its peer does, and its connection is used again."""

from __future__ import annotations

import gzip
import time

import pytest
import requests

from functions.adapters.timely_session import TimelySession
from functions.adapters.vast_http import BODY_BYTES_MAX, CALL_S_MAX, Call, VastHttp
from functions.adapters.vast_pace import OVERSLEPT_S_MAX, WAIT_S_MAX
from functions.ports import MarketplaceBusy
from functions.scale.turn import CALL_S_MAX as EFFECT_S_MAX
from pyworker.certificate import make_certificate
from tests.simulation.clock import SimulatedClock
from tests.vast.slow_server import TLS_HANDSHAKE, Answer, serving, trickling, whole

SHORT_S = 0.3
LONG_S = 20.0


def ask(url: str, session: requests.Session, *, verify: bool = True) -> requests.Response:
    # The socket's own timeouts are far away, so that only the whole exchange can be late.
    return session.get(url, timeout=(LONG_S, LONG_S), allow_redirects=False, verify=verify)


def in_short(bytes_max: int = 1_000) -> TimelySession:
    return TimelySession(call_s_max=SHORT_S, body_bytes_max=bytes_max)


@pytest.mark.parametrize(
    "answer",
    [
        trickling(b"HTTP/1.1 200 OK\r\nX-Long: "),
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        trickling(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
        trickling(b""),
    ],
    ids=["headers", "body", "body without length", "status line"],
)
def test_a_peer_that_trickles_is_cut_off(answer: Answer) -> None:
    begun_s = time.monotonic()
    with serving(answer) as heard, pytest.raises(requests.RequestException):
        ask(heard.url, in_short(bytes_max=10**9))

    assert SHORT_S <= time.monotonic() - begun_s < LONG_S / 2


def test_a_peer_that_trickles_while_tls_shakes_hands_is_cut_off() -> None:
    begun_s = time.monotonic()
    with serving(trickling(TLS_HANDSHAKE + b"\x03\x3f\xff")) as heard, pytest.raises(requests.RequestException):
        ask(heard.url.replace("http:", "https:"), in_short())

    assert SHORT_S <= time.monotonic() - begun_s < LONG_S / 2


def test_a_peer_that_says_nothing_is_cut_off() -> None:
    begun_s = time.monotonic()
    with serving(lambda peer: peer.settimeout(5)) as heard, pytest.raises(requests.RequestException):
        ask(heard.url, in_short())

    assert time.monotonic() - begun_s < LONG_S / 2


@pytest.mark.parametrize(
    "answer",
    [whole("Content-Length: 1001\r\n", b"x" * 1_001), whole("Content-Length: 30000000\r\n", b"x" * 70_000)],
    ids=["by one", "by far"],
)
def test_an_answer_that_is_too_large_is_cut_off(answer: Answer) -> None:
    with serving(answer) as heard, pytest.raises(requests.ConnectionError, match="more than 1000 bytes"):
        ask(heard.url, in_short())


def test_a_large_answer_in_little_packing_is_cut_off() -> None:
    packed = gzip.compress(b"x" * 1_001)
    answer = whole(f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n", packed)
    with serving(answer) as heard, pytest.raises(requests.ConnectionError, match="more than"):
        ask(heard.url, in_short())


def test_an_answer_arrives_whole_and_unpacked() -> None:
    packed = gzip.compress(b"x" * 900)
    with serving(whole(f"Content-Encoding: gzip\r\nX-A: b\r\nContent-Length: {len(packed)}\r\n", packed)) as heard:
        answer = ask(heard.url, in_short())

    assert (answer.content, answer.headers["X-A"]) == (b"x" * 900, "b")


def test_a_connection_is_used_again() -> None:
    session = in_short()
    with serving(*[whole("Content-Length: 2\r\n", b"ok")] * 3) as heard:
        for _ in range(3):
            ask(heard.url, session)

    assert (len(heard.requests), heard.connections) == (3, 1)


def test_a_peer_that_trickles_on_a_used_connection_is_cut_off_too() -> None:
    session = in_short(bytes_max=10**9)
    begun_s = time.monotonic()
    with serving(whole("Content-Length: 2\r\n", b"ok"), trickling(b"HTTP/1.1 200 OK\r\nX-Long: ")) as heard:
        ask(heard.url, session)
        with pytest.raises(requests.RequestException):
            ask(heard.url, session)

    assert heard.connections == 1
    assert time.monotonic() - begun_s < LONG_S / 2


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")  # nobody has signed the test's certificate
def test_over_tls_a_connection_is_used_again_and_cut_off_alike() -> None:
    session = TimelySession(call_s_max=SHORT_S * 5, body_bytes_max=10**9)
    answers = whole("Content-Length: 2\r\n", b"ok"), trickling(b"HTTP/1.1 200 OK\r\nX-Long: ")
    with serving(*answers, tls=make_certificate().context) as heard:
        answer = ask(heard.url, session, verify=False)
        with pytest.raises(requests.RequestException):
            ask(heard.url, session, verify=False)

    assert (answer.content, heard.connections, len(heard.requests)) == (b"ok", 1, 2)


def test_a_certificate_that_nobody_signed_is_refused() -> None:
    with serving(whole("Content-Length: 0\r\n"), tls=make_certificate().context) as heard, pytest.raises(requests.ConnectionError):
        ask(heard.url, in_short())

    assert heard.requests == []


def test_after_a_cut_the_next_exchange_goes_well() -> None:
    session = in_short()
    with serving(trickling(b"HTTP/1.1 200 OK\r\nX-Long: "), whole("Content-Length: 2\r\n", b"ok")) as heard:
        with pytest.raises(requests.RequestException):
            ask(heard.url, session)
        answer = ask(heard.url, session)

    assert answer.content == b"ok"


def test_nothing_ambient_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    session = in_short()
    with serving(whole("Set-Cookie: a=b\r\nContent-Length: 0\r\n"), whole("Content-Length: 0\r\n")) as heard:
        ask(heard.url, session)
        ask(heard.url, session)

    assert "cookie" not in heard.requests[1].lower()


def test_a_late_answer_to_a_call_is_no_certain_one() -> None:
    clock = SimulatedClock(0.0)
    with serving(trickling(b"HTTP/1.1 200 OK\r\nX-Long: ")) as heard:
        http = VastHttp(heard.url, api_key=lambda: "key", clock=clock, session=in_short())
        with pytest.raises(MarketplaceBusy):
            http.send(Call(kind="create", method="PUT", path="/", body={}))

    assert heard.requests[0].count("PUT / ") == 1


def test_the_adapter_s_own_session_ends_in_time() -> None:
    http = VastHttp("https://market.test", api_key=lambda: "key", clock=SimulatedClock(0.0))

    assert isinstance(http._session, TimelySession)  # noqa: SLF001 - what it is made with by default


def test_a_lease_outlives_one_effect_on_the_marketplace() -> None:
    assert WAIT_S_MAX + OVERSLEPT_S_MAX + CALL_S_MAX < EFFECT_S_MAX
    assert BODY_BYTES_MAX > 10_000_000  # a market of thousands of offers
