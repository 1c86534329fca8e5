"""What the sandbox must know of a resource type: which inputs it honours, how to make and unmake it.

A `Kind` stands for the provider of one resource type. Its contract is the real provider's: `create`
takes the inputs under their wire names (camelCase, secrets unwrapped, whole numbers as int), makes
the thing through boto3, and gives back the id and the outputs under the names and in the form that
the real provider uses, because a program builds other inputs from them. An output left out counts
as unknown, and using it is an error; so nothing is ever silently missing.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import pulumi
from pulumi import _types

from sandbox.aws.errors import InvalidInputs
from sandbox.aws.plan import Resource

AUTONAME_SUFFIX_BYTES: Final = 4
AUTONAME_SUFFIX_CHARS: Final = 7
"""Pulumi's default: the logical name, a hyphen and 7 hex digits (https://www.pulumi.com/docs/concepts/resources/names/)."""


class Cloud(Protocol):
    """Where resources are made; the emulator is one."""

    @property
    def region(self) -> str:
        """The region of everything."""

    @property
    def account_id(self) -> str:
        """The twelve digits of the account."""

    def client(self, service: str) -> Any:
        """Give the boto3 client of a service; from any thread."""

    def reachable_url(self, function_url: str) -> str:
        """Say where a Function URL is served."""

    def ensure_alive(self) -> None:
        """Raise `EmulatorFailed` if nothing can be made any more."""


class Made(NamedTuple):
    """What `create` gives back: the provider's id, and outputs under their wire names."""

    id: str
    outputs: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A request to make one resource.

    `tags` has the provider's default tags merged in; archives are looked for from `program_dir`.
    """

    urn: str
    name: str
    inputs: Mapping[str, Any] = field(repr=False)
    tags: Mapping[str, str]
    cloud: Cloud
    program_dir: Path

    def physical_name(self, key: str = "name") -> str:
        """Give the name asked for, or make one from the logical name, as the provider does."""
        if key in self.inputs:
            return str(self.inputs[key])
        suffix = secrets.token_hex(AUTONAME_SUFFIX_BYTES)[:AUTONAME_SUFFIX_CHARS]
        prefix = self.inputs.get(f"{key}Prefix")
        return f"{prefix}{suffix}" if prefix else f"{self.name}-{suffix}"

    def picked(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Take the inputs that are set, under the API's names."""
        return {api: self.inputs[wire] for wire, api in names.items() if wire in self.inputs}

    def json_document(self, key: str) -> str:
        """Give an input that must be JSON text, or raise `InvalidInputs`."""
        text = str(self.inputs[key])
        try:
            json.loads(text)
        except ValueError as exc:
            raise InvalidInputs(f"{self.urn}: `{key}` is not JSON: {exc}") from exc
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A request to unmake one resource. `unprotect` says that the whole stack is being torn down on purpose."""

    resource: Resource
    cloud: Cloud
    unprotect: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A resource type that the sandbox can make.

    `honoured` are the inputs that `create` acts on; an input outside of it is refused by name.
    """

    resource: type[pulumi.CustomResource]
    args: type
    honoured: frozenset[str]
    create: Callable[[Creation], Made]
    delete: Callable[[Deletion], None]

    @property
    def type(self) -> str:
        """The type token, such as `aws:sqs/queue:Queue`."""
        return str(vars(self.resource)["pulumi_type"])

    @property
    def input_names(self) -> frozenset[str]:
        """Every input that the provider knows, under its wire name."""
        return frozenset(_types.input_type_types(self.args))


def names(text: str) -> frozenset[str]:
    """Split a list of input names."""
    return frozenset(text.split())


def capitalised(value: Any) -> Any:
    """Turn a nested input block into an API structure: `{"roleArn": ...}` into `{"RoleArn": ...}`."""
    if isinstance(value, Mapping):
        return {key[:1].upper() + key[1:]: capitalised(item) for key, item in value.items()}
    return [capitalised(item) for item in value] if isinstance(value, list) else value


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write tags the way most AWS APIs want them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def name_of_arn(arn: str) -> str:
    """Give the last part of an ARN, which for most resources is the name."""
    return re.split(r"[:/]", arn)[-1]
