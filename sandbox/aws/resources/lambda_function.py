"""Lambda: functions, the layers under them, and their URLs.

A Function URL comes out in the form in which it is served here, so that a function that is told the
URL of another can call it, and so can a worker; on AWS it is the `on.aws` one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import pulumi_aws as aws

from sandbox.aws.archive import zip_of
from sandbox.aws.errors import InvalidInputs
from sandbox.aws.resources.iam import require_trust
from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, capitalised, names

LAMBDA_SERVICE: Final = "lambda.amazonaws.com"
TIMEOUT_S_DEFAULT: Final = 3
MEMORY_MB_DEFAULT: Final = 128
LATEST: Final = "$LATEST"
ACTIVE_POLL: Final = {"Delay": 0.1, "MaxAttempts": 300}
"""A function is pending for half a second in the emulator; the default looks every five."""

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html, "Reserved environment variables"
RESERVED_VARIABLES: Final = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)

_FUNCTION_NAMES: Final = {
    "architectures": "Architectures",
    "description": "Description",
    "handler": "Handler",
    "kmsKeyArn": "KMSKeyArn",
    "layers": "Layers",
    "memorySize": "MemorySize",
    "packageType": "PackageType",
    "publish": "Publish",
    "role": "Role",
    "runtime": "Runtime",
    "timeout": "Timeout",
}
_BLOCKS: Final = {
    "deadLetterConfig": "DeadLetterConfig",
    "ephemeralStorage": "EphemeralStorage",
    "loggingConfig": "LoggingConfig",
    "tracingConfig": "TracingConfig",
}


def _create_function(creation: Creation) -> Made:
    inputs = creation.inputs
    require_trust(creation.cloud, inputs["role"], LAMBDA_SERVICE, urn=creation.urn)
    name = creation.physical_name()
    code = _code(creation)
    client = creation.cloud.client("lambda")
    function = client.create_function(
        FunctionName=name,
        Code={"ZipFile": code},
        Environment={"Variables": _variables(creation)},
        Tags=dict(creation.tags),
        **creation.picked(_FUNCTION_NAMES),
        **capitalised(creation.picked(_BLOCKS)),
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=ACTIVE_POLL)
    if (reserved := inputs.get("reservedConcurrentExecutions", -1)) >= 0:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    return Made(name, _function_outputs(creation, function))


def _code(creation: Creation) -> bytes:
    if "code" not in creation.inputs:
        raise InvalidInputs(f"{creation.urn}: the sandbox needs `code`, an archive; it has no S3 and no images")
    return zip_of(creation.inputs["code"], program_dir=creation.program_dir)


def _variables(creation: Creation) -> dict[str, str]:
    variables: Mapping[str, str] = creation.inputs.get("environment", {}).get("variables", {})
    if reserved := sorted(RESERVED_VARIABLES & variables.keys()):
        raise InvalidInputs(f"{creation.urn}: AWS reserves the environment variables {', '.join(reserved)}")
    return dict(variables)


def _function_outputs(creation: Creation, function: Mapping[str, Any]) -> dict[str, Any]:
    name, arn, version = function["FunctionName"], function["FunctionArn"], function["Version"]
    return {
        "name": name,
        "arn": arn,
        "qualifiedArn": f"{arn}:{version}",
        "invokeArn": _invoke_arn(creation, arn),
        "qualifiedInvokeArn": _invoke_arn(creation, f"{arn}:{version}"),
        "version": version,
        "lastModified": function["LastModified"],
        "sourceCodeSize": function["CodeSize"],
        "codeSha256": function["CodeSha256"],
        "sourceCodeHash": creation.inputs.get("sourceCodeHash", function["CodeSha256"]),
        "timeout": creation.inputs.get("timeout", TIMEOUT_S_DEFAULT),
        "memorySize": creation.inputs.get("memorySize", MEMORY_MB_DEFAULT),
    }


def _invoke_arn(creation: Creation, function_arn: str) -> str:
    gateway = f"arn:aws:apigateway:{creation.cloud.region}:lambda:path/2015-03-31/functions"
    return f"{gateway}/{function_arn}/invocations"


def _delete_function(deletion: Deletion) -> None:
    deletion.cloud.client("lambda").delete_function(FunctionName=deletion.resource.id)


def _create_layer(creation: Creation) -> Made:
    code = _code(creation)
    options = creation.picked(
        {
            "compatibleArchitectures": "CompatibleArchitectures",
            "compatibleRuntimes": "CompatibleRuntimes",
            "description": "Description",
            "licenseInfo": "LicenseInfo",
        }
    )
    layer = creation.cloud.client("lambda").publish_layer_version(
        LayerName=creation.inputs["layerName"], Content={"ZipFile": code}, **options
    )
    sha256 = base64.b64encode(hashlib.sha256(code).digest()).decode()
    outputs = {
        "arn": layer["LayerVersionArn"],
        "layerArn": layer["LayerArn"],
        "version": str(layer["Version"]),
        "createdDate": layer["CreatedDate"],
        "sourceCodeSize": len(code),
        "codeSha256": sha256,
        "sourceCodeHash": creation.inputs.get("sourceCodeHash", sha256),
    }
    return Made(layer["LayerVersionArn"], outputs)


def _delete_layer(deletion: Deletion) -> None:
    layer = deletion.resource
    deletion.cloud.client("lambda").delete_layer_version(
        LayerName=layer.inputs["layerName"], VersionNumber=int(layer.outputs["version"])
    )


def _create_url(creation: Creation) -> Made:
    inputs = creation.inputs
    options = creation.picked({"qualifier": "Qualifier", "invokeMode": "InvokeMode"})
    if "cors" in inputs:
        options["Cors"] = capitalised(inputs["cors"])
    made = creation.cloud.client("lambda").create_function_url_config(
        FunctionName=inputs["functionName"], AuthType=inputs["authorizationType"], **options
    )
    outputs = {
        "functionUrl": creation.cloud.reachable_url(made["FunctionUrl"]),
        "functionArn": made["FunctionArn"],
        "urlId": made["FunctionUrl"].removeprefix("https://").partition(".")[0],
    }
    qualifier = inputs.get("qualifier")
    return Made("/".join(filter(None, [inputs["functionName"], qualifier])), outputs)


def _delete_url(deletion: Deletion) -> None:
    inputs = deletion.resource.inputs
    options = {"Qualifier": inputs["qualifier"]} if "qualifier" in inputs else {}
    deletion.cloud.client("lambda").delete_function_url_config(FunctionName=inputs["functionName"], **options)


KINDS: Final = (
    Kind(
        resource=aws.lambda_.Function,
        args=aws.lambda_.FunctionArgs,
        honoured=frozenset(_FUNCTION_NAMES)
        | frozenset(_BLOCKS)
        | names("code environment name reservedConcurrentExecutions sourceCodeHash tags"),
        create=_create_function,
        delete=_delete_function,
    ),
    Kind(
        resource=aws.lambda_.LayerVersion,
        args=aws.lambda_.LayerVersionArgs,
        honoured=names("code compatibleArchitectures compatibleRuntimes description layerName licenseInfo sourceCodeHash"),
        create=_create_layer,
        delete=_delete_layer,
    ),
    Kind(
        resource=aws.lambda_.FunctionUrl,
        args=aws.lambda_.FunctionUrlArgs,
        honoured=names("authorizationType cors functionName invokeMode qualifier"),
        create=_create_url,
        delete=_delete_url,
    ),
)
