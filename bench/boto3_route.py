"""The route function with boto3's client in the place of its own: all else is the shipping handler."""

from __future__ import annotations

import os
from dataclasses import replace

import boto3

import functions.route.handler as shipping
from functions.adapters.botocore_api import BotocoreApi
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_route import DynamoRouteStore

_STORE = DynamoRouteStore(DynamoTable(BotocoreApi(boto3.client("dynamodb")), os.environ["HEADGATE_TABLE"]))
shipping._PORTS = replace(shipping._PORTS, store=_STORE)  # noqa: SLF001 - one difference, so that one thing is compared
handler = shipping.handler
