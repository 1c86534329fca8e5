"""pulumi-random: values made once and kept with the deployment, from the system's own randomness."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Mapping
from typing import Any, Final

import pulumi_random as random_provider

from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, names

SPECIAL_CHARS: Final = "!@#$%&*()-_=+[]{}<>:?"
"""What the provider draws from unless `override_special` says otherwise."""


def _create_bytes(creation: Creation) -> Made:
    value = secrets.token_bytes(creation.inputs["length"])
    return Made("none", {"base64": base64.b64encode(value).decode(), "hex": value.hex()})


def _create_id(creation: Creation) -> Made:
    value = secrets.token_bytes(creation.inputs["byteLength"])
    prefix = creation.inputs.get("prefix", "")
    url_safe = base64.urlsafe_b64encode(value).decode().rstrip("=")
    outputs = {
        "b64Url": f"{prefix}{url_safe}",
        "b64Std": f"{prefix}{base64.b64encode(value).decode()}",
        "hex": f"{prefix}{value.hex()}",
        "dec": f"{prefix}{int.from_bytes(value)}",
    }
    return Made(url_safe, outputs)


def _create_string(creation: Creation) -> Made:
    result = _draw(creation.inputs)
    return Made(result, {"result": result})


def _create_password(creation: Creation) -> Made:
    # No `bcryptHash`: a program that uses it is told so.
    return Made("none", {"result": _draw(creation.inputs)})


def _draw(inputs: Mapping[str, Any]) -> str:
    """Draw the least of each class that is asked for, fill up from all of them, and shuffle."""
    classes = {
        "Upper": string.ascii_uppercase,
        "Lower": string.ascii_lowercase,
        "Numeric": string.digits,
        "Special": inputs.get("overrideSpecial", SPECIAL_CHARS),
    }
    chosen = {name: chars for name, chars in classes.items() if inputs.get(name.lower(), True)}
    drawn = [secrets.choice(chars) for name, chars in chosen.items() for _ in range(inputs.get(f"min{name}", 0))]
    alphabet = "".join(chosen.values())
    drawn += [secrets.choice(alphabet) for _ in range(inputs["length"] - len(drawn))]
    secrets.SystemRandom().shuffle(drawn)
    return "".join(drawn)


def _forget(_deletion: Deletion) -> None:
    """Do nothing: the value lives in the deployment alone."""


_STRING_INPUTS: Final = names("keepers length lower minLower minNumeric minSpecial minUpper numeric overrideSpecial special upper")

KINDS: Final = (
    Kind(
        resource=random_provider.RandomBytes,
        args=random_provider.RandomBytesArgs,
        honoured=names("keepers length"),
        create=_create_bytes,
        delete=_forget,
    ),
    Kind(
        resource=random_provider.RandomId,
        args=random_provider.RandomIdArgs,
        honoured=names("byteLength keepers prefix"),
        create=_create_id,
        delete=_forget,
    ),
    Kind(
        resource=random_provider.RandomPassword,
        args=random_provider.RandomPasswordArgs,
        honoured=_STRING_INPUTS,
        create=_create_password,
        delete=_forget,
    ),
    Kind(
        resource=random_provider.RandomString,
        args=random_provider.RandomStringArgs,
        honoured=_STRING_INPUTS,
        create=_create_string,
        delete=_forget,
    ),
)
