"""Functions made straight through boto3, for tests of the emulator alone."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any

from sandbox.aws.emulator import Emulator
from tests.sandbox.aws.example_program import TRUST


def make_function(emulator: Emulator, body: str, *, statements: tuple[dict[str, str], ...] = ()) -> str:
    """Make a function whose handler has this body; give its name."""
    name = f"bare-{uuid.uuid4().hex[:8]}"
    iam = emulator.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="exact", PolicyDocument=document)
    emulator.client("lambda").create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.13",
        Handler="main.handler",
        Timeout=60,
        Code={"ZipFile": _zipped(f"def handler(event, context):\n    print('called')\n    {body}\n")},
    )
    return name


def invoke(emulator: Emulator, name: str) -> Any:
    """Invoke a function and give what it returned."""
    return json.load(emulator.client("lambda").invoke(FunctionName=name)["Payload"])


def _zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("main.py"), code)  # without the time: the same code gives the same bytes
    return buffer.getvalue()
