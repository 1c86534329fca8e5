"""The secrets of a stack: made here, kept in Secrets Manager, read by the one function that needs each.

* signing: the seeds of the ticket keys (Ed25519). The route function alone may read it; the public halves are no secret.
* worker token: what the tokens of workers are derived from. Making it anew disowns every running worker.
* marketplace: the marketplace's API key and the secret environment of workers. The scale function alone may read it.

Rotation of a ticket key: name a second id in `headgate:signingKeys` behind the first (both are accepted), then in front of it (it
signs), then alone; leave each step in place for longer than a ticket lives.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_aws as aws
import pulumi_random as random
from nacl.signing import SigningKey

from infra.config import StackSettings

SEED_BYTES: Final = 32
# Everything in them can be made again, and a name that waits out a recovery window cannot be deployed again.
RECOVERY_WINDOW_DAYS: Final = 0


class Credentials(pulumi.ComponentResource):
    """The ARNs of the stack's secrets, and the public keys as the functions' environment wants them."""

    def __init__(self, stack: str, settings: StackSettings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:Credentials", "credentials", opts=opts)
        self._path = f"headgate/{stack}"
        seeds = {key_id: self._seed(f"signing-{key_id}") for key_id in settings.signing_keys}
        self.signing_arn = self._secret("signing", pulumi.Output.all(**seeds).apply(signing_secret))
        self.worker_token_arn = self._secret("worker-token", self._seed("worker-token").apply(worker_token_secret))
        self.marketplace_arn = self._secret("marketplace", pulumi.Output.secret(marketplace_secret(settings)))
        self.public_keys = pulumi.Output.unsecret(pulumi.Output.all(**seeds).apply(public_keys))
        self.register_outputs({})

    def _seed(self, name: str) -> pulumi.Output[str]:
        return random.RandomBytes(name, length=SEED_BYTES, opts=pulumi.ResourceOptions(parent=self)).base64

    def _secret(self, name: str, value: pulumi.Output[str]) -> pulumi.Output[str]:
        secret = aws.secretsmanager.Secret(
            name,
            name=f"{self._path}/{name}",
            recovery_window_in_days=RECOVERY_WINDOW_DAYS,
            opts=pulumi.ResourceOptions(parent=self),
        )
        version = aws.secretsmanager.SecretVersion(
            name, secret_id=secret.id, secret_string=value, opts=pulumi.ResourceOptions(parent=secret)
        )
        # The version's ARN is the secret's; taking it from there makes whoever uses it wait until there is a value.
        return version.secret_arn


def signing_secret(seeds: Mapping[str, str]) -> str:
    """Return the signing secret's JSON for seeds in base64 by key id; the first one signs."""
    keys = [{"key_id": key_id, "seed": seed} for key_id, seed in seeds.items()]
    return json.dumps({"keys": keys, "active": keys[0]["key_id"]})


def worker_token_secret(seed: str) -> str:
    """Return the worker-token secret's JSON for 32 bytes in base64."""
    return json.dumps({"secret": seed})


def marketplace_secret(settings: StackSettings) -> str:
    """Return the marketplace secret's JSON: the API key, and the secret environment by `<endpoint group>/<autogroup>`."""
    secret_env = {
        f"{endpoint}/{name}": {variable: value.get_secret_value() for variable, value in autogroup.secret_env.items()}
        for endpoint, group in settings.endpoints.items()
        for name, autogroup in group.autogroups.items()
        if autogroup.secret_env
    }
    return json.dumps({"api_key": settings.marketplace_api_key.get_secret_value(), "secret_env": secret_env}, sort_keys=True)


def public_keys(seeds: Mapping[str, str]) -> str:
    """Return the public halves as `/pubkey/` serves them, for seeds in base64 by key id."""
    keys: Sequence[Mapping[str, str]] = [
        {"key_id": key_id, "algorithm": "Ed25519", "public_key": _public_key(seed)} for key_id, seed in seeds.items()
    ]
    return json.dumps(keys)


def _public_key(seed: str) -> str:
    return base64.b64encode(bytes(SigningKey(base64.b64decode(seed)).verify_key)).decode()
