"""The fields of endpoints and workergroups, as one table each: kind, bounds and default.

Defaults are those of the official client (an older client's for the fields that only it sends). Numbers may come as integers or
floats; a bool is no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sandbox.marketplace.errors import bad_request

NAME_CHARS_MAX: Final = 256
TEXT_CHARS_MAX: Final = 16_384
WORKERS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number with bounds, both included; `above` excludes the lower one. `whole` numbers stay integers."""

    default: float | None
    least: float | None = 0.0
    most: float | None = None
    above: float | None = None
    whole: bool = False

    def read(self, name: str, value: object) -> object:
        """Return the value. Raises Refused (400)."""
        kind = int if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind):
            raise bad_request(f"{name} must be a {'whole ' if self.whole else ''}number")
        if (self.least is not None and value < self.least) or (self.above is not None and value <= self.above):
            raise bad_request(f"{name} must be {'at least' if self.above is None else 'above'} {self.least or self.above or 0:g}")
        if self.most is not None and value > self.most:
            raise bad_request(f"{name} must be at most {self.most:g}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text of at most `chars_max` characters, or one of `words`; `structured` lets an object in as well."""

    default: str | None = None
    chars_max: int = TEXT_CHARS_MAX
    words: tuple[str, ...] = ()
    structured: bool = False

    def read(self, name: str, value: object) -> object:
        """Return the value. Raises Refused (400)."""
        if self.structured and isinstance(value, dict):
            return value
        if not isinstance(value, str) or len(value) > self.chars_max:
            raise bad_request(f"{name} must be a text of at most {self.chars_max} characters")
        if self.words and value not in self.words:
            raise bad_request(f"{name} must be one of {', '.join(self.words)}")
        return value


Fields = Mapping[str, Number | Text]

ENDPOINT_FIELDS: Final[Fields] = MappingProxyType(
    {
        "endpoint_name": Text(chars_max=NAME_CHARS_MAX),
        "min_load": Number(default=0.0),
        "min_cold_load": Number(default=0.0),
        "target_util": Number(default=0.9, least=None, above=0.0, most=1.0),
        "cold_mult": Number(default=2.5),
        "cold_workers": Number(default=5, most=WORKERS_MAX, whole=True),
        "max_workers": Number(default=20, most=WORKERS_MAX, whole=True),
        "max_queue_time": Number(default=None),
        "target_queue_time": Number(default=None),
        # Negative means: never to zero.
        "inactivity_timeout": Number(default=None, least=None),
        "endpoint_state": Text(default="active", words=("active", "suspended", "stopped")),
        "autoscaler_instance": Text(default="prod", chars_max=NAME_CHARS_MAX),
    },
)
WORKERGROUP_FIELDS: Final[Fields] = MappingProxyType(
    {
        "template_hash": Text(chars_max=NAME_CHARS_MAX),
        "template_id": Number(default=None, whole=True),
        "search_params": Text(default="", structured=True),
        "launch_args": Text(),
        "gpu_ram": Number(default=24.0),
        "min_load": Number(default=1.0),
        "min_cold_load": Number(default=0.0),
        "target_util": Number(default=0.9, least=None, above=0.0, most=1.0),
        "cold_mult": Number(default=3.0),
        "cold_workers": Number(default=3, most=WORKERS_MAX, whole=True),
        "max_workers": Number(default=20, most=WORKERS_MAX, whole=True),
        "test_workers": Number(default=3, most=WORKERS_MAX, whole=True),
        "autoscaler_instance": Text(default="prod", chars_max=NAME_CHARS_MAX),
    },
)


def read_fields(body: Mapping[str, object], fields: Fields, old: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return a value for every field: the body's, else the old, else the default. Other keys are ignored. Raises Refused (400)."""
    kept = {name: kind.default for name, kind in fields.items()} if old is None else dict(old)
    given = {name: kind.read(name, body[name]) for name, kind in fields.items() if body.get(name) is not None}
    return MappingProxyType({**kept, **given})
