"""The decision record: what was seen, what was decided and why, kept for people to read and for the decision to be replayed.

The record holds the whole input of `decide` as JSON, so that feeding it back gives the same plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision. `sentences` is for people, `facts` are its figures, `snapshot` replays it."""

    endpoint: str
    decided_at_s: float
    epoch: int
    sentences: tuple[str, ...]
    actions: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, float]
    snapshot: Mapping[str, Any]
