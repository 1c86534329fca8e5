"""Lambda: who may invoke a function, what follows a failed invoke, and invokes that are resources.

An `Invocation` with `lifecycle_scope="CRUD"` is how a program does work when its stack goes: on
creation and on deletion the function gets the input with the provider's key added, by default
`"tf": {"action": "create" | "delete", "prev_input": ...}`. Shape and order follow `buildInput` in
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/invocation.go:
nothing came before a creation (null); before a deletion came the input itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi_aws as aws

from sandbox.aws.errors import InvalidInputs, SandboxFault
from sandbox.aws.resources.kind import Cloud, Creation, Deletion, Kind, Made, capitalised, names
from sandbox.aws.resources.lambda_function import LATEST

LIFECYCLE_KEY_DEFAULT: Final = "tf"
CRUD: Final = "CRUD"
NEVER_STARTED: Final = "Worker process exited immediately"
"""When one environment of a function cannot start, the emulator ends the others that are starting,
with this message. Their handler never ran; asked again, the function says itself what is wrong."""

_PERMISSION_NAMES: Final = {
    "action": "Action",
    "eventSourceToken": "EventSourceToken",
    "functionUrlAuthType": "FunctionUrlAuthType",
    "invokedViaFunctionUrl": "InvokedViaFunctionUrl",
    "principal": "Principal",
    "principalOrgId": "PrincipalOrgID",
    "qualifier": "Qualifier",
    "sourceAccount": "SourceAccount",
    "sourceArn": "SourceArn",
}


def _create_permission(creation: Creation) -> Made:
    statement_id = creation.physical_name("statementId")
    function = creation.inputs["function"]
    creation.cloud.client("lambda").add_permission(
        FunctionName=function, StatementId=statement_id, **creation.picked(_PERMISSION_NAMES)
    )
    return Made(statement_id, {"statementId": statement_id})


def _delete_permission(deletion: Deletion) -> None:
    permission = deletion.resource
    deletion.cloud.client("lambda").remove_permission(
        FunctionName=permission.inputs["function"], StatementId=permission.id, **_qualifier(permission.inputs)
    )


def _qualifier(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {"Qualifier": inputs["qualifier"]} if "qualifier" in inputs else {}


def _create_event_config(creation: Creation) -> Made:
    function = creation.inputs["functionName"]
    options = creation.picked(
        {
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            "maximumRetryAttempts": "MaximumRetryAttempts",
            "qualifier": "Qualifier",
        }
    )
    if "destinationConfig" in creation.inputs:
        options["DestinationConfig"] = capitalised(creation.inputs["destinationConfig"])
    creation.cloud.client("lambda").put_function_event_invoke_config(FunctionName=function, **options)
    return Made(function, {})


def _delete_event_config(deletion: Deletion) -> None:
    inputs = deletion.resource.inputs
    deletion.cloud.client("lambda").delete_function_event_invoke_config(FunctionName=inputs["functionName"], **_qualifier(inputs))


def _create_invocation(creation: Creation) -> Made:
    inputs = creation.inputs
    if inputs.get("lifecycleScope") == CRUD and not isinstance(json.loads(creation.json_document("input")), dict):
        raise InvalidInputs(f"{creation.urn}: lifecycle_scope CRUD needs an `input` that is a JSON object")
    payload = _payload(inputs, action="create", prev_input=None)
    result = _invoke(creation.cloud, inputs, payload, urn=creation.urn)
    digest = hashlib.md5(payload.encode(), usedforsecurity=False).hexdigest()
    qualifier = inputs.get("qualifier", LATEST)
    return Made(f"{inputs['functionName']},{qualifier},{digest}", {"result": result, "qualifier": qualifier})


def _delete_invocation(deletion: Deletion) -> None:
    inputs = deletion.resource.inputs
    if inputs.get("lifecycleScope") == CRUD:
        payload = _payload(inputs, action="delete", prev_input=json.loads(inputs["input"]))
        _invoke(deletion.cloud, inputs, payload, urn=deletion.resource.urn)


def _payload(inputs: Mapping[str, Any], *, action: str, prev_input: Any) -> str:
    if inputs.get("lifecycleScope") != CRUD:
        return str(inputs["input"])
    lifecycle = {"action": action, "prev_input": prev_input}
    return json.dumps({**json.loads(inputs["input"]), inputs.get("terraformKey", LIFECYCLE_KEY_DEFAULT): lifecycle})


def _invoke(cloud: Cloud, inputs: Mapping[str, Any], payload: str, *, urn: str) -> str:
    """Invoke and wait; raise `SandboxFault` with the function's own words when it fails."""
    failed, result = _invoke_once(cloud, inputs, payload)
    if failed and NEVER_STARTED in result:
        failed, result = _invoke_once(cloud, inputs, payload)
    if failed:
        raise SandboxFault(f"{urn}: the function {inputs['functionName']} failed: {result}")
    return result


def _invoke_once(cloud: Cloud, inputs: Mapping[str, Any], payload: str) -> tuple[bool, str]:
    answer = cloud.client("lambda").invoke(
        FunctionName=inputs["functionName"], Qualifier=inputs.get("qualifier", LATEST), Payload=payload.encode()
    )
    return "FunctionError" in answer, answer["Payload"].read().decode()


KINDS: Final = (
    Kind(
        resource=aws.lambda_.Permission,
        args=aws.lambda_.PermissionArgs,
        honoured=frozenset(_PERMISSION_NAMES) | names("function statementId statementIdPrefix"),
        create=_create_permission,
        delete=_delete_permission,
    ),
    Kind(
        resource=aws.lambda_.FunctionEventInvokeConfig,
        args=aws.lambda_.FunctionEventInvokeConfigArgs,
        honoured=names("destinationConfig functionName maximumEventAgeInSeconds maximumRetryAttempts qualifier"),
        create=_create_event_config,
        delete=_delete_event_config,
    ),
    Kind(
        resource=aws.lambda_.Invocation,
        args=aws.lambda_.InvocationArgs,
        honoured=names("functionName input lifecycleScope qualifier terraformKey triggers"),
        create=_create_invocation,
        delete=_delete_invocation,
    ),
)
