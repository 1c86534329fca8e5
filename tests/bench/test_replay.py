"""`python -m bench.replay`: what a person does with a decision record."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bench.replay import main
from functions.core.jsonable import encode
from functions.core.plan import action_json
from functions.core.record import DecisionRecord
from functions.core.scaling import decide
from functions.core.snapshot import to_json
from tests.core.builders import NOW_S, a_request, a_snapshot, an_offer


@pytest.fixture
def record() -> dict[str, Any]:
    """Return a record of a decision that rents, as the table keeps it."""
    snapshot = a_snapshot(waiting=(a_request(),), offers={"a": (an_offer(100),)})
    plan = decide(snapshot, now_s=NOW_S)
    kept = DecisionRecord(
        endpoint="chat",
        decided_at_s=NOW_S,
        epoch=3,
        sentences=plan.sentences,
        actions=tuple(action_json(action) for action in plan.actions),
        facts=plan.facts,
        snapshot=to_json(snapshot),
    )
    read: dict[str, Any] = json.loads(json.dumps(encode(kept)))
    return read


def a_file(folder: Path, content: Any) -> str:
    path = folder / "record.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_a_record_replays_to_the_same_plan(tmp_path: Path, record: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([a_file(tmp_path, record)]) == 0
    assert "it is the same plan" in capsys.readouterr().out


def test_what_is_decided_differently_is_shown(tmp_path: Path, record: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    record["sentences"] = ["Rent two."]

    assert main([a_file(tmp_path, record)]) == 1
    assert "- Rent two." in capsys.readouterr().out


@pytest.mark.parametrize("packed", [False, True])
def test_the_answer_of_a_query_is_read_as_it_is_printed(
    tmp_path: Path,
    record: dict[str, Any],
    packed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    text = json.dumps(record)
    binary = base64.b64encode(gzip.compress(text.encode())).decode()
    item = {"record_gz": {"B": binary}} if packed else {"record": {"S": text}}

    assert main([a_file(tmp_path, {"Items": [item, item], "Count": 2}), "--json"]) == 0


def test_a_record_whose_snapshot_was_too_large_is_told_apart(
    tmp_path: Path, record: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([a_file(tmp_path, {**record, "snapshot": {}})]) == 2
    assert "its snapshot was not kept" in capsys.readouterr().err
