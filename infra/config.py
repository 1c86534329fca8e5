"""The stack file as a value: parsed, checked and complete before anything is declared.

Pydantic does the parsing, strictly (a number in quotes is a fault, not a guess), and every fault of the file is reported at once,
by the key that the file spells. Secrets are `SecretStr` from here on; one that stands in the file unencrypted is a fault.

Pulumi hands over every value as text: a simple one as it is, a map or a list as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pulumi.runtime.config import CONFIG, get_config_env, get_config_secret_keys_env, is_config_secret
from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from infra.api_key_settings import ApiKeySettings
from infra.autogroup_settings import AutogroupSettings
from infra.config_faults import STRICT, Fault, StackFileInvalid, fault_of, key_of, refusal
from infra.endpoint_settings import EndpointSettings, Name
from infra.schedule_faults import schedule_faults
from infra.schedule_settings import ScheduleSettings

NAMESPACE: Final = "headgate:"
STACK_LENGTH_MAX: Final = 40  # `headgate-<stack>-report` is a role's name of at most 64
RETENTION_DAYS: Final = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

_TEXT_KEYS: Final = frozenset({"marketplaceApiKey", "marketplaceUrl", "alarmEmail", "packageTarget", "logLevel"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise refusal("would send the API key in the clear", "Use https (http is for a marketplace on this machine alone)")
    if parts.query or parts.fragment or not parts.hostname:
        raise refusal("is no base address", "Use scheme and host alone, such as https://console.vast.ai")
    return text.rstrip("/")


def _retention(days: int) -> int:
    if days not in RETENTION_DAYS:
        raise refusal(
            "is no retention that CloudWatch knows", f"Use {', '.join(map(str, RETENTION_DAYS[:11]))} or another of its periods"
        )
    return days


class StackSettings(BaseModel):
    """Everything a stack file says."""

    model_config = {**STRICT, "alias_generator": to_camel}

    marketplace_api_key: SecretStr = Field(
        min_length=1, description="the marketplace's API key with `pulumi config set --secret headgate:marketplaceApiKey`"
    )
    marketplace_url: Annotated[str, AfterValidator(_url)] = Field(
        default="https://console.vast.ai", description="the marketplace's base address"
    )
    marketplace_pace: float = Field(
        default=1.0, ge=0, le=10, description="the pauses between calls, as a multiple of the documented ones (0 to 10)"
    )
    endpoints: dict[Name, EndpointSettings] = Field(description="the endpoint groups, as a map by name")
    api_keys: dict[Name, ApiKeySettings] = Field(
        default_factory=dict, description="the clients and their API keys, as a map by name"
    )
    signing_key_rotation_days: int = Field(
        default=30, ge=0, le=365, description="after how many days a ticket key is replaced by itself, 1 to 365, or 0 for never"
    )
    tick_interval_s: int = Field(default=5, ge=1, le=30, description="the seconds between two looks at a busy group, 1 to 30")
    rent_confirm_s: int = Field(
        default=120, ge=30, le=900, description="after how many seconds an unconfirmed rent is given up, 30 to 900"
    )
    credit_alarm_hours: int = Field(
        default=24, ge=0, le=720, description="for how many hours the credit should last before an alarm, 1 to 720, or 0 for none"
    )
    log_retention_days: Annotated[int, AfterValidator(_retention)] = Field(
        default=30, description="for how many days logs are kept"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    alarm_email: str = Field(
        default="", pattern=r"^(\S+@\S+\.\S+)?$", description="the address that alarms are sent to, or nothing for none"
    )
    protect_table: bool = Field(default=True, description="true to refuse a destroy of the table, false to allow it")
    package_target: Literal["lambda", "local"] = Field(default="lambda", description="lambda, or local for the sandbox")
    tags: dict[str, str] = Field(default_factory=dict, max_length=40, description="further tags of every resource, text to text")


def read_stack_file(stack: str) -> StackSettings:
    """Return the settings of the stack that Pulumi runs. Raises StackFileInvalid."""
    found = {**get_config_env(), **CONFIG.get()}
    values = {key.removeprefix(NAMESPACE): text for key, text in found.items() if key.startswith(NAMESPACE)}
    encrypted = {key for key in values if is_config_secret(NAMESPACE + key) or NAMESPACE + key in get_config_secret_keys_env()}
    return parse_stack_file(stack, values, encrypted=encrypted)


def parse_stack_file(stack: str, values: Mapping[str, str], *, encrypted: Collection[str]) -> StackSettings:
    """Return the settings that `values` (key without namespace to text) spell. `encrypted` names the keys that hold a secret.

    Raises StackFileInvalid with every fault.
    """
    document = {key: text if key in _TEXT_KEYS else _decoded(text) for key, text in values.items()}
    faults = [*_stack_faults(stack), *_plaintext_faults(document, encrypted), *_coverage_faults(document)]
    faults += (
        fault for name, endpoint in _items(document.get("endpoints")) for fault in schedule_faults(name, dict(_items(endpoint)))
    )
    try:
        settings = StackSettings.model_validate_json(json.dumps(_without_nulls(document)))
    except ValidationError as invalid:
        faults += [fault_of(error, _model_at) for error in invalid.errors(include_url=False)]
        raise StackFileInvalid(stack, faults) from None
    if faults:
        raise StackFileInvalid(stack, faults)
    return settings


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text  # of the wrong type then, which the model says better


def _without_nulls(value: object) -> object:
    """Drop keys without a value, such as Vast's `max_queue_time: null`: they mean the default."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}


