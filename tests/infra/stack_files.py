"""A stack's configuration for tests: small, complete, and written as a person would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.config import StackSettings, parse_stack_file
from infra.config_faults import StackFileInvalid
from sandbox.aws.settings import StackSettings as StackFile

ENCRYPTED = frozenset({"marketplaceApiKey", "endpoints"})


def autogroup(**changes: Any) -> dict[str, Any]:
    """Return an autogroup as the stack file has it."""
    return {"search_params": "gpu_name=RTX_4090 num_gpus=1", "image": "example/worker:1", **changes}


def endpoint(**changes: Any) -> dict[str, Any]:
    """Return an endpoint group as the stack file has it."""
    return {"max_workers": 4, "max_hourly_cost_usd": 2.5, "autogroups": {"fast": autogroup()}, **changes}


def stack_file(**changes: Any) -> dict[str, Any]:
    """Return the values of a stack file, keys without namespace."""
    return {
        "marketplaceApiKey": "marketplace-key",
        "endpoints": {"llm": endpoint()},
        "apiKeys": {"website": {"endpoints": ["llm"]}},
        **changes,
    }


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as Pulumi passes them: text as it is, the rest as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def parsed(**changes: Any) -> StackSettings:
    """Return the settings of `stack_file(**changes)`."""
    return parse_stack_file("test", texts(stack_file(**changes)), encrypted=ENCRYPTED)


def faults(**changes: Any) -> list[str]:
    """Return the faults that `stack_file(**changes)` is refused for; none if it is accepted."""
    try:
        parsed(**changes)
    except StackFileInvalid as invalid:
        return [str(fault) for fault in invalid.faults]
    return []


def as_file(**changes: Any) -> StackFile:
    """Return `stack_file(**changes)` as what a program is run with."""
    values = texts(stack_file(**changes))
    return StackFile(
        project="headgate",
        stack="test",
        config={f"headgate:{key}": text for key, text in values.items()},
        secret_keys=frozenset(f"headgate:{key}" for key in ENCRYPTED),
    )
