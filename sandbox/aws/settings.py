"""What the Pulumi CLI would tell a program: project, stack and configuration.

`read_settings` reads Pulumi.yaml and Pulumi.<stack>.yaml the way the CLI does: a key without a
namespace belongs to the project; defaults and fixed values come from Pulumi.yaml, the stack file
wins; every value reaches the program as text, JSON where it is not a string.

Secrets that the CLI encrypted (`secure:`) cannot be read without it and its passphrase; a stack file
for the sandbox has none, or the caller gives values for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from sandbox.aws.errors import SettingsInvalid

PROJECT_FILE: Final = "Pulumi.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """The stack that a program is run for.

    `config` has full keys (`headgate:endpoints`) and values as the CLI passes them, text or JSON
    text. `secret_keys` are those whose values are secrets. Relative paths in the program start at
    `program_dir`, which is where the CLI would run it; `root_dir` is where Pulumi.yaml is.
    """

    project: str
    stack: str
    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_keys: frozenset[str] = frozenset()
    root_dir: Path = Path()
    program_dir: Path = Path()


def read_settings(
    root_dir: Path, stack: str, *, overrides: Mapping[str, Any] | None = None, secrets: Mapping[str, Any] | None = None
) -> StackSettings:
    """Read the settings of a stack from its files.

    `overrides` and `secrets` replace or add values by key, with or without namespace; what comes in
    `secrets` is a secret to the program. Raises `SettingsInvalid`, naming file and key.
    """
    project_file = _read_yaml(root_dir / PROJECT_FILE)
    project = str(project_file["name"])
    stack_file = _read_yaml(root_dir / f"Pulumi.{stack}.yaml")
    given = {
        **_qualified(project, stack_file.get("config") or {}),
        **_qualified(project, overrides or {}),
        **_qualified(project, secrets or {}),
    }
    schema = _qualified(project, project_file.get("config") or {})
    values = {**_defaults(schema), **given}
    _require(schema, values, stack=stack)
    return StackSettings(
        project=project,
        stack=stack,
        config={key: _as_text(key, value) for key, value in values.items()},
        secret_keys=frozenset(_qualified(project, secrets or {})) | _secret_keys(schema),
        root_dir=root_dir,
        program_dir=root_dir / str(project_file.get("main", ".")),
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as exc:
        raise SettingsInvalid(f"{path}: {exc}") from exc
    if not isinstance(content, dict):
        raise SettingsInvalid(f"{path}: not a mapping")
    return content


def _qualified(project: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {key if ":" in key else f"{project}:{key}": value for key, value in values.items()}


def _is_declaration(entry: Any) -> bool:
    """Tell `{type, default, ...}` from a value written directly behind the key."""
    return isinstance(entry, Mapping) and bool(entry.keys() & {"type", "default", "value", "description", "secret"})


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for key, entry in schema.items():
        if not _is_declaration(entry):
            values[key] = entry
        elif (named := entry.get("value", entry.get("default"))) is not None:
            values[key] = named
    return values


def _secret_keys(schema: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(key for key, entry in schema.items() if _is_declaration(entry) and entry.get("secret"))


def _require(schema: Iterable[str], values: Mapping[str, Any], *, stack: str) -> None:
    if missing := sorted(set(schema) - values.keys()):
        raise SettingsInvalid(f"stack `{stack}` has no value for {', '.join(missing)}")


def _as_text(key: str, value: Any) -> str:
    if isinstance(value, Mapping) and "secure" in value:
        raise SettingsInvalid(f"`{key}` is encrypted: the sandbox has no passphrase; give a value for the sandbox")
    return value if isinstance(value, str) else json.dumps(value)
