"""What the scale function is asked: by the schedule, by a router, or by `pulumi up` and `pulumi destroy`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SCHEDULE: Final = "schedule"


class Asked(enum.StrEnum):
    """What to do."""

    SCALE = "scale"
    RELEASE = "release"
    NOTHING = "nothing"


class MalformedEvent(ValueError):
    """The event names no endpoint or an unknown action: the caller has a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleEvent:
    """One call. `reason` says who asks, for the log."""

    endpoint: str
    asked: Asked
    reason: str


def parse_event(event: Mapping[str, Any]) -> ScaleEvent:
    """Read `{"endpoint", "reason"?, "tf"?: {"action"}}`. Raises MalformedEvent.

    `tf` is what `aws.lambda_.Invocation` adds with `lifecycle_scope="CRUD"`; only its `delete` asks for something.
    """
    endpoint = event.get("endpoint")
    if not isinstance(endpoint, str) or not endpoint:
        raise MalformedEvent("`endpoint` must name an endpoint group")
    lifecycle = event.get("tf")
    if lifecycle is None:
        return ScaleEvent(endpoint=endpoint, asked=Asked.SCALE, reason=str(event.get("reason", SCHEDULE)))
    action = lifecycle.get("action") if isinstance(lifecycle, dict) else None
    if action not in {"create", "update", "delete"}:
        raise MalformedEvent("`tf.action` must be create, update or delete")
    asked = Asked.RELEASE if action == "delete" else Asked.NOTHING
    return ScaleEvent(endpoint=endpoint, asked=asked, reason=f"lifecycle {action}")
