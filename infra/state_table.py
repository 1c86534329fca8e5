"""The one table: on-demand, encrypted, recoverable to any second of 35 days, and hard to delete by accident."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_aws as aws

PARTITION_KEY: Final = "pk"
SORT_KEY: Final = "sk"
TTL_ATTRIBUTE: Final = "ttl"


class StateTable(pulumi.ComponentResource):
    """Where configuration, workers, requests and decisions are kept."""

    def __init__(self, name: str, *, protect: bool, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:StateTable", "state-table", opts=opts)
        self._table = aws.dynamodb.Table(
            "table",
            name=name,
            billing_mode="PAY_PER_REQUEST",
            hash_key=PARTITION_KEY,
            range_key=SORT_KEY,
            attributes=[
                aws.dynamodb.TableAttributeArgs(name=PARTITION_KEY, type="S"),
                aws.dynamodb.TableAttributeArgs(name=SORT_KEY, type="S"),
            ],
            ttl=aws.dynamodb.TableTtlArgs(attribute_name=TTL_ATTRIBUTE, enabled=True),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True),
            deletion_protection_enabled=protect,
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        self.name: pulumi.Output[str] = self._table.name
        self.arn: pulumi.Output[str] = self._table.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def put(
        self, logical_name: str, item: pulumi.Input[Mapping[str, object]], *, parent: pulumi.Resource
    ) -> aws.dynamodb.TableItem:
        """Declare one item, in DynamoDB's own JSON: every value under its type, such as `{"S": "text"}`."""
        return aws.dynamodb.TableItem(
            logical_name,
            table_name=self.name,
            hash_key=PARTITION_KEY,
            range_key=SORT_KEY,
            item=pulumi.Output.from_input(item).apply(lambda plain: json.dumps(plain, sort_keys=True)),
            opts=pulumi.ResourceOptions(parent=parent),
        )
