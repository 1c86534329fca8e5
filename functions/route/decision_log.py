"""Decision records as the lines of a log, in Vast's four levels.

* `info0`: what was done
* `info1`: everything that was said: what was done, and why nothing more
* `trace`: the figures of each decision
* `debug`: every action, as it stands in the record

Oldest first, each line under the time of its decision. Of one autogroup, a log holds the lines about its workers and those that
name it; figures are the whole group's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from functions.core.record import DecisionRecord

TAIL_DEFAULT: Final = 50
TAIL_MAX: Final = 500
# A record may have a hundred kilobytes, and a query ends at a megabyte.
RECORDS_READ_MAX: Final = 50


def log_of(records: Sequence[DecisionRecord], *, tail: int, autogroup: str | None = None) -> dict[str, str]:
    """Return the last `tail` lines of each level. `records` are in order of time."""
    lines: dict[str, list[str]] = {"info0": [], "info1": [], "trace": [], "debug": []}
    for record in records:
        at = datetime.fromtimestamp(record.decided_at_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for level, text in _told(record, autogroup):
            lines[level].append(f"{at} {text}")
    return {level: "\n".join(told[-tail:]) for level, told in lines.items()}


def _told(record: DecisionRecord, autogroup: str | None) -> Iterator[tuple[str, str]]:
    # The sentences begin with one for each action, in the same order.
    for index, sentence in enumerate(record.sentences):
        action = record.actions[index] if index < len(record.actions) else None
        if autogroup is not None and not _concerns(autogroup, sentence, action, record.snapshot):
            continue
        if action is not None:
            yield "info0", sentence
            yield "debug", json.dumps(action, sort_keys=True)
        yield "info1", sentence
    if record.facts:
        yield "trace", " ".join(f"{name}={value:g}" for name, value in record.facts.items())


def _concerns(autogroup: str, sentence: str, action: Mapping[str, Any] | None, snapshot: Mapping[str, Any]) -> bool:
    if re.search(rf"(?<![\w-]){re.escape(autogroup)}(?![\w-])", sentence):
        return True
    if action is None:
        return False
    workers = {each["worker_id"]: each["rental"]["autogroup"] for each in snapshot.get("workers", ())}
    return autogroup in {action.get("autogroup"), workers.get(action.get("worker_id"))}
