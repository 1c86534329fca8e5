"""The page that lists the CLI's commands lists exactly what these tests drive, and every other command that the CLI has."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.contract.vast_cli.official import Official

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs" / "marketplace.md").read_text().split("## With the vastai CLI")[1].split("\n## ")[0]
TABLE, REST = PAGE.split("\nNot there")
DRIVES = frozenset({"said", "raw", "refused", "run"})


def _driven() -> dict[str, set[str]]:
    """Return every command that a test gives to the CLI by `shop.said(...)` and its like, with the files it stands in."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(HERE.glob("test_*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Name(), attr=attr), args=[ast.Constant(value=str(command)), *_]):
                    if attr in DRIVES:
                        found[command].add(path.stem.removeprefix("test_"))
                case _:
                    continue
    return found


def _listed() -> dict[str, set[str]]:
    """Return the table's commands, each with the tests that it names."""
    rows = re.findall(r"^\| `([^`]+)` \| ([\w, ]+) \|", TABLE, re.MULTILINE)
    return {command: set(files.split(", ")) for command, files in rows}


def test_the_table_lists_exactly_the_commands_that_are_driven() -> None:
    assert _listed() == _driven()


def test_every_command_of_the_cli_is_driven_or_said_to_be_missing(cli: Official) -> None:
    missing = {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", REST)}

    assert missing.isdisjoint(_listed())
    assert cli.commands() == missing | set(_listed())
