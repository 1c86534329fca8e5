"""A rotation against AWS's APIs on loopback: the vault, the board and the handler as they are deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.botocore_api import BotocoreApi
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_report import DynamoReportStore
from functions.adapters.key_maker import LocalKeyMaker
from functions.adapters.key_vault import SecretKeyVault
from functions.adapters.nacl_signer import signing_key
from functions.adapters.public_keys import DynamoPublicKeyBoard
from functions.core.key_rotation import ACCEPTED_S, LEARN_S
from functions.ports import UnreadableItem
from functions.rotate.service import Command, RotatePorts, rotate
from sandbox.aws.emulator import Emulator
from tests.contract.stores import dynamo_stores
from tests.core.builders import NOW_S
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).parents[2]
_ONCE = """
import json, sys
from functions.rotate.handler import handler
print("RESULT " + json.dumps(handler(json.loads(sys.argv[1]), None)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account with a table and a secret that has no value yet."""

    emulator: Emulator
    table: str
    secret_arn: str

    def ports(self, clock: FakeClock) -> RotatePorts:
        """Return the ports of an invocation."""
        return RotatePorts(
            vault=SecretKeyVault(BotocoreApi(self.emulator.client("secretsmanager")), self.secret_arn),
            board=DynamoPublicKeyBoard(self.dynamo),
            maker=LocalKeyMaker(),
            clock=clock,
            every_s=0.0,
        )

    @property
    def dynamo(self) -> DynamoTable:
        """The table."""
        return DynamoTable(BotocoreApi(self.emulator.client("dynamodb")), self.table)

    def served(self) -> list[str]:
        """Return the ids of the keys that `/pubkey/` serves."""
        return [key["key_id"] for key in DynamoReportStore(self.dynamo).public_keys().keys]

    def signs(self) -> str:
        """Return the id of the key that the router would sign with."""
        value = self.emulator.client("secretsmanager").get_secret_value(SecretId=self.secret_arn)
        return signing_key(json.loads(value["SecretString"])).key_id


@pytest.fixture
def account(emulator: Emulator, table_name: str) -> Account:
    """Return an account without keys."""
    dynamo_stores(emulator.client("dynamodb"), table_name)
    arn = emulator.client("secretsmanager").create_secret(Name=f"{table_name}/signing")["ARN"]
    return Account(emulator=emulator, table=table_name, secret_arn=arn)


def test_before_the_first_invocation_no_key_is_served(account: Account) -> None:
    with pytest.raises(UnreadableItem, match="no key has been published"):
        account.served()


def test_a_whole_rotation(account: Account) -> None:
    clock = FakeClock(NOW_S)
    rotate(Command.ADVANCE, ports=account.ports(clock))
    states = [(account.served(), account.signs())]
    for command, wait_s in ((Command.ROTATE, LEARN_S), (Command.ADVANCE, ACCEPTED_S), (Command.ADVANCE, 0.0)):
        rotate(command, ports=account.ports(clock))
        states.append((account.served(), account.signs()))
        clock.advance(wait_s)

    (first,), second = states[0][0], states[-1][1]
    assert states == [([first], first), ([first, second], first), ([first, second], second), ([second], second)]


def test_an_older_list_of_keys_does_not_replace_a_newer_one(account: Account) -> None:
    ports = account.ports(FakeClock(NOW_S))
    rotate(Command.ADVANCE, ports=ports)
    older = ports.vault.load().keys
    rotate(Command.ROTATE, ports=ports)

    ports.board.publish(older)

    assert len(account.served()) == 2


def invoke(account: Account, event: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the handler as Lambda would, in a process of its own."""
    environment = {
        "AWS_ENDPOINT_URL": account.emulator.endpoint_url,
        "AWS_DEFAULT_REGION": account.emulator.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HEADGATE_TABLE": account.table,
        "HEADGATE_SIGNING_SECRET_ARN": account.secret_arn,
        "HEADGATE_ROTATION_DAYS": "30",
        "POWERTOOLS_SERVICE_NAME": "headgate-rotate",
    }
    return subprocess.run(
        [sys.executable, "-c", _ONCE, json.dumps(event)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_handler_makes_the_first_keys_and_tells_their_names_and_nothing_else(account: Account) -> None:
    ended = invoke(account, {"command": "advance"})

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.split("RESULT ")[1])
    assert (told["signs"], told["accepted"], told["steps"]) == (account.signs(), account.served(), ["begin", "note_published"])
    assert "PRIVATE KEY" not in ended.stdout


def test_an_unknown_command_is_refused_by_its_name(account: Account) -> None:
    ended = invoke(account, {"command": "rotat"})

    assert "UnknownCommand: command cannot be 'rotat': send one of advance, rotate, revoke" in ended.stderr
