"""One port for plain HTTP and TLS, and a certificate that is pinned."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from pyworker import listener as module
from pyworker.certificate import Certificate, make_certificate
from pyworker.listener import HEADER_BYTES_MAX, HEADERS_MAX, Listener


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello over {request.scheme}")


@asynccontextmanager
async def listening(certificate: Certificate | None = None, *, plain: bool = True) -> AsyncIterator[tuple[Listener, str]]:
    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/health", hello)
    tls = certificate.context if certificate else None
    one = await Listener.start(app, host="127.0.0.1", port=0, tls=tls, plain=plain)
    try:
        yield one, "{}:{}".format(*one.address)
    finally:
        await one.cleanup()


async def test_one_port_speaks_both() -> None:
    certificate = make_certificate()
    pin = aiohttp.Fingerprint(bytes.fromhex(certificate.sha256))
    texts = []
    async with listening(certificate) as (_, address), aiohttp.ClientSession() as session:
        for scheme in ("http", "https"):
            async with session.get(f"{scheme}://{address}/", ssl=pin) as reply:
                texts.append(await reply.text())

    assert texts == ["hello over http", "hello over https"]


async def test_the_fingerprint_is_that_of_the_certificate_shown() -> None:
    certificate = make_certificate()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with listening(certificate) as (one, _):
        _, writer = await asyncio.open_connection(*one.address, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()

    assert hashlib.sha256(shown).hexdigest() == certificate.sha256


def test_every_run_has_a_certificate_of_its_own() -> None:
    assert make_certificate().sha256 != make_certificate().sha256


async def test_another_certificate_is_refused() -> None:
    pin = aiohttp.Fingerprint(bytes.fromhex(make_certificate().sha256))
    async with listening(make_certificate()) as (_, address), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerFingerprintMismatch):
            await session.get(f"https://{address}/", ssl=pin)


async def test_plain_http_is_dropped_where_tls_is_required() -> None:
    async with listening(make_certificate(), plain=False) as (_, address), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://{address}/")


async def test_tls_is_dropped_where_there_is_none() -> None:
    async with listening() as (_, address), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"https://{address}/", ssl=False)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("tls", [True, False])
async def test_a_listener_can_tell_whether_it_answers(*, plain: bool, tls: bool) -> None:
    """One that serves neither is the broken one."""
    async with listening(make_certificate() if tls else None, plain=plain) as (one, _):
        assert await one.answers() == (plain or tls)


async def test_who_says_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_BYTE_S", 0.05)
    async with listening() as (one, _):
        reader, writer = await asyncio.open_connection(*one.address)

        assert await reader.read() == b""
        writer.close()


async def test_the_silent_cannot_keep_others_out_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_MAX", 3)
    monkeypatch.setattr(module, "FIRST_BYTE_S", 0.2)
    async with listening() as (one, address), aiohttp.ClientSession() as session:
        silent = [socket.create_connection(one.address) for _ in range(5)]
        await asyncio.gather(*(asyncio.to_thread(connection.recv, 1) for connection in silent))
        async with session.get(f"http://{address}/") as reply:
            assert reply.status == 200
        for connection in silent:
            connection.close()


async def test_garbage_for_a_handshake_does_no_harm() -> None:
    async with listening(make_certificate()) as (one, address), aiohttp.ClientSession() as session:
        reader, writer = await asyncio.open_connection(*one.address)
        writer.write(b"\x16 this is no client hello")
        await reader.read()
        writer.close()
        async with session.get(f"http://{address}/") as reply:
            assert reply.status == 200


@pytest.mark.parametrize(
    "headers", [{"X-Long": "x" * (HEADER_BYTES_MAX + 1)}, {f"X-{number}": "1" for number in range(HEADERS_MAX + 1)}]
)
async def test_headers_beyond_the_limits_are_a_bad_request(headers: dict[str, str]) -> None:
    async with (
        listening() as (_, address),
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}/", headers=headers) as reply,
    ):
        assert reply.status == 400


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with listening() as (one, _):
        with pytest.raises(OSError, match="in use"):
            await Listener.start(web.Application(), host="127.0.0.1", port=one.address[1], tls=None, plain=True)