def _stack_faults(stack: str) -> Iterator[Fault]:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", stack) is None or len(stack) > STACK_LENGTH_MAX:
        yield Fault(
            key="the stack's name",
            value=repr(stack),
            fault="cannot be part of the functions' names",
            remedy=f"Use 1 to {STACK_LENGTH_MAX} letters, digits, '-' and '_', beginning with a letter or digit",
        )


def _plaintext_faults(document: Mapping[str, object], encrypted: Collection[str]) -> Iterator[Fault]:
    if document.get("marketplaceApiKey") and "marketplaceApiKey" not in encrypted:
        yield _plaintext(("marketplaceApiKey",))
    # Pulumi encrypts single values inside a map, and then calls the whole map secret.
    if "endpoints" not in encrypted:
        yield from map(_plaintext, _secret_paths(document))


def _secret_paths(document: Mapping[str, object]) -> Iterator[tuple[str, ...]]:
    for name, endpoint in _items(document.get("endpoints")):
        for autogroup_name, autogroup in _items(dict(_items(endpoint)).get("autogroups")):
            path, keys = ("endpoints", name, "autogroups", autogroup_name), dict(_items(autogroup))
            yield from ((*path, "secret_env", variable) for variable, _ in _items(keys.get("secret_env")))
            if keys.get("image_login"):
                yield (*path, "image_login")


def _items(value: object) -> Iterator[tuple[str, object]]:
    """Yield the entries of a map; none of what is no map, which the model reports."""
    if isinstance(value, dict):
        yield from value.items()


def _plaintext(path: Sequence[str]) -> Fault:
    key = key_of(*path)
    remedy = f"Set it with `pulumi config set --secret --path '{key}'`, which encrypts it, and replace the old value at its source"
    return Fault(key=key, value="(not shown)", fault="stands in the stack file unencrypted", remedy=remedy)


def _coverage_faults(document: Mapping[str, object]) -> Iterator[Fault]:
    declared = [name for name, _ in _items(document.get("endpoints"))]
    for name, api_key in _items(document.get("apiKeys")):
        covered = dict(_items(api_key)).get("endpoints")
        for endpoint in covered if isinstance(covered, list) else ():
            if endpoint not in declared:
                yield Fault(
                    key=key_of("apiKeys", name, "endpoints"),
                    value=repr(endpoint),
                    fault="is no endpoint group of this stack",
                    remedy=f"Declared: {', '.join(declared) or 'none'}",
                )


def _model_at(path: Sequence[str]) -> type[BaseModel] | None:
    match path:
        case [_]:
            return StackSettings
        case ["apiKeys", _, _]:
            return ApiKeySettings
        case ["endpoints", _, _]:
            return EndpointSettings
        case ["endpoints", _, "schedules", _, _]:
            return ScheduleSettings
        case ["endpoints", _, "autogroups", _, _]:
            return AutogroupSettings
        case _:
            return None
