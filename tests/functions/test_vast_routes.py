"""Routes to Vast's own workers: the same ticket, with the signature that their generation verifies."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey.RSA import import_key
from Crypto.Signature import pkcs1_15

from functions.route.call import Assigned
from protocol.report import Phase
from tests.core.builders import worker_id
from tests.functions.router import RSA, Router, ready

KEYS = {
    "": ("cost", "endpoint", "reqnum", "url"),
    "1.0.0": ("cost", "endpoint", "reqnum", "request_idx", "url"),
    "1.1.0": ("url",),
}


def a_router(version: str, **said: Any) -> Router:
    """Return a router of a group with one worker, of this version."""
    router = Router()
    router.holds(*ready(1))
    router.reports(worker_id(1), version=version, **said)
    return router


def reply(version: str) -> dict[str, Any]:
    """Return the reply of a route to a worker of this version, as its client receives it."""
    answered: dict[str, Any] = json.loads(json.dumps(a_router(version).ask(cost=25.0).wire()))
    return answered


@pytest.mark.parametrize("version", KEYS)
def test_the_reply_carries_the_signature_that_the_workers_version_verifies(version: str) -> None:
    answered = reply(version)

    text = json.dumps({name: answered[name] for name in KEYS[version]}, indent=4)
    pkcs1_15.new(import_key(RSA)).verify(SHA256.new(text.encode()), base64.b64decode(answered["signature"]))


@pytest.mark.parametrize("version", KEYS)
@pytest.mark.parametrize("field", ["cost", "endpoint", "reqnum", "request_idx", "signature", "url"])
def test_the_reply_has_what_vasts_workers_demand(version: str, field: str) -> None:
    assert field in reply(version)


def test_nothing_is_signed_for_a_worker_that_is_not_ready() -> None:
    router = a_router("1.1.0", phase=Phase.LOADING)

    assert not isinstance(router.ask(), Assigned)


def test_rsa_is_loaded_by_the_first_route_to_a_vast_worker_and_not_before() -> None:
    program = (
        "import sys, json; from functions.adapters.nacl_signer import signing_key; from functions.route.service import route;"
        "signer = signing_key(json.loads(sys.stdin.read())); signer.sign(b'm'); before = 'cryptography' in sys.modules;"
        "signer.sign_rsa(b'm'); print(before, 'cryptography' in sys.modules)"
    )
    secret = {"keys": [{"key_id": "k1", "seed": base64.b64encode(bytes(32)).decode()}], "active": "k1", "rsa": RSA}

    ended = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(secret),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert ended.stdout.split() == ["False", "True"]
