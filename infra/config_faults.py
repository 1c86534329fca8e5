"""What is wrong with a stack file, in words a person can act on: the key as the file spells it, the value, the remedy.

All faults are reported at once. A value is shown only where it cannot be a secret: never one of an environment or of a key that
`SECRET_KEYS` names.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails, PydanticCustomError

VALUE_LENGTH_MAX: Final = 80
# How every part of the file is read: a number in quotes is a fault and not a guess, and no error holds a value by itself.
STRICT: Final = ConfigDict(
    strict=True, frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
)
SECRET_KEYS: Final = frozenset({"env", "secret_env", "image_login", "marketplaceApiKey"})
_SIMILARITY_MIN: Final = 0.6

# What people bring along from a Vast configuration or from an older description of it.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "endpoint_name": "The key of the map is the name: remove it",
    "autoscaler_instance": "Headgate has one engine, yours: remove it",
    "min_workers": "Use 'cold_workers'",
    "max_price": "Use 'max_hourly_cost_usd' for the group, or dph_total<=… in 'search_params' for one machine",
    "template_id": "Use 'template_hash'",
    "disk": "Use 'disk_gb'",
    "bid_price": "Use 'rental_type', 'bid_factor' and 'max_bid_usd'",
    "docker_login_user": "Use 'image_login'",
    "docker_login_pass": "Use 'image_login'",
    "docker_login_repo": "Use 'image_login'",
    "signingKeys": "The rotate function makes and names the keys: remove it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing to mend. `value` is None where there is none to show."""

    key: str
    fault: str
    remedy: str
    value: str | None = None

    def __str__(self) -> str:
        """Return the fault as one line."""
        shown = "" if self.value is None else f" = {self.value}"
        return f"{self.key}{shown}: {self.fault}. {self.remedy}."


class StackFileInvalid(pulumi.RunError):
    """The stack file cannot be deployed. A RunError, which Pulumi prints without a traceback."""

    def __init__(self, stack: str, faults: Sequence[Fault]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"The configuration of stack {stack!r} has {count}:\n{lines}")
        self.faults = tuple(faults)


def refusal(fault: str, remedy: str) -> PydanticCustomError:
    """Return the error that a validator raises. Neither text ends with a full stop or holds a value."""
    # Braces would be read as placeholders of the message.
    return PydanticCustomError("refused", "{fault}", {"fault": fault, "remedy": remedy})


def key_of(*path: str) -> str:
    """Return how `pulumi config set --path` spells a key."""
    return "headgate:" + ".".join(path)


def fault_of(error: ErrorDetails, model_at: Callable[[Sequence[str]], type[BaseModel] | None]) -> Fault:
    """Translate one of pydantic's errors. `model_at` gives the model whose fields describe a key, None where none does."""
    path = [str(part) for part in error["loc"] if part != "[key]"]
    return Fault(
        key=key_of(*path),
        value=_shown(path, error),
        fault=_fault_text(error),
        remedy=_remedy(path, error, model_at(path)),
    )


def _shown(path: Sequence[str], error: ErrorDetails) -> str | None:
    value = error["input"]
    if error["type"] in {"missing", "extra_forbidden"} or error["loc"][-1] == "[key]" or not isinstance(value, str | int | float):
        return None
    if SECRET_KEYS.intersection(path):
        return "(not shown)"
    text = repr(value)
    return text if len(text) <= VALUE_LENGTH_MAX else text[:VALUE_LENGTH_MAX] + "…"


def _fault_text(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a key that Headgate knows"
        case "refused":
            return str(error["ctx"]["fault"])
        case _:
            return (
                error["msg"].replace("Input should", "must").replace("String should", "must").replace("Dictionary should", "must")
            )


def _remedy(path: Sequence[str], error: ErrorDetails, model: type[BaseModel] | None) -> str:
    if error["type"] == "refused":
        return str(error["ctx"]["remedy"])
    if error["type"] == "string_type":
        return "Write the value in quotes"
    if model is None:
        return "Pulumi.example.yaml explains every key"
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    if error["type"] == "extra_forbidden":
        return _did_you_mean(path[-1], tuple(fields))
    described: Any = fields.get(path[-1])
    return f"Set {described.description}" if described else "Pulumi.example.yaml explains every key"


def _did_you_mean(key: str, known: Sequence[str]) -> str:
    if key in _ELSEWHERE:
        return _ELSEWHERE[key]
    near = difflib.get_close_matches(key, known, n=1, cutoff=_SIMILARITY_MIN)
    return f"Write {near[0]!r} if you meant that" if near else f"Known here: {', '.join(sorted(known))}"
