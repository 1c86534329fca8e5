"""Inputs as they come over the wire, made plain, and held against what the provider takes.

The SDK checks the arguments of a resource, but not what is inside of dictionaries: a misspelt key in
a nested block goes to the provider as it is. Here it meets the same `...Args` classes that the
typed form of the block has, so it fails before anything is created, with a suggestion.

Protobuf knows one kind of number; whole ones are made int again, because AWS APIs insist on it.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
from pulumi import _types
from pulumi.runtime import rpc

from sandbox.aws.errors import InvalidInputs, UnsupportedResource
from sandbox.aws.plan import UNKNOWN
from sandbox.aws.resources.kind import Kind

REGION: typing.Final = "region"
"""An input of every resource since version 7 of the provider."""


def plain(value: Any) -> Any:
    """Unwrap secrets, mark unknown values with `UNKNOWN`, and make whole numbers int."""
    if rpc.is_rpc_secret(value):
        return plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, pulumi.output.Unknown):
        return UNKNOWN
    return int(value) if isinstance(value, float) and value.is_integer() else value


def secret_names(properties: Mapping[str, Any]) -> frozenset[str]:
    """Name the properties that are, or hold, secrets."""
    return frozenset(name for name, value in properties.items() if rpc.is_rpc_secret(value))


def unknown_paths(value: Any, path: str = "") -> Iterator[str]:
    """List where a value, made plain, is unknown."""
    if value is UNKNOWN:
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from unknown_paths(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_paths(item, f"{path}[{index}]")


def check_inputs(kind: Kind, inputs: Mapping[str, Any], *, urn: str, region: str) -> None:
    """Hold inputs against the provider's classes and against what the sandbox honours.

    Raises `InvalidInputs` for a name that the provider does not know, at any depth, and
    `UnsupportedResource` for one that it knows and the sandbox would have to ignore.
    """
    if problems := list(_unknown_names(kind.args, inputs, path="")):
        raise InvalidInputs(f"{urn}: {'; '.join(problems)}")
    if inputs.get(REGION, region) != region:
        raise UnsupportedResource(f"{urn}: the sandbox has one region, {region}, not {inputs[REGION]}")
    if ignored := sorted(inputs.keys() - kind.honoured - {REGION}):
        raise UnsupportedResource(f"{urn}: the sandbox does not honour {', '.join(f'`{name}`' for name in ignored)}")


def _unknown_names(expected: Any, value: Any, *, path: str) -> Iterator[str]:
    """List what does not fit the declared type of an input, by its path."""
    if isinstance(expected, type) and _types.is_input_type(expected):
        yield from _unknown_members(expected, value, path=path)
    elif isinstance(value, list):
        item_type = _argument(expected, 0)
        for index, item in enumerate(value):
            yield from _unknown_names(item_type, item, path=f"{path}[{index}]")


def _unknown_members(expected: type, value: Any, *, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        if value is not UNKNOWN:
            yield f"`{path}` must be a block"
        return
    members = _types.input_type_types(expected)
    for name, item in value.items():
        inner = f"{path}.{name}" if path else name
        if name in members:
            yield from _unknown_names(members[name], item, path=inner)
        else:
            yield f"the provider knows no input `{inner}`{_suggestion(name, members)}"


def _argument(generic: Any, index: int) -> Any:
    """Give the element type of a sequence, out of the SDK's `Input` wrapping."""
    arguments = typing.get_args(generic)
    return _types.unwrap_type(arguments[index]) if len(arguments) > index else None


def _suggestion(name: str, members: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, members, n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""
