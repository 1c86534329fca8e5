"""Policy documents come out as the provider writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.aws.data_sources import answer
from sandbox.aws.errors import UnsupportedResource
from tests.sandbox.aws.recording_cloud import RecordingCloud

POLICY = "aws:iam/getPolicyDocument:getPolicyDocument"


def document(**arguments: Any) -> dict[str, Any]:
    return dict(json.loads(answer(POLICY, arguments, RecordingCloud())["json"]))


def test_a_single_value_is_written_bare() -> None:
    statement = document(statements=[{"actions": ["s3:Get"], "resources": ["*"]}])["Statement"][0]

    assert statement == {"Effect": "Allow", "Action": "s3:Get", "Resource": "*"}


def test_principals_are_gathered_by_type() -> None:
    principals = [{"type": "AWS", "identifiers": ["1"]}, {"type": "AWS", "identifiers": ["2"]}]
    statement = document(statements=[{"actions": ["*"], "principals": principals}])["Statement"][0]

    assert sorted(statement["Principal"]["AWS"]) == ["1", "2"]


def test_everybody_is_a_star() -> None:
    principals = [{"type": "*", "identifiers": ["*"]}]

    assert document(statements=[{"principals": principals}])["Statement"][0]["Principal"] == "*"


def test_conditions_are_gathered_by_test() -> None:
    conditions = [
        {"test": "StringEquals", "variable": "a", "values": ["1"]},
        {"test": "StringEquals", "variable": "b", "values": ["2"]},
    ]
    statement = document(statements=[{"effect": "Deny", "sid": "No", "conditions": conditions}])["Statement"][0]

    assert statement == {"Effect": "Deny", "Sid": "No", "Condition": {"StringEquals": {"a": "1", "b": "2"}}}


def test_version_and_id_can_be_set() -> None:
    made = document(version="2008-10-17", policyId="mine")

    assert (made["Version"], made["Id"]) == ("2008-10-17", "mine")


def test_an_argument_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(UnsupportedResource, match="sourcePolicyDocuments"):
        document(sourcePolicyDocuments=["{}"])
