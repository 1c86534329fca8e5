"""An endpoint group's parameters out of a stack file, as the program would store them.

The file may be one that has never been deployed: it is a person's, so whatever is wrong with it is said and not raised past here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from functions.core.jsonable import decode
from functions.core.model import EndpointGroup
from infra.config import NAMESPACE
from infra.endpoint_settings import EndpointSettings
from infra.group import group_spec

ENDPOINTS: Final = f"{NAMESPACE}endpoints"
# What is rented is the backtest's machine; the stack file's own autogroups may hold secrets that only Pulumi can read.
_ONE_AUTOGROUP: Final = {"any": {"search_params": "num_gpus=1", "image": "engine"}}


class UnreadableStack(ValueError):
    """The file is no stack file with that group; the message names the file and what it needs."""


def read_group(path: Path, name: str | None) -> EndpointGroup:
    """Return the parameters of the group of this name, the first one's without. Raises UnreadableStack and OSError."""
    endpoints = _endpoints(path)
    chosen = next(iter(endpoints)) if name is None else name
    if chosen not in endpoints:
        raise UnreadableStack(f"{path} has no endpoint group {chosen!r}; name one of {', '.join(endpoints)}")
    try:
        described = json.dumps({**endpoints[chosen], "autogroups": _ONE_AUTOGROUP})
        return decode(EndpointGroup, group_spec(chosen, EndpointSettings.model_validate_json(described)))
    except (TypeError, ValueError) as exc:  # no map, or what pydantic says of its keys
        raise UnreadableStack(f"{path}: endpoint group {chosen}: {exc}") from exc


def _endpoints(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as exc:
        raise UnreadableStack(f"{path} is no YAML: {exc}") from exc
    config = document.get("config") if isinstance(document, dict) else None
    endpoints = config.get(ENDPOINTS) if isinstance(config, dict) else None
    if not isinstance(endpoints, dict) or not endpoints:
        raise UnreadableStack(f"{path} has no endpoint groups; they stand under config, {ENDPOINTS}, as in Pulumi.example.yaml")
    return endpoints
