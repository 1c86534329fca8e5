"""Secrets: read when needed, kept for a while, never shown."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from nacl.signing import SigningKey

from functions.adapters.nacl_signer import NaclSigner, signing_key
from functions.adapters.secrets import SECRET_TTL_S, CachedSecret, MarketplaceSecret, marketplace_secret, worker_token_secret
from functions.ports import StoreUnavailable, UnreadableItem
from tests.fakes.clock import FakeClock

SEED = bytes(range(32))
B64_SEED = base64.b64encode(SEED).decode()


class Vault:
    """Secrets Manager with one secret; None: it does not answer."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.reads = 0
        self.clock = FakeClock(0.0)
        self.secret = CachedSecret("arn:secret", lambda held: held["value"], clock=self.clock, read=self._read)

    def _read(self, arn: str) -> str:
        self.reads += 1
        if self.text is None:
            raise StoreUnavailable(arn)
        return self.text


def test_nothing_is_read_before_it_is_needed() -> None:
    assert Vault('{"value": 1}').reads == 0


def test_a_secret_is_read_once_and_kept() -> None:
    vault = Vault('{"value": "v"}')

    assert [vault.secret(), vault.secret(), vault.reads] == ["v", "v", 1]


def test_a_rotated_secret_is_live_after_a_while() -> None:
    vault = Vault('{"value": "old"}')
    vault.secret()
    vault.text = '{"value": "new"}'
    vault.clock.advance(SECRET_TTL_S)

    assert vault.secret() == "new"


def test_while_it_cannot_be_read_the_old_value_goes_on_serving() -> None:
    vault = Vault('{"value": "old"}')
    vault.secret()
    vault.text = None
    vault.clock.advance(SECRET_TTL_S)

    assert vault.secret() == "old"


def test_a_secret_that_was_never_read_and_cannot_be_is_told() -> None:
    with pytest.raises(StoreUnavailable):
        Vault(None).secret()


@pytest.mark.parametrize("text", ["hunter2", '{"hunter2": 1}', "[]", '"hunter2"'])
def test_a_secret_of_another_shape_is_told_by_its_name_and_not_its_content(text: str) -> None:
    with pytest.raises(UnreadableItem, match="arn:secret") as raised:
        Vault(text).secret()

    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_active_key_signs() -> None:
    keys = [{"key_id": "k0", "seed": base64.b64encode(b"x" * 32).decode()}, {"key_id": "k1", "seed": B64_SEED}]
    signer = signing_key({"keys": keys, "active": "k1"})

    assert signer.key_id == "k1"
    SigningKey(SEED).verify_key.verify(b"message", signer.sign(b"message"))


@pytest.mark.parametrize(
    "secret",
    [
        {},
        {"keys": [], "active": "k1"},
        {"keys": [{"key_id": "k1", "seed": B64_SEED}] * 2, "active": "k1"},
        {"keys": [{"key_id": "k1", "seed": "AAAA"}], "active": "k1"},
        {"keys": [{"key_id": "k1", "seed": "%" + B64_SEED}], "active": "k1"},
        {"keys": [{"key_id": "k1"}], "active": "k1"},
        {"keys": None, "active": "k1"},
    ],
)
def test_a_secret_without_one_active_key_is_refused(secret: dict[str, Any]) -> None:
    with pytest.raises(UnreadableItem):
        CachedSecret("arn:signing", signing_key, clock=FakeClock(0.0), read=lambda _: json.dumps(secret))()


def test_a_signer_does_not_show_its_key() -> None:
    assert repr(NaclSigner(key_id="k1", seed=SEED)) == "NaclSigner(key_id='k1')"


def test_the_token_secret_is_its_bytes() -> None:
    assert worker_token_secret({"secret": B64_SEED}) == SEED


def test_a_token_secret_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="short"):
        worker_token_secret({"secret": base64.b64encode(b"x" * 31).decode()})


def test_the_marketplace_secret_comes_with_the_workers_variables() -> None:
    secret = marketplace_secret({"api_key": "k", "secret_env": {"chat/a": {"HF_TOKEN": "t"}}})

    assert secret == MarketplaceSecret(api_key="k", secret_env={"chat/a": {"HF_TOKEN": "t"}})


def test_the_marketplace_secret_does_not_show_itself() -> None:
    assert repr(MarketplaceSecret(api_key="k", secret_env={})) == "MarketplaceSecret()"
