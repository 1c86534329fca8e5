"""The secrets of a stack: made here, kept in Secrets Manager, read by the one function that needs each.

* signing: the keys that sign tickets. Declared without a value: the rotate function makes the keys where they are kept, so that no
  seed ever passes through a deployment or its state. The route function alone may read it beside.
* worker token: what the tokens of workers are derived from. Making it anew disowns every running worker.
* marketplace: the marketplace's API key, the secret environment of workers and the logins of their images. The scale function
  alone may read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_aws as aws
import pulumi_random as random
from pydantic import SecretStr

from infra.config import StackSettings

SEED_BYTES: Final = 32
# Everything in them can be made again, and a name that waits out a recovery window cannot be deployed again.
RECOVERY_WINDOW_DAYS: Final = 0


class Credentials(pulumi.ComponentResource):
    """The ARNs of the stack's secrets. All but the signing keys have a value once their ARN is known."""

    def __init__(self, stack: str, settings: StackSettings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:Credentials", "credentials", opts=opts)
        self._path = f"headgate/{stack}"
        self.signing_arn: pulumi.Output[str] = self._secret("signing").arn
        self.worker_token_arn = self._valued("worker-token", self._seed("worker-token").apply(worker_token_secret))
        self.marketplace_arn = self._valued("marketplace", pulumi.Output.secret(marketplace_secret(settings)))
        self.register_outputs({})

    def _seed(self, name: str) -> pulumi.Output[str]:
        return random.RandomBytes(name, length=SEED_BYTES, opts=pulumi.ResourceOptions(parent=self)).base64

    def _secret(self, name: str) -> aws.secretsmanager.Secret:
        return aws.secretsmanager.Secret(
            name,
            name=f"{self._path}/{name}",
            recovery_window_in_days=RECOVERY_WINDOW_DAYS,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _valued(self, name: str, value: pulumi.Output[str]) -> pulumi.Output[str]:
        secret = self._secret(name)
        version = aws.secretsmanager.SecretVersion(
            name, secret_id=secret.id, secret_string=value, opts=pulumi.ResourceOptions(parent=secret)
        )
        # The version's ARN is the secret's; taking it from there makes whoever uses it wait until there is a value.
        return version.secret_arn


def worker_token_secret(seed: str) -> str:
    """Return the worker-token secret's JSON for 32 bytes in base64."""
    return json.dumps({"secret": seed})


def marketplace_secret(settings: StackSettings) -> str:
    """Return the marketplace secret's JSON: the API key, and by `<endpoint group>/<autogroup>` the secrets of workers."""
    autogroups = {
        f"{endpoint}/{name}": autogroup
        for endpoint, group in settings.endpoints.items()
        for name, autogroup in group.autogroups.items()
    }
    secret = {
        "api_key": settings.marketplace_api_key.get_secret_value(),
        "secret_env": {path: _revealed(autogroup.secret_env) for path, autogroup in autogroups.items() if autogroup.secret_env},
        "image_login": {
            path: autogroup.image_login.get_secret_value() for path, autogroup in autogroups.items() if autogroup.image_login
        },
    }
    return json.dumps(secret, sort_keys=True)


def _revealed(secrets: Mapping[str, SecretStr]) -> Mapping[str, str]:
    return {name: value.get_secret_value() for name, value in secrets.items()}
