"""Secrets Manager: a secret and the version that holds its value."""

from __future__ import annotations

import base64
from typing import Any, Final

import pulumi_aws as aws

from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, names, tag_list

RECOVERY_WINDOW_DAYS: Final = 30
"""What the provider asks for when the program says nothing."""


def _create_secret(creation: Creation) -> Made:
    name = creation.physical_name()
    options = creation.picked({"description": "Description", "kmsKeyId": "KmsKeyId"})
    client = creation.cloud.client("secretsmanager")
    arn = client.create_secret(Name=name, Tags=tag_list(creation.tags), **options)["ARN"]
    if "policy" in creation.inputs:
        client.put_resource_policy(SecretId=arn, ResourcePolicy=creation.json_document("policy"))
    return Made(arn, {"arn": arn, "name": name})


def _delete_secret(deletion: Deletion) -> None:
    window_days = deletion.resource.inputs.get("recoveryWindowInDays", RECOVERY_WINDOW_DAYS)
    how = {"RecoveryWindowInDays": window_days} if window_days else {"ForceDeleteWithoutRecovery": True}
    deletion.cloud.client("secretsmanager").delete_secret(SecretId=deletion.resource.id, **how)


def _create_version(creation: Creation) -> Made:
    inputs = creation.inputs
    value: dict[str, Any] = creation.picked({"secretString": "SecretString", "versionStages": "VersionStages"})
    if "secretBinary" in inputs:
        value["SecretBinary"] = base64.b64decode(inputs["secretBinary"])
    answer = creation.cloud.client("secretsmanager").put_secret_value(SecretId=inputs["secretId"], **value)
    outputs = {
        "arn": answer["ARN"],
        "secretArn": answer["ARN"],
        "versionId": answer["VersionId"],
        "versionStages": answer["VersionStages"],
        "hasSecretStringWo": False,
    }
    return Made(f"{inputs['secretId']}|{answer['VersionId']}", outputs)


def _delete_version(_deletion: Deletion) -> None:
    """Do nothing, as the provider: AWS cannot delete the current version; it goes with its secret."""


KINDS: Final = (
    Kind(
        resource=aws.secretsmanager.Secret,
        args=aws.secretsmanager.SecretArgs,
        honoured=names("description kmsKeyId name namePrefix policy recoveryWindowInDays tags"),
        create=_create_secret,
        delete=_delete_secret,
    ),
    Kind(
        resource=aws.secretsmanager.SecretVersion,
        args=aws.secretsmanager.SecretVersionArgs,
        honoured=names("secretBinary secretId secretString versionStages"),
        create=_create_version,
        delete=_delete_version,
    ),
)
