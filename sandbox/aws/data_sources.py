"""Data sources: the questions that a program asks of AWS while it runs.

They are answered the same in the preview and in the update, as by Pulumi.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.aws.errors import UnsupportedResource
from sandbox.aws.resources.kind import Cloud

PARTITION: Final = "aws"
DNS_SUFFIX: Final = "amazonaws.com"
POLICY_VERSION: Final = "2012-10-17"


def answer(token: str, arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    """Answer a data source by its token; raises `UnsupportedResource` for any that is not in the table."""
    if token not in _SOURCES:
        raise UnsupportedResource(f"the sandbox does not know the data source {token}")
    return _SOURCES[token](arguments, cloud)


def _caller_identity(_arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    identity = cloud.client("sts").get_caller_identity()
    account_id = identity["Account"]
    return {"id": account_id, "accountId": account_id, "arn": identity["Arn"], "userId": identity["UserId"]}


def _region(_arguments: Mapping[str, Any], cloud: Cloud) -> dict[str, Any]:
    return {
        "id": cloud.region,
        "name": cloud.region,
        "region": cloud.region,
        "description": cloud.region,
        "endpoint": f"ec2.{cloud.region}.{DNS_SUFFIX}",
    }


def _partition(_arguments: Mapping[str, Any], _cloud: Cloud) -> dict[str, Any]:
    return {
        "id": PARTITION,
        "partition": PARTITION,
        "dnsSuffix": DNS_SUFFIX,
        "reverseDnsPrefix": ".".join(reversed(DNS_SUFFIX.split("."))),
    }


def _policy_document(arguments: Mapping[str, Any], _cloud: Cloud) -> dict[str, Any]:
    if unknown := sorted(arguments.keys() - {"statements", "version", "policyId"}):
        raise UnsupportedResource(f"aws.iam.get_policy_document: the sandbox does not honour {', '.join(unknown)}")
    document: dict[str, Any] = {"Version": arguments.get("version", POLICY_VERSION)}
    if "policyId" in arguments:
        document["Id"] = arguments["policyId"]
    document["Statement"] = [_statement(statement) for statement in arguments.get("statements", [])]
    text = json.dumps(document, indent=2)
    return {"id": str(hash(text)), "json": text, "minifiedJson": json.dumps(document, separators=(",", ":"))}


_STATEMENT_LISTS: Final = {
    "actions": "Action",
    "notActions": "NotAction",
    "resources": "Resource",
    "notResources": "NotResource",
}


def _statement(given: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": given.get("effect", "Allow")}
    if "sid" in given:
        statement["Sid"] = given["sid"]
    for wire, name in _STATEMENT_LISTS.items():
        if given.get(wire):
            statement[name] = _single(given[wire])
    for wire, name in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if given.get(wire):
            statement[name] = _principals(given[wire])
    if given.get("conditions"):
        statement["Condition"] = _conditions(given["conditions"])
    return statement


def _single(values: list[str]) -> str | list[str]:
    """Write one value bare, as the provider does."""
    return values[0] if len(values) == 1 else sorted(values, reverse=True)


def _principals(given: list[Mapping[str, Any]]) -> str | dict[str, Any]:
    if any(principal["type"] == "*" for principal in given):
        return "*"
    by_type: dict[str, list[str]] = {}
    for principal in given:
        by_type.setdefault(principal["type"], []).extend(principal["identifiers"])
    return {kind: _single(identifiers) for kind, identifiers in by_type.items()}


def _conditions(given: list[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    conditions: dict[str, dict[str, Any]] = {}
    for condition in given:
        conditions.setdefault(condition["test"], {})[condition["variable"]] = _single(condition["values"])
    return conditions


_SOURCES: Final[Mapping[str, Callable[[Mapping[str, Any], Cloud], dict[str, Any]]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
}
