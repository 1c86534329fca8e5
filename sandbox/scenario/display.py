"""How the story is told: a live picture in a terminal, plain lines anywhere else. Both say the same.

A display never decides anything and never fails the run; it is given values and draws them.
"""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sandbox.scenario.load import LoadFigures
from sandbox.scenario.view import GroupView, WorkerRow

DECISIONS_SHOWN = 6
REFRESH_PER_S = 4


class Outcome(enum.StrEnum):
    """Where a step of the story stands."""

    RUNNING = "…"
    DONE = "✓"
    FAILED = "✗"


@dataclass(slots=True, kw_only=True)
class Step:
    """One step as it is drawn."""

    title: str
    started_s: float
    outcome: Outcome = Outcome.RUNNING
    detail: str = ""


class Display(Protocol):
    """What the scenario tells as it goes."""

    def begin(self, title: str) -> None:
        """A step starts."""

    def progress(self, detail: str) -> None:
        """The running step has got somewhere."""

    def end(self, outcome: Outcome, detail: str) -> None:
        """The running step is over."""

    def decision(self, at_s: float, sentence: str) -> None:
        """The scaler decided something, in words."""

    def fleet(self, groups: Sequence[GroupView], load: LoadFigures) -> None:
        """The system as it is now."""

    def __enter__(self) -> Self:
        """Start drawing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop drawing, leaving the last picture."""


def display_for(console: Console) -> Display:
    """Return the live picture for a terminal, plain lines for a pipe, a file or a CI log."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


@dataclass(slots=True)
class PlainDisplay:
    """One line an event; the fleet only when its shape changes."""

    console: Console
    started_s: float = field(default_factory=time.monotonic)
    shape: str = ""

    def begin(self, title: str) -> None:
        """Announce the step."""
        self._line(f"… {title}")

    def progress(self, _detail: str) -> None:
        """Say nothing: a log needs results, not motion."""

    def end(self, outcome: Outcome, detail: str) -> None:
        """Say how the step ended."""
        self._line(f"{outcome} {detail}")

    def decision(self, _at_s: float, sentence: str) -> None:
        """Say what the scaler decided."""
        self._line(f"    decided: {sentence}")

    def fleet(self, groups: Sequence[GroupView], load: LoadFigures) -> None:
        """Say how many workers stand where, when that has changed."""
        shape = "; ".join(f"{group.endpoint}: {_states(group)}" for group in groups)
        if shape != self.shape:
            self.shape = shape
            dollars = sum(group.usd_per_hour for group in groups)
            asked, waits = sum(group.load_per_s for group in groups), max((group.queue_s for group in groups), default=0.0)
            flow = f"{asked:.0f} load/s, longest wait {waits:.0f} s, {load.in_flight} in flight, {load.succeeded} served"
            self._line(f"    fleet: {shape}; ${dollars:.2f}/h; {flow}")

    def _line(self, text: str) -> None:
        self.console.print(f"[{time.monotonic() - self.started_s:6.1f} s] {text}", markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to stop."""


@dataclass(slots=True)
class LiveDisplay:
    """The whole picture, redrawn a few times a second."""

    console: Console
    steps: list[Step] = field(default_factory=list)
    decisions: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=DECISIONS_SHOWN))
    groups: Sequence[GroupView] = ()
    load: LoadFigures = field(default_factory=LoadFigures)
    started_s: float = field(default_factory=time.monotonic)
    live: Live | None = None

    def begin(self, title: str) -> None:
        """Add a step to the list."""
        self.steps.append(Step(title=title, started_s=time.monotonic()))

    def progress(self, detail: str) -> None:
        """Show how far the running step is."""
        self.steps[-1].detail = detail

    def end(self, outcome: Outcome, detail: str) -> None:
        """Tick the running step off."""
        self.steps[-1].outcome, self.steps[-1].detail = outcome, detail

    def decision(self, at_s: float, sentence: str) -> None:
        """Add a decision to the newest."""
        self.decisions.append((at_s, sentence))

    def fleet(self, groups: Sequence[GroupView], load: LoadFigures) -> None:
        """Take over the newest state."""
        self.groups, self.load = groups, load

    def __enter__(self) -> Self:
        """Start redrawing."""
        self.live = Live(get_renderable=self._draw, console=self.console, refresh_per_second=REFRESH_PER_S)
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop redrawing; the last picture stays."""
        if self.live:
            self.live.stop()

    def _draw(self) -> RenderableType:
        elapsed_s = time.monotonic() - self.started_s
        story = Panel(Group(*map(_step_line, self.steps)), title=f"Headgate  {elapsed_s:.0f} s", title_align="left")
        parts: list[RenderableType] = [story]
        if self.groups:
            parts += [_numbers(self.groups, self.load), _fleet_table(self.groups)]
        if self.decisions:
            parts.append(Panel(Group(*(Text(sentence) for _, sentence in self.decisions)), title="Decisions", title_align="left"))
        return Group(*parts)


def _step_line(step: Step) -> Text:
    colour = {Outcome.RUNNING: "yellow", Outcome.DONE: "green", Outcome.FAILED: "bold red"}[step.outcome]
    text = step.detail if step.outcome is not Outcome.RUNNING else f"{step.title}  {step.detail}"
    return Text.assemble((f"{step.outcome} ", colour), text)


def _numbers(groups: Sequence[GroupView], load: LoadFigures) -> RenderableType:
    table = Table(expand=True, show_edge=False)
    for heading in ("endpoint group", "workers", "load/s of capacity", "waiting", "longest wait", "$/hour (cap)"):
        table.add_column(heading)
    for group in groups:
        money = f"{group.usd_per_hour:.2f} ({group.budget_usd_per_hour:.2f})"
        load_per_s = f"{group.load_per_s:.0f} of {group.capacity_load_per_s:.0f}"
        table.add_row(group.endpoint, _states(group), load_per_s, str(group.waiting), f"{group.queue_s:.1f} s", money)
    table.caption = f"requests: {load.in_flight} in flight, {load.succeeded} served, {load.failed} failed, {load.moved} moved"
    return table


def _fleet_table(groups: Sequence[GroupView]) -> RenderableType:
    table = Table(expand=True, show_edge=False)
    for heading in ("worker", "autogroup", "GPU", "state", "says", "load/s", "backlog", "$/hour"):
        table.add_column(heading)
    for group in groups:
        for row in group.rows:
            table.add_row(*_cells(row))
    return table


def _cells(row: WorkerRow) -> tuple[str, ...]:
    perf = f"{row.perf:.0f}" if row.perf else "–"
    cost, name = f"{row.usd_per_hour:.3f}", row.worker_id[:9]
    return (name, row.autogroup, row.gpu, row.state.value, row.phase, perf, f"{row.backlog_s:.1f} s", cost)


def _states(group: GroupView) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(group.states.items())) or "none"
