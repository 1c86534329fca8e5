"""What Vast's workers verify, checked by the library that they verify with, against texts written down by hand."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from hypothesis import given
from hypothesis import strategies as st

from functions.adapters.key_maker import LocalKeyMaker
from functions.adapters.public_keys import rsa_public_half
from functions.adapters.rsa_signer import rsa_signer
from protocol.report import REPORT_VERSION
from protocol.ticket import Ticket
from protocol.vast_signature import is_vast, vast_message, vast_reply

# Published beside the checkout where there is one: signatures of another implementation, by a throw-away key.
VECTORS: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "protocol" / "route_signature_vectors.json"
VERSIONS: Final = {"2024": "", "sdk-0.3": "1.0.0", "sdk>=0.4.2": "1.1.0"}
TICKET: Final = Ticket(
    url="http://203.0.113.7:40123",
    endpoint="my-ep",
    cost=242.0,
    reqnum=17,
    request_idx=5,
    worker_id="w0-a",
    assigned_load=500.0,
    issued_at=1_795_392_000,
    expires_at=1_795_392_060,
    key_id="k1",
)
PEM: Final = LocalKeyMaker().rsa()

URL_ONLY = '{\n    "url": "http://203.0.113.7:40123"\n}'
FOUR = '{\n    "cost": 242,\n    "endpoint": "my-ep",\n    "reqnum": 17,\n    "url": "http://203.0.113.7:40123"\n}'
FIVE = (
    '{\n    "cost": 242,\n    "endpoint": "my-ep",\n    "reqnum": 17,\n    "request_idx": 5,\n'
    '    "url": "http://203.0.113.7:40123"\n}'
)


def reply(**changes: Any) -> dict[str, Any]:
    return vast_reply(TICKET, b"s" * 64) | changes


@pytest.mark.parametrize(("version", "text"), [("", FOUR), ("1.0.0", FIVE), ("1.1.0", URL_ONLY), ("1.2.0", URL_ONLY)])
def test_each_generation_verifies_its_own_fields(version: str, text: str) -> None:
    assert vast_message(version, reply()) == text.encode()


def test_what_json_would_escape_is_escaped_as_python_does() -> None:
    endpoint = vast_message("", reply(endpoint='é "q" <&>/')).decode().splitlines()[2]

    assert endpoint == r'    "endpoint": "\u00e9 \"q\" <&>/",'


def test_a_whole_cost_goes_out_as_an_integer_and_another_one_as_it_is() -> None:
    fraction = vast_reply(Ticket(**{name: getattr(TICKET, name) for name in Ticket.__slots__} | {"cost": 0.1}), b"s" * 64)

    assert [json.dumps(each["cost"]) for each in (reply(), fraction)] == ["242", "0.1"]


@given(
    cost=st.floats(min_value=1e-3, max_value=1e9),
    reqnum=st.integers(0, 2**53),
    request_idx=st.integers(1, 2**53),
    version=st.sampled_from(sorted(VERSIONS.values())),
)
def test_a_worker_that_parses_the_reply_and_writes_it_down_again_gets_the_signed_text(
    cost: float, reqnum: int, request_idx: int, version: str
) -> None:
    changes = {"cost": cost, "reqnum": reqnum, "request_idx": request_idx}
    sent = vast_reply(Ticket(**{name: getattr(TICKET, name) for name in Ticket.__slots__} | changes), b"s" * 64)

    received = json.loads(json.dumps(sent))

    assert vast_message(version, received) == vast_message(version, sent)


def test_the_signature_is_one_that_the_workers_library_accepts() -> None:
    signature = rsa_signer(PEM)(vast_message("1.1.0", reply()))

    key = RSA.import_key(rsa_public_half(PEM))
    pkcs1_15.new(key).verify(SHA256.new(URL_ONLY.encode()), signature)


def test_a_signature_over_anything_else_is_not() -> None:
    signature = rsa_signer(PEM)(vast_message("1.0.0", reply(cost=1)))

    with pytest.raises(ValueError, match="Invalid signature"):
        pkcs1_15.new(RSA.import_key(PEM)).verify(SHA256.new(FIVE.encode()), signature)


def test_our_workers_are_told_from_theirs_by_their_version() -> None:
    assert [is_vast(version) for version in (REPORT_VERSION, "headgate/2", "", "0", "1.0.0", "1.1.0")] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]


@pytest.mark.skipif(not VECTORS.exists(), reason="the published vectors are not beside this checkout")
def test_the_published_vectors() -> None:
    published = json.loads(VECTORS.read_text())
    key = RSA.import_key(published["public_key"])
    for vector in published["vectors"]:
        message = vast_message(VERSIONS[vector["format"]], vector["response_fields"])
        assert message == vector["message"].encode()
        pkcs1_15.new(key).verify(SHA256.new(message), base64.b64decode(vector["signature"]))
