"""Secrets have the shapes that the functions read, and show up nowhere else."""

from __future__ import annotations

import json
from typing import Any

from functions.adapters.secrets import MarketplaceSecret, marketplace_secret, worker_token_secret
from tests.infra.recording import Recorded, RecordedStack
from tests.infra.test_functions import seed


def secret_value(stack: RecordedStack, name: str) -> Any:
    return json.loads(stack.one("secretsmanager/secretVersion:SecretVersion", name).inputs["secretString"])


def holding(stack: RecordedStack, text: str) -> list[Recorded]:
    return [each for each in stack.resources if text in repr(each.inputs)]


def test_the_marketplace_secret_reads_as_the_functions_read_it(stack: RecordedStack) -> None:
    value = marketplace_secret(secret_value(stack, "marketplace"))

    assert value == MarketplaceSecret(
        api_key="marketplace-key",
        secret_env={"llm/fast": {"HF_TOKEN": "hf_secret_of_the_group"}},
        image_login={"llm/fast": "-u somebody -p registry_password registry.test"},
    )


def test_the_worker_token_secret_reads_as_the_functions_read_it(stack: RecordedStack) -> None:
    assert worker_token_secret(secret_value(stack, "worker-token")) == seed("worker-token")


def test_no_signing_key_passes_through_the_deployment(stack: RecordedStack) -> None:
    assert not [version for version in stack.of("secretsmanager/secretVersion:SecretVersion") if "signing" in version.name]


def test_a_secret_is_in_its_version_and_nowhere_else(stack: RecordedStack) -> None:
    texts = ["hf_secret_of_the_group", "registry_password", "marketplace-key", secret_value(stack, "worker-token")["secret"]]

    assert {each.type for text in texts for each in holding(stack, text)} == {"aws:secretsmanager/secretVersion:SecretVersion"}


def test_every_secrets_value_is_marked_as_one(stack: RecordedStack) -> None:
    versions = stack.of("secretsmanager/secretVersion:SecretVersion")

    assert {version.name: version.is_secret for version in versions} == {
        "worker-token": True,
        "marketplace": True,
    }


def test_a_destroyed_stacks_secrets_do_not_keep_their_names(stack: RecordedStack) -> None:
    assert {secret.inputs["recoveryWindowInDays"] for secret in stack.of("secretsmanager/secret:Secret")} == {0}


def test_api_keys_are_exported_as_a_secret(stack: RecordedStack) -> None:
    keys, is_secret = stack.outputs["api_keys"]

    assert is_secret
    assert sorted(keys) == ["all", "website"]
    assert all(key.startswith("hg_") and len(key) == 51 for key in keys.values())


def test_the_plaintext_of_an_api_key_is_declared_nowhere(stack: RecordedStack) -> None:
    keys, _ = stack.outputs["api_keys"]

    assert not [each for key in keys.values() for each in holding(stack, key)]


def test_generated_values_are_long_enough_not_to_be_guessed(stack: RecordedStack) -> None:
    lengths = {each.name: each.inputs["length"] for each in stack.resources if each.type == "random:index/randomBytes:RandomBytes"}

    assert lengths == {"worker-token": 32, "api-key-website": 24, "api-key-all": 24}
