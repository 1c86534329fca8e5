"""The adapters of a rotation: the secret as Secrets Manager keeps it, the item as `/pubkey/` serves it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from nacl.signing import VerifyKey

from functions.adapters.aws_api import AwsRefused, AwsUnavailable
from functions.adapters.key_maker import LocalKeyMaker
from functions.adapters.key_vault import SecretKeyVault, encode_keys
from functions.adapters.nacl_signer import signing_key
from functions.adapters.public_key_item import CACHED_S, CachedPublicKeys
from functions.adapters.public_keys import public_halves
from functions.core.key_rotation import LEARN_S, SigningKeys, begun, made
from functions.key_ports import HeldKeys, PublicKeys
from functions.ports import StoreUnavailable, UnreadableItem, VaultChanged
from tests.fakes.clock import FakeClock

NOW_S = 1_795_392_000.0
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:headgate/test/signing-AbCdEf"
RSA = LocalKeyMaker().rsa()
KEYS = made(begun(bytes(range(32)), rsa=RSA, now_s=NOW_S), seed=bytes(32), now_s=NOW_S + 9)


class SecretsManager:
    """One secret as AWS documents it: a version's token is unique, and repeating it with the same content is no error."""

    def __init__(self, *, failing: Exception | None = None) -> None:
        self.versions: dict[str, str] = {}
        self.failing = failing

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        """See Api."""
        assert parameters["SecretId"] == ARN
        if self.failing is not None:
            raise self.failing
        return self._read() if operation == "GetSecretValue" else self._write(**parameters)

    def _read(self) -> dict[str, str]:
        if not self.versions:
            raise AwsRefused("ResourceNotFoundException", status=400)
        version, text = list(self.versions.items())[-1]
        return {"SecretString": text, "VersionId": version}

    def _write(self, *, SecretString: str, ClientRequestToken: str, **_: Any) -> dict[str, str]:  # noqa: N803 - AWS's names
        if self.versions.setdefault(ClientRequestToken, SecretString) != SecretString:
            raise AwsRefused("ResourceExistsException", status=400)
        return {}


def test_a_secret_without_a_value_holds_no_keys() -> None:
    assert SecretKeyVault(SecretsManager(), ARN).load().keys == SigningKeys()


def test_a_version_without_a_text_holds_no_keys() -> None:
    client = SecretsManager()
    client.versions["1"] = ""

    assert SecretKeyVault(client, ARN).load() == HeldKeys(keys=SigningKeys(), version="1")


def test_what_is_saved_is_what_is_loaded() -> None:
    vault = SecretKeyVault(SecretsManager(), ARN)

    vault.save(KEYS, over=vault.load())

    assert vault.load().keys == KEYS


def test_of_two_that_follow_the_same_keys_one_is_told_that_they_have_changed() -> None:
    vault = SecretKeyVault(SecretsManager(), ARN)
    read = vault.load()
    vault.save(KEYS, over=read)

    with pytest.raises(VaultChanged):
        vault.save(begun(bytes(32), rsa=RSA, now_s=NOW_S), over=read)


def test_a_save_whose_answer_was_lost_may_be_repeated() -> None:
    vault = SecretKeyVault(SecretsManager(), ARN)
    read = vault.load()

    vault.save(KEYS, over=read)
    vault.save(KEYS, over=read)

    assert vault.load().keys == KEYS


@pytest.mark.parametrize("error", [AwsRefused("ThrottlingException", status=400), AwsUnavailable("timed out")])
def test_a_vault_that_does_not_answer_is_unavailable(error: Exception) -> None:
    client = SecretsManager(failing=error)

    with pytest.raises(StoreUnavailable):
        SecretKeyVault(client, ARN).load()


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"keys": [{"key_id": "k1", "seed": "%%"}]}'])
def test_a_secret_of_another_shape_is_named_and_not_shown(text: str) -> None:
    client = SecretsManager()
    client.versions["1"] = text

    with pytest.raises(UnreadableItem, match="signing-AbCdEf does not have the shape") as told:
        SecretKeyVault(client, ARN).load()

    assert told.value.__cause__ is None


def test_the_router_reads_the_key_that_signs() -> None:
    signer = signing_key(json.loads(encode_keys(KEYS)))

    assert signer.key_id == KEYS.active


def test_a_ticket_key_verifies_by_the_half_that_is_shown() -> None:
    signer = signing_key(json.loads(encode_keys(KEYS)))
    (shown,) = (key for key in public_halves(KEYS).keys if key["key_id"] == signer.key_id)

    VerifyKey(base64.b64decode(shown["public_key"])).verify(b"message", signer.sign(b"message"))


def test_an_rsa_signature_verifies_by_the_half_that_is_shown() -> None:
    signer = signing_key(json.loads(encode_keys(KEYS)))
    shown = load_pem_public_key(public_halves(KEYS).rsa.encode())

    assert isinstance(shown, RSAPublicKey)
    assert shown.key_size == 2048
    shown.verify(signer.sign_rsa(b"message"), b"message", PKCS1v15(), SHA256())


@pytest.mark.parametrize("rsa", ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_missing_rsa_key_is_named_and_not_shown(rsa: str) -> None:
    signer = signing_key({**json.loads(encode_keys(KEYS)), "rsa": rsa})

    with pytest.raises(UnreadableItem, match="holds no RSA key") as told:
        signer.sign_rsa(b"message")

    assert told.value.__cause__ is None


# ---- serving them


class Source:
    """Public keys that can be counted, or that cannot be had."""

    def __init__(self) -> None:
        self.reads = 0
        self.failing = False

    def public_keys(self) -> PublicKeys:
        """See PublicKeySource."""
        self.reads += 1
        if self.failing:
            raise StoreUnavailable
        return PublicKeys(keys=({"key_id": str(self.reads)},))


@pytest.fixture
def source() -> Source:
    return Source()


def served(cached: CachedPublicKeys) -> Any:
    return cached().keys[0]["key_id"]


def test_public_keys_are_read_again_after_a_while_and_not_before(source: Source) -> None:
    clock = FakeClock(NOW_S)
    cached = CachedPublicKeys(source, clock=clock)

    seen = [served(cached), served(cached)]
    clock.advance(CACHED_S)

    assert [*seen, served(cached)] == ["1", "1", "2"]


def test_public_keys_that_cannot_be_read_again_are_served_on(source: Source) -> None:
    clock = FakeClock(NOW_S)
    cached = CachedPublicKeys(source, clock=clock)
    cached()
    source.failing = True
    clock.advance(CACHED_S)

    assert served(cached) == "1"


def test_public_keys_that_were_never_read_are_unavailable(source: Source) -> None:
    source.failing = True

    with pytest.raises(StoreUnavailable):
        CachedPublicKeys(source, clock=FakeClock(NOW_S))()


def test_a_new_key_is_served_everywhere_and_fetched_again_before_it_signs() -> None:
    refetch_gap_s = 10.0  # pyworker's `keys.REFETCH_GAP_S`

    assert CACHED_S + refetch_gap_s < LEARN_S
