"""`python -m bench.replay FILE`: decide again by a decision record, and say where the present code would decide otherwise.

FILE is the JSON of a record: the object itself, an item of the table as `aws dynamodb query` prints it (packed or plain), or that
query's whole answer, whose records are replayed one after another. A record in parts needs these among the items: their partition
key is that of the record, `#`, and its sort key. Exit status 1 if any differs, 2 if one cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from functions.adapters.dynamodb_items import parts_pk
from functions.adapters.dynamodb_scale import read_record
from functions.core.jsonable import Undecodable
from functions.core.replay import Replay, replayed
from functions.ports import UnreadableItem


def main(words: list[str]) -> int:
    """Replay what a file holds; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object a record")
    asked = parser.parse_args(words)
    try:
        replays = [replayed(record) for record in records(json.loads(asked.file.read_text()))]
    except (OSError, ValueError, KeyError, UnreadableItem) as exc:
        cause = "its snapshot was not kept" if isinstance(exc, Undecodable) and "Snapshot" in str(exc) else str(exc)
        print(f"{asked.file}: no decision record can be read: {cause}", file=sys.stderr)
        return 2
    for replay in replays:
        print(json.dumps(figures(replay)) if asked.json else told(replay))
    return 1 if any(replay.difference for replay in replays) else 0


def records(read: Any) -> list[Mapping[str, Any]]:
    """Return the records in what a file holds."""
    items = read["Items"] if isinstance(read, dict) and "Items" in read else [read]
    parts = sorted((item for item in items if "part_gz" in item), key=lambda item: str(item["sk"]["S"]))
    heads = [item for item in items if "part_gz" not in item]
    return [_record(head, parts) for head in heads]


def _record(item: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if not _is_item(item):
        return item
    return read_record(item, [part for part in parts if part["pk"]["S"] == parts_pk(item)] if "parts" in item else ())


def _is_item(read: Mapping[str, Any]) -> bool:
    return any(name in read for name in ("record", "record_gz", "parts"))


def figures(replay: Replay) -> Mapping[str, Any]:
    """Return what a program reads of a replay."""
    return {
        "endpoint": replay.record.endpoint,
        "decided_at_s": replay.record.decided_at_s,
        "same": not replay.difference,
        "sentences": list(replay.plan.sentences),
        "difference": list(replay.difference),
    }


def told(replay: Replay) -> str:
    """Return what a person reads of a replay."""
    record = replay.record
    lines = [f"{record.endpoint}, decided at {record.decided_at_s:.3f} (epoch {record.epoch}):"]
    lines += [f"  {sentence}" for sentence in replay.plan.sentences]
    lines += [f"  {line}" for line in replay.difference] or ["  Decided again, it is the same plan."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
