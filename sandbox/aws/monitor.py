"""What the Pulumi SDK talks to in place of the engine.

The SDK's test monitor speaks the engine's protocol within the process; `SandboxMonitor` is one whose
resources are real. In a preview it answers with the inputs alone, so that every computed value is
unknown, and creates nothing. In an update it has each resource made, and answers with the inputs as
they came, secrets still wrapped, overlaid with the outputs.

An output that the provider would give and the sandbox does not is answered as unknown, and an update
refuses whatever is built from an unknown value. Left out, it would become None, and silently take
along the input that it was for.

The SDK calls from several threads at once; what they share is behind a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from pulumi import _types
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await

from sandbox.aws import data_sources
from sandbox.aws.errors import InvalidInputs, UnsupportedResource
from sandbox.aws.inputs import check_inputs, plain, secret_names, unknown_paths
from sandbox.aws.maker import Maker, kind_of
from sandbox.aws.plan import PlannedResource, Resource, StackOutput, Step
from sandbox.aws.settings import StackSettings

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_TYPE_PREFIX: Final = "pulumi:providers:"

Admit = Callable[[PlannedResource], None]


class SandboxMonitor(mocks.MockMonitor):
    """The engine's side of one run of a program: a preview, or if `makes` an update.

    `admit` sees every custom resource before it is planned or made, and refuses it by raising.
    Afterwards `made` has what exists, by URN and in order of creation, and `outputs` the exports.
    """

    def __init__(self, maker: Maker, settings: StackSettings, *, makes: bool, admit: Admit) -> None:
        super().__init__(_NoMocks())
        self.made: dict[str, Resource] = {}
        self.outputs: dict[str, StackOutput] = {}
        self._maker = maker
        self._settings = settings
        self._makes = makes
        self._admit = admit
        self._urns: set[str] = set()
        self._lock = threading.Lock()

    def RegisterResource(self, request: Any) -> resource_pb2.RegisterResourceResponse:  # noqa: N802 - the protocol's name
        """Take a resource from the program: plan it, or make it."""
        _ensure_event_loop()  # type: ignore[no-untyped-call]
        urn = self._claim_urn(request)
        if not request.custom:
            return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
        _refuse_options(urn, request)
        planned = _planned(urn, request)
        check_inputs(kind_of(planned), planned.inputs, urn=urn, region=self._maker.cloud.region)
        if self._makes:
            return self._make(planned, request)
        self._admit(planned)
        self._maker.say(Step.PLANNED, planned)
        return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Keep the outputs of the stack; those of components are for display and are dropped."""
        if _type_chain(request.urn) == STACK_TYPE:
            raw = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
            self.outputs = {
                name: StackOutput(value=plain(value), is_secret=rpc.is_rpc_secret(value)) for name, value in raw.items()
            }
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def Invoke(self, request: Any) -> resource_pb2.ResourceInvokeResponse:  # noqa: N802 - the protocol's name
        """Answer a data source."""
        _ensure_event_loop()  # type: ignore[no-untyped-call]
        arguments = plain(rpc.deserialize_properties(request.args))
        result = data_sources.answer(request.tok, arguments, self._maker.cloud)
        return resource_pb2.ResourceInvokeResponse(**{"return": _struct(result)})

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Refuse: a new emulator holds nothing that a program could look up."""
        raise UnsupportedResource(f"the sandbox cannot read the existing {request.type} `{request.id}`")

    def RegisterStackTransform(self, request: Any) -> Any:  # noqa: N802, ARG002 - the protocol's name and form
        """Refuse: a transform that is not run would be a difference to the real thing."""
        raise UnsupportedResource("the sandbox does not run resource transforms")

    def RegisterStackInvokeTransform(self, request: Any) -> Any:  # noqa: N802, ARG002 - the protocol's name and form
        """Refuse, as `RegisterStackTransform`."""
        raise UnsupportedResource("the sandbox does not run invoke transforms")

    def _claim_urn(self, request: Any) -> str:
        urn = self._urn(request)
        with self._lock:
            if urn in self._urns:
                raise InvalidInputs(f"{urn}: the program declares this resource twice")
            self._urns.add(urn)
        return urn

    def _urn(self, request: Any) -> str:
        """Name a resource as the engine does: with the types of all its parents but the stack."""
        parents = _type_chain(request.parent) if request.parent else STACK_TYPE
        chain = request.type if parents == STACK_TYPE else f"{parents}${request.type}"
        return f"urn:pulumi:{self._settings.stack}::{self._settings.project}::{chain}::{request.name}"

    def _make(self, planned: PlannedResource, request: Any) -> resource_pb2.RegisterResourceResponse:
        if paths := list(unknown_paths(planned.inputs)):
            raise UnsupportedResource(f"{planned.urn}: {_join(paths)} built from an output that the sandbox does not give")
        self._admit(planned)
        resource = self._maker.make(planned)
        with self._lock:
            self.made[resource.urn] = resource
        return resource_pb2.RegisterResourceResponse(urn=resource.urn, id=resource.id, object=_struct(_answer(resource, request)))


class _NoMocks(mocks.Mocks):
    """Fills the place of the mocks, which nothing here calls."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(args.token)

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise AssertionError(args.typ)


def _refuse_options(urn: str, request: Any) -> None:
    """Raise `UnsupportedResource` for what the sandbox would have to ignore."""
    if request.type.startswith(PROVIDER_TYPE_PREFIX):
        raise UnsupportedResource(f"{urn}: configure the provider through the stack (aws:region, aws:defaultTags)")
    used = {"import_": request.importId, "transforms": request.transforms, "hooks": request.hooks.ByteSize()}
    if ignored := [option for option, value in used.items() if value]:
        raise UnsupportedResource(f"{urn}: the sandbox does not honour the resource option `{ignored[0]}`")


def _planned(urn: str, request: Any) -> PlannedResource:
    raw = rpc.deserialize_properties(request.object, keep_unknowns=True)
    inputs = plain(raw)
    return PlannedResource(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        dependencies=frozenset(request.dependencies),
        protect=request.protect,
        retain=request.retainOnDelete,
        inputs=inputs,
        secret_inputs=secret_names(raw),
        is_known=not any(unknown_paths(inputs)),
    )


def _answer(resource: Resource, request: Any) -> dict[str, Any]:
    """Give everything that the resource's class declares: as it came, as it was made, or unknown."""
    declared = _types.resource_types(kind_of(resource).resource)
    secret = resource.secret_inputs | set(request.additionalSecretOutputs)
    made = {name: rpc.wrap_rpc_secret(value) if name in secret else value for name, value in resource.outputs.items()}
    echoed = rpc.deserialize_properties(request.object)
    return {**dict.fromkeys(declared, rpc.UNKNOWN), **echoed, **made}


def _struct(properties: Mapping[str, Any]) -> Any:
    return _sync_await(rpc.serialize_properties(properties, {}))


def _type_chain(urn: str) -> str:
    return urn.split("::")[2]


def _join(paths: list[str]) -> str:
    verb = "is" if len(paths) == 1 else "are"
    return f"{', '.join(f'`{path}`' for path in paths)} {verb}"
