"""6. Every decision can be replayed from its record, and says why in a sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from functions.core.record import DecisionRecord
from functions.core.replay import replayed
from tests.simulation.invariants import Violated


@dataclass(slots=True)
class Replays:
    """Looks at every record that is stored, as it is stored: as text; one in `every` is replayed, which takes long."""

    count: int = 0
    every: int = 1

    def check(self, record: DecisionRecord) -> None:
        """Check that the record alone leads to the same plan."""
        self.count += 1
        if not record.sentences or not all(sentence.strip().endswith(".") for sentence in record.sentences):
            raise Violated(f"a decision does not say why: {record.sentences}")
        if self.count % self.every:
            return
        # A record has no cycles, and to look for them takes a fifth of the time.
        stored = json.dumps({field.name: getattr(record, field.name) for field in fields(record)}, check_circular=False)
        difference = replayed(json.loads(stored)).difference
        if difference:
            raise Violated(f"a record replays to another plan: {difference}")
