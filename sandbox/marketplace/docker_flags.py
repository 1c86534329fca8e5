"""Read the environment of a create: variables, and docker flags that hide among their keys.

The API's `env` is an object of strings in which `"-p 8000:8000": "1"` publishes a port, `"-h": "name"` names the host, and anything
else that begins with a dash is a flag of docker's. A template's `env` is the same as a flag string (`-e A=b -p 8000:8000`).

A published port gets a free host port of the marketplace's choice; the requested host port only counts for container ports above
65535, by which the API asks for a port that is the same inside and outside.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.marketplace.errors import bad_request

KEY_CHARS_MAX: Final = 256
VALUE_CHARS_MAX: Final = 256
ENV_CHARS_MAX: Final = 32_768
PORTS_MAX: Final = 64
_IDENTITY_PORT_MAX: Final = 99_999
_PORT_FLAG: Final = re.compile(r"-p\s+(?:\d{1,3}(?:\.\d{1,3}){3}:)?(?:\d{1,5}:)?(\d{1,5})(?:/(tcp|udp))?")
_WITH_VALUE: Final = frozenset({"-e", "--env", "-p", "--publish", "-h", "--hostname", "-v", "--volume", "--network"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One published container port."""

    number: int
    protocol: str

    @property
    def key(self) -> str:
        """As the `ports` object of an instance row spells it."""
        return f"{self.number}/{self.protocol}"

    @property
    def variable(self) -> str:
        """The name of the environment variable that tells the container its host port."""
        return f"VAST_{self.protocol.upper()}_PORT_{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """An `env`, read. `given` is what the instance row repeats as `extra_env`."""

    variables: Mapping[str, str]
    ports: tuple[Port, ...]
    hostname: str | None
    given: tuple[tuple[str, str], ...]


def read_flags(env: object) -> Flags:
    """Split an `env` object into variables and flags. Raises Refused (400). A string is not applied, as documented."""
    if env is None or isinstance(env, str):
        env = {}
    if not isinstance(env, dict):
        raise bad_request("env must be an object of strings")
    given = tuple((str(key), _text(value)) for key, value in env.items())
    _check_sizes(given)
    return Flags(
        variables={key: value for key, value in given if not key.startswith("-")},
        ports=_ports(given),
        hostname=next((value for key, value in given if key in {"-h", "--hostname"}), None),
        given=given,
    )


def parse_flag_string(text: str) -> dict[str, str]:
    """Turn a template's flag string into the `env` object that a create would carry. Raises Refused (400)."""
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise bad_request("env is not a valid string of docker flags") from exc
    env: dict[str, str] = {}
    pending = iter(words)
    for word in pending:
        value = next(pending, "") if word in _WITH_VALUE else ""
        if word in {"-e", "--env"}:
            name, _, content = value.partition("=")
            env[name] = content
        elif word in {"-p", "--publish"}:
            env[f"-p {value}"] = "1"
        elif word.startswith("-"):
            env[word] = value or "1"
    return env


def _text(value: object) -> str:
    if isinstance(value, (dict, list)):
        raise bad_request("env values must be strings")
    return "" if value is None else str(value)


def _check_sizes(given: tuple[tuple[str, str], ...]) -> None:
    for key, value in given:
        if not key or len(key) > KEY_CHARS_MAX or len(value) > VALUE_CHARS_MAX or "\0" in key + value:
            raise bad_request(f"env keys and values must have at most {KEY_CHARS_MAX} characters")
    if sum(len(key) + len(value) for key, value in given) > ENV_CHARS_MAX:
        raise bad_request(f"env must have at most {ENV_CHARS_MAX} characters")


def _ports(given: tuple[tuple[str, str], ...]) -> tuple[Port, ...]:
    found: dict[Port, None] = {}
    for key, _ in given:
        if not key.startswith(("-p ", "-p\t")):
            continue
        match = _PORT_FLAG.fullmatch(key)
        if match is None or not 0 < int(match[1]) <= _IDENTITY_PORT_MAX:
            raise bad_request(f"error in docker options: {key[:64]!r}")
        found[Port(number=int(match[1]), protocol=match[2] or "tcp")] = None
    if len(found) > PORTS_MAX:
        raise bad_request(f"at most {PORTS_MAX} ports can be published")
    return tuple(found)
