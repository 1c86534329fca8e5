"""DynamoDB: tables and the items that a program declares."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi_aws as aws

from sandbox.aws.errors import InvalidInputs
from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, names, tag_list


def _create_table(creation: Creation) -> Made:
    name = creation.physical_name()
    client = creation.cloud.client("dynamodb")
    table = client.create_table(TableName=name, **_table_definition(creation))["TableDescription"]
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    if "ttl" in creation.inputs:
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=_ttl(creation.inputs["ttl"]))
    if recovery := creation.inputs.get("pointInTimeRecovery"):
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=_recovery(recovery))
    return Made(
        name,
        {
            "name": name,
            "arn": table["TableArn"],
            "streamArn": table.get("LatestStreamArn", ""),
            "streamLabel": table.get("LatestStreamLabel", ""),
        },
    )


def _table_definition(creation: Creation) -> dict[str, Any]:
    inputs = creation.inputs
    definition: dict[str, Any] = {
        "KeySchema": _key_schema(inputs),
        "AttributeDefinitions": [
            {"AttributeName": attribute["name"], "AttributeType": attribute["type"]} for attribute in inputs["attributes"]
        ],
        "BillingMode": inputs.get("billingMode", "PROVISIONED"),
        "Tags": tag_list(creation.tags),
        **creation.picked({"deletionProtectionEnabled": "DeletionProtectionEnabled", "tableClass": "TableClass"}),
    }
    if encryption := inputs.get("serverSideEncryption"):
        definition["SSESpecification"] = _encryption(encryption)
    if indexes := inputs.get("globalSecondaryIndexes"):
        definition["GlobalSecondaryIndexes"] = [_index(index) for index in indexes]
    if inputs.get("streamEnabled"):
        definition["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": inputs["streamViewType"]}
    return definition


def _key_schema(inputs: Mapping[str, Any]) -> list[dict[str, str]]:
    keys = {"hashKey": "HASH", "rangeKey": "RANGE"}
    return [{"AttributeName": inputs[key], "KeyType": kind} for key, kind in keys.items() if key in inputs]


def _index(index: Mapping[str, Any]) -> dict[str, Any]:
    projection = {"ProjectionType": index["projectionType"]}
    if "nonKeyAttributes" in index:
        projection["NonKeyAttributes"] = index["nonKeyAttributes"]
    return {"IndexName": index["name"], "KeySchema": _key_schema(index), "Projection": projection}


def _encryption(block: Mapping[str, Any]) -> dict[str, Any]:
    # `enabled: false` means the key that AWS owns, which is what a table has when nothing is said.
    specification: dict[str, Any] = {"Enabled": block["enabled"]}
    if block["enabled"]:
        specification["SSEType"] = "KMS"
    if "kmsKeyArn" in block:
        specification["KMSMasterKeyId"] = block["kmsKeyArn"]
    return specification


def _ttl(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"AttributeName": block["attributeName"], "Enabled": block.get("enabled", True)}


def _recovery(block: Mapping[str, Any]) -> dict[str, Any]:
    specification = {"PointInTimeRecoveryEnabled": block["enabled"]}
    if "recoveryPeriodInDays" in block:
        specification["RecoveryPeriodInDays"] = block["recoveryPeriodInDays"]
    return specification


def _delete_table(deletion: Deletion) -> None:
    client = deletion.cloud.client("dynamodb")
    if deletion.unprotect and deletion.resource.inputs.get("deletionProtectionEnabled"):
        client.update_table(TableName=deletion.resource.id, DeletionProtectionEnabled=False)
    client.delete_table(TableName=deletion.resource.id)


def _create_item(creation: Creation) -> Made:
    inputs = creation.inputs
    item = _item(creation)
    key_names = [inputs[key] for key in ("hashKey", "rangeKey") if key in inputs]
    if missing := [key for key in key_names if key not in item]:
        raise InvalidInputs(f"{creation.urn}: `item` lacks its key {', '.join(missing)}")
    # As the provider does: an item that is there already belongs to somebody else.
    creation.cloud.client("dynamodb").put_item(
        TableName=inputs["tableName"],
        Item=item,
        ConditionExpression="attribute_not_exists(#key)",
        ExpressionAttributeNames={"#key": inputs["hashKey"]},
    )
    key_values = [str(next(iter(item[key].values()))) for key in key_names]
    outputs = dict(zip(("hashKeyValue", "rangeKeyValue"), key_values, strict=False))
    return Made("|".join([inputs["tableName"], *key_values]), outputs)


def _item(creation: Creation) -> dict[str, Any]:
    """Read an item in DynamoDB's JSON; binary values are base64 there and bytes in boto3."""
    item = json.loads(creation.json_document("item"))
    for value in item.values():
        if "B" in value:
            value["B"] = base64.b64decode(value["B"])
    return dict(item)


def _delete_item(deletion: Deletion) -> None:
    inputs = deletion.resource.inputs
    item = json.loads(inputs["item"])
    key = {inputs[name]: item[inputs[name]] for name in ("hashKey", "rangeKey") if name in inputs}
    deletion.cloud.client("dynamodb").delete_item(TableName=inputs["tableName"], Key=key)


KINDS: Final = (
    Kind(
        resource=aws.dynamodb.Table,
        args=aws.dynamodb.TableArgs,
        honoured=names(
            "attributes billingMode deletionProtectionEnabled globalSecondaryIndexes hashKey name pointInTimeRecovery "
            "rangeKey serverSideEncryption streamEnabled streamViewType tableClass tags ttl"
        ),
        create=_create_table,
        delete=_delete_table,
    ),
    Kind(
        resource=aws.dynamodb.TableItem,
        args=aws.dynamodb.TableItemArgs,
        honoured=names("hashKey item rangeKey tableName"),
        create=_create_item,
        delete=_delete_item,
    ),
)
