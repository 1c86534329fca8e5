"""Inputs are made plain, and held against what the provider knows."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc

from sandbox.aws.errors import InvalidInputs, UnsupportedResource
from sandbox.aws.inputs import check_inputs, plain, secret_names, unknown_paths
from sandbox.aws.plan import UNKNOWN
from sandbox.aws.resources import KINDS

SCHEDULE = KINDS["aws:scheduler/schedule:Schedule"]


def check(inputs: dict[str, Any]) -> None:
    check_inputs(SCHEDULE, inputs, urn="urn", region="eu-central-1")


def test_whole_numbers_become_int() -> None:
    made = plain({"whole": 60.0, "part": 0.5, "list": [1.0]})

    assert (made, type(made["whole"])) == ({"whole": 60, "part": 0.5, "list": [1]}, int)


def test_secrets_are_unwrapped_at_any_depth() -> None:
    wrapped = {"a": rpc.wrap_rpc_secret({"b": rpc.wrap_rpc_secret("s")})}

    assert plain(wrapped) == {"a": {"b": "s"}}


def test_secret_properties_are_named() -> None:
    assert secret_names({"open": "o", "closed": rpc.wrap_rpc_secret("c")}) == {"closed"}


def test_unknown_values_are_found_by_path() -> None:
    made = plain({"a": {"b": [1.0, pulumi.output.Unknown()]}, "c": "known"})  # type: ignore[no-untyped-call]

    assert list(unknown_paths(made)) == ["a.b[1]"]


def test_known_names_pass() -> None:
    check({"name": "n", "flexibleTimeWindow": {"mode": "OFF"}, "target": {"arn": UNKNOWN}})


def test_a_block_may_be_unknown_as_a_whole() -> None:
    check({"target": UNKNOWN})


def test_a_misspelt_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InvalidInputs, match=r"`scheduleExpresion` \(did you mean `scheduleExpression`\?\)"):
        check({"scheduleExpresion": "rate(1 minute)"})


def test_a_misspelt_name_inside_of_a_block_is_refused_by_its_path() -> None:
    with pytest.raises(InvalidInputs, match=r"`target\.retryPolicy\.maximumRetries`"):
        check({"target": {"retryPolicy": {"maximumRetries": 0}}})


def test_a_value_where_a_block_belongs_is_refused() -> None:
    with pytest.raises(InvalidInputs, match="`target` must be a block"):
        check({"target": "arn:aws:lambda"})


def test_an_input_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(UnsupportedResource, match="does not honour `kmsKeyArn`"):
        check({"kmsKeyArn": "arn:aws:kms"})
