"""What the run must be able to show at its end, and what it costs to say that it was not so.

A step that did not see what it promises raises `StepFailed`; the exit status of the demo is 0 only if none did. The same facts
go to the terminal and to `--json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class StepFailed(Exception):
    """The story did not happen as it should have; the message says what was expected and what was seen."""


def require(condition: object, message: str) -> None:
    """Raise StepFailed with `message` unless `condition` holds."""
    if not condition:
        raise StepFailed(message)


@dataclass(slots=True, kw_only=True)
class Facts:
    """Everything the summary says. Filled in step by step; what is None has not been reached."""

    passed: bool = False
    failure: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    def record(self, **values: Any) -> None:
        """Add measured values."""
        self.measured.update(values)

    def write(self, path: Path) -> None:
        """Write the facts as JSON, atomically, so that a reader never finds half a file."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        partial.replace(path)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile (share 0..1), 0 for no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
