"""The simulator's page lists what the code has: every fault with tests that exist, every option, every control."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from sandbox.marketplace.__main__ import _parser
from sandbox.marketplace.faults import AnswerFault, Fate, FaultOptions, Operation
from sandbox.marketplace.gpus import MODELS
from sandbox.marketplace.routes import ROUTES

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs" / "marketplace.md").read_text()
FAULTS = PAGE.split("## Faults\n")[1].split("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in FAULTS.splitlines() if line.startswith("| ")][1:]
SCENARIOS = 20


def _quoted(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("fault", [*AnswerFault, *Fate])
def test_every_fault_is_in_the_table(fault: AnswerFault | Fate) -> None:
    assert any(fault.value in _quoted(named) for _, named, _ in ROWS)


def test_everything_in_the_table_is_a_fault_or_an_option() -> None:
    known = {*AnswerFault, *Fate, *(field.name for field in fields(FaultOptions))}
    named = {name for _, cell, _ in ROWS for name in _quoted(cell) if not name.startswith("--") and name != "end_date"}

    assert named <= known, named - known


def test_the_table_has_the_twenty_scenarios_in_order() -> None:
    numbers = [int(match[1]) for scenario, _, _ in ROWS if (match := re.match(r"(\d+)\. ", scenario))]

    assert numbers == list(range(1, SCENARIOS + 1))


def test_every_scenario_names_tests_that_exist() -> None:
    code = "\n".join(path.read_text() for path in HERE.glob("test_*.py"))
    written = set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))

    for scenario, _, cell in ROWS:
        assert _quoted(cell), scenario
        assert _quoted(cell) <= written, scenario


def test_every_operation_is_named() -> None:
    assert {operation.value for operation in Operation} <= _quoted(FAULTS)


def test_every_option_of_the_command_line_is_listed() -> None:
    table = PAGE.split("## Options\n")[1].split("\n## ")[0]
    listed = {match[1]: match[2] for match in re.finditer(r"^\| `(--[\w-]+)[^`]*` \|([^|]*)\|", table, re.MULTILINE)}
    options = {action.option_strings[-1]: action for action in _parser()._actions if action.dest != "help"}  # noqa: SLF001

    assert listed.keys() == options.keys()
    for name, told in listed.items():
        default = options[name].default
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            assert float(told) == default, name


def test_every_control_is_listed() -> None:
    table = PAGE.split("## Control API\n")[1].split("\n## ")[0]
    listed = {(method, path.replace("{id}", "#")) for method, path in re.findall(r"^\| `(\w+) /([^`]+)` \|", table, re.MULTILINE)}

    assert listed == {(method, path) for method, path in ROUTES if path.startswith("_sim/")}


def test_the_number_of_models_is_right() -> None:
    assert " of 2026: seven quantiles" in PAGE
    assert f"{len(MODELS[2024])} models of 2024, {len(MODELS[2026])} of 2026" in PAGE
