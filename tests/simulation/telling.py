"""How a story looks in a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.simulation.episode import Episode
from tests.simulation.story import Kind, Line

_STYLE: Final[Mapping[Kind, str]] = {
    Kind.FAULT: "red",
    Kind.CALL: "dim",
    Kind.DECISION: "bold",
    Kind.WORKER: "cyan",
    Kind.REQUEST: "blue",
    Kind.PHASE: "bold green",
}


def printer(console: Console) -> Callable[[Line], None]:
    """Return who prints each line: when, who, what."""

    def tell(line: Line) -> None:
        when = f"{line.at_s // 60:3.0f}:{line.at_s % 60:06.3f}"
        console.print(Text.assemble((when, "dim"), "  ", (f"{line.who:34.34}", "dim"), "  ", (line.text, _STYLE[line.kind])))

    return tell


def dumper(write: Callable[[str], object]) -> Callable[[Line], None]:
    """Return who writes each line as a JSON object on a line of its own."""

    def dump(line: Line) -> None:
        write(json.dumps(asdict(line)) + "\n")

    return dump


def summary(episode: Episode) -> Table:
    """Return what one seed came to."""
    table = Table("what", "how often", title=f"seed {episode.seed}")
    table.add_row("simulated minutes", f"{episode.simulated_s / 60:.0f}")
    table.add_row("ticks, decisions on record and replayed", f"{episode.ticks}, {episode.decisions}")
    table.add_row("steps after which the invariants were checked", f"{episode.steps}")
    table.add_row("machines rented, requests served", f"{episode.contracts}, {episode.served}")
    for fault, count in sorted(episode.faults.items(), key=lambda item: -item[1]):
        table.add_row(Text(fault.value, style="red"), str(count))
    return table
