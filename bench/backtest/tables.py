"""The table, for a terminal and for a document: one row a trace and policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from bench.backtest.figures import Figures
from bench.backtest.kinds import Profile

COLUMNS: Final = ("trace", "policy", "$", "x bound", "in 10 s", "dropped", "p50 s", "p95 s", "p99 s", "peak", "computed s")
_LEFT: Final = 2
BEGIN: Final = "<!-- the table: made by --document, not by hand -->"
END: Final = "<!-- the end of the table -->"


def terminal(title: str, rows: Sequence[Figures]) -> Table:
    """Return the table for a terminal."""
    table = Table(title=title)
    for index, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if index < _LEFT else "right")
    for row in rows:
        table.add_row(*cells(row))
    return table


def markdown(rows: Sequence[Figures]) -> str:
    """Return the table for a document."""
    lines = [" | ".join(COLUMNS), " | ".join("---" if index < _LEFT else "--:" for index in range(len(COLUMNS)))]
    lines += (" | ".join(cells(row)) for row in rows)
    return "\n".join(f"| {line} |" for line in lines)


def written(document: str, block: str) -> str:
    """Return the document with this block between its markers. Raises ValueError if it has none."""
    begin, end = document.find(BEGIN), document.find(END)
    if not 0 <= begin < end:
        raise ValueError(f"the document has no {BEGIN} and {END} to write the table between")
    return f"{document[: begin + len(BEGIN)]}\n{block}\n{document[end:]}"


def described(name: str, figures: Profile) -> str:
    """Say what kind of trace this is, and why."""
    return f"{name}: {figures.kind} ({figures.empty_share:.0%} of the windows empty, peak {figures.peak_to_mean:.1f} x mean)"


def verdicts(rows: Sequence[Figures]) -> list[str]:
    """Say what each policy costs beside the first, where all are of one trace."""
    if len({row.trace for row in rows}) != 1:
        return []
    first, *others = rows
    told = [f"{first.policy} costs ${first.usd:,.2f} and begins {first.within_target:.2%} of the requests within 10 s."]
    told += (
        f"{row.policy} costs ${row.usd:,.2f}, {row.usd / first.usd - 1:+.0%}, and begins {row.within_target:.2%}." for row in others
    )
    return told


def cells(row: Figures) -> tuple[str, ...]:
    """Return a row's cells."""
    waits = (f"{wait_s:.1f}" for wait_s in (row.wait_p50_s, row.wait_p95_s, row.wait_p99_s))
    return (
        row.trace,
        row.policy,
        f"{row.usd:,.2f}",
        _known(row.ratio, ".2f"),
        f"{row.within_target:.2%}",
        f"{row.dropped:.2%}",
        *waits,
        str(row.running_max),
        _known(row.seconds, ".0f"),
    )


def _known(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
