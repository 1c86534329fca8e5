"""Lambda entry point of the rotation: the deployment, the schedule or a person asks; wiring and logs.

The event is `{"command": "advance" | "rotate" | "revoke"}`. The answer and the one structured line hold names of keys and times,
never a key. An error is left to Lambda: the caller sees it, the schedule's event goes to the queue of failed ones.
"""

from __future__ import annotations

import os
from typing import Any, Final

from aws_lambda_powertools.logging import Logger

from functions.adapters.aws_api import Aws, dynamodb, secrets_manager
from functions.adapters.clock import SystemClock
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.environment import required
from functions.adapters.key_maker import LocalKeyMaker
from functions.adapters.key_vault import SecretKeyVault
from functions.adapters.public_keys import DynamoPublicKeyBoard
from functions.core.key_rotation import DAY_S
from functions.rotate.service import Command, RotatePorts, rotate

DEFAULT: Final = Command.ADVANCE

_LOG = Logger()
_CLOCK = SystemClock()
_AWS = Aws.of_environment(os.environ, clock=_CLOCK)
_PORTS = RotatePorts(
    vault=SecretKeyVault(secrets_manager(_AWS), required(os.environ, "HEADGATE_SIGNING_SECRET_ARN")),
    board=DynamoPublicKeyBoard(DynamoTable(dynamodb(_AWS), required(os.environ, "HEADGATE_TABLE"))),
    maker=LocalKeyMaker(),
    clock=_CLOCK,
    every_s=float(required(os.environ, "HEADGATE_ROTATION_DAYS")) * DAY_S,
)


class UnknownCommand(ValueError):
    """The event asks for something that the function does not do; nothing was changed."""


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Take the steps that are due, and return how the keys stand."""
    told = rotate(_command(event), ports=_PORTS).wire()
    _LOG.info("rotate", extra=told)
    return told


def _command(event: dict[str, Any]) -> Command:
    asked = event.get("command", DEFAULT)
    if asked not in list(Command):
        raise UnknownCommand(f"command cannot be {asked!r}: send one of {', '.join(Command)}, or none for {DEFAULT}")
    return Command(asked)
