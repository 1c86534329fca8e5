"""A decision made again from its record: the same snapshot at the same time gives the same plan.

Records of an older version replay too, as far as they can be read: fields added since take their defaults, and what the present
code would decide differently is the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.core.jsonable import decode
from functions.core.plan import Plan, action_json
from functions.core.record import DecisionRecord
from functions.core.scaling import decide
from functions.core.snapshot import from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the record says, what is decided now, and where they differ: one line each, `-` recorded, `+` decided now."""

    record: DecisionRecord
    plan: Plan
    difference: tuple[str, ...]


def replayed(record: Mapping[str, Any]) -> Replay:
    """Decide again by the JSON object of a decision record. Raises jsonable.Undecodable, also where no snapshot was kept."""
    read = decode(DecisionRecord, record)
    plan = decide(from_json(read.snapshot), now_s=read.decided_at_s)
    difference = (
        *_differ(read.actions, [action_json(action) for action in plan.actions]),
        *_differ(read.sentences, plan.sentences),
        *_differ(_figures(read.facts), _figures(plan.facts)),
    )
    return Replay(record=read, plan=plan, difference=difference)


def _figures(facts: Mapping[str, float]) -> Sequence[tuple[str, float]]:
    return [(name, float(value)) for name, value in sorted(facts.items())]


def _differ(recorded: Sequence[Any], decided: Sequence[Any]) -> Iterable[str]:
    if list(recorded) == list(decided):
        return ()
    lost = (f"- {each}" for each in recorded if each not in decided)
    new = (f"+ {each}" for each in decided if each not in recorded)
    return (*lost, *new) or ("~ the same, in another order",)
