"""The program under the SDK's monitor: nothing is made, everything is recorded, outputs look like AWS's."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi.runtime import mocks, rpc
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import Settings, configure
from pulumi.runtime.stack import run_in_stack

from policies.declared import Declared
from sandbox.aws.inputs import plain
from sandbox.aws.settings import StackSettings

REGION = "eu-west-1"
ACCOUNT = "123456789012"

# How AWS spells the ARN of each type: service, and what stands after the account.
_ARNS = {
    "aws:dynamodb/table:Table": ("dynamodb", "table/{name}"),
    "aws:lambda/function:Function": ("lambda", "function:{name}"),
    "aws:sqs/queue:Queue": ("sqs", "{name}"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "log-group:{name}"),
    "aws:iam/role:Role": ("iam", "role/{name}"),
    "aws:scheduler/scheduleGroup:ScheduleGroup": ("scheduler", "schedule-group/{name}"),
    "aws:secretsmanager/secret:Secret": ("secretsmanager", "secret:{name}-AbCdEf"),
    "aws:sns/topic:Topic": ("sns", "{name}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A resource that the program declared."""

    urn: str
    type: str
    name: str
    parent: str
    dependencies: frozenset[str]
    protect: bool
    inputs: Mapping[str, Any] = field(repr=False)
    is_secret: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStack:
    """What one run of a program declared and exported. `outputs` maps a name to value and secrecy."""

    resources: tuple[Recorded, ...]
    outputs: Mapping[str, tuple[Any, bool]]

    def of(self, type_: str) -> list[Recorded]:
        """Return the resources of a type, by its short name such as `lambda/function:Function`."""
        return [each for each in self.resources if each.type == f"aws:{type_}"]

    def one(self, type_: str, name: str) -> Recorded:
        """Return the one resource of this short type and logical name."""
        (found,) = (each for each in self.of(type_) if each.name == name)
        return found

    def statements(self, name: str) -> list[dict[str, Any]]:
        """Return the statements of a role policy."""
        return list(json.loads(self.one("iam/rolePolicy:RolePolicy", name).inputs["policy"])["Statement"])

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a function."""
        return dict(self.one("lambda/function:Function", name).inputs["environment"]["variables"])

    def item(self, name: str) -> dict[str, Any]:
        """Return a declared item of the table, in DynamoDB's JSON."""
        return dict(json.loads(self.one("dynamodb/tableItem:TableItem", name).inputs["item"]))

    def goes_before(self, first: Recorded, then: Recorded) -> bool:
        """Return whether a destroy is bound to delete `first` before `then`: `first` depends on it, directly or not."""
        by_urn = {each.urn: each for each in self.resources}
        pending, seen = [first.urn], set[str]()
        while pending:
            each = by_urn.get(pending.pop())
            if each is not None and each.urn not in seen:
                seen.add(each.urn)
                pending += [*each.dependencies, each.parent]
        return first.urn != then.urn and then.urn in seen

    def declared(self) -> list[Declared]:
        """Return the resources as the policies see them."""
        return [Declared(type=each.type, name=each.name, props=each.inputs) for each in self.resources]


def record(program: Callable[[], None], settings: StackSettings) -> RecordedStack:
    """Run a program, and return what it declared. Raises what the program raises."""
    monitor = _RecordingMonitor()

    async def run() -> None:
        configure(
            Settings(
                project=settings.project,
                stack=settings.stack,
                organization="test",
                root_directory=str(settings.root_dir),
                monitor=monitor,
                engine=mocks.MockEngine(None),
                dry_run=False,
            )
        )
        set_all_config(dict(settings.config), sorted(settings.secret_keys))
        await run_in_stack(program)

    contextvars.Context().run(asyncio.run, run())
    return RecordedStack(resources=tuple(monitor.recorded), outputs=monitor.exported)


class _LikeAws(mocks.Mocks):
    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(args.token)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        name = args.inputs.get("name", args.name)
        outputs: dict[str, Any] = {**args.inputs, "name": name}
        if args.typ in _ARNS:
            service, path = _ARNS[args.typ]
            region = "" if service == "iam" else REGION
            outputs["arn"] = f"arn:aws:{service}:{region}:{ACCOUNT}:{path.format(name=name)}"
        match args.typ:
            case "random:index/randomBytes:RandomBytes":
                value = hashlib.sha256(args.name.encode()).digest()[: int(args.inputs["length"])]
                outputs |= {
                    "base64": rpc.wrap_rpc_secret(base64.b64encode(value).decode()),
                    "hex": rpc.wrap_rpc_secret(value.hex()),
                }
            case "aws:secretsmanager/secretVersion:SecretVersion":
                outputs["secretArn"] = args.inputs["secretId"]
            case "aws:lambda/functionUrl:FunctionUrl":
                outputs["functionUrl"] = f"https://{args.inputs['functionName']}.lambda-url.{REGION}.on.aws/"
            case _:
                pass
        return str(outputs.get("arn", name)), outputs


class _RecordingMonitor(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_LikeAws())
        self.recorded: list[Recorded] = []
        self.exported: dict[str, tuple[Any, bool]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        raw = rpc.deserialize_properties(request.object)
        self.recorded.append(
            Recorded(
                urn=answer.urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                dependencies=frozenset(request.dependencies),
                protect=request.protect,
                inputs=plain(raw),
                is_secret=any(rpc.is_rpc_secret(value) for value in raw.values()),
            )
        )
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            raw = rpc.deserialize_properties(request.outputs)
            self.exported = {name: (plain(value), rpc.is_rpc_secret(value)) for name, value in raw.items()}
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]
