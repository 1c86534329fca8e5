"""Machines over time as a picture: one panel a policy, all with the same axes.

In each panel the machines are stacked as they bill: ready, booting, leaving, and above them, pale, what is stopped. The line is how
many machines the arriving load would fill; the marks at the bottom say where somebody waited. A picture has COLUMNS points at most:
each is the mean of the looks in it, weighed by how long each lasted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.backtest.figures import Figures
from bench.backtest.world import World

SUFFIXES: Final = (".png", ".svg")
COLUMNS: Final = 700
WIDTH_IN: Final = 11.0
PANEL_IN: Final = 1.9
_BANDS: Final = (("ready", "#2f6f8f"), ("booting", "#e3a436"), ("leaving", "#a9b8c0"), ("stopped", "#e4e9ec"))
_NEEDED: Final = "#1c1c1c"
_WAITING: Final = "#c23b22"
Vector = NDArray[np.float64]


def draw(path: Path, runs: Mapping[str, tuple[Figures, World]]) -> None:
    """Write the picture, as PNG or SVG by the name of the file, which ends with one of SUFFIXES."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "backtest"}):
        figure = Figure(figsize=(WIDTH_IN, 0.9 + PANEL_IN * len(runs)), layout="constrained")
        panels = figure.subplots(len(runs), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for panel, (row, world) in zip(panels, runs.values(), strict=True):
            _panel(panel, row, world)
        panels[-1].set_xlabel("hours since the trace began")
        first, _ = next(iter(runs.values()))
        figure.suptitle(f"{first.trace}: machines over time", x=0.01, ha="left", fontsize=12, fontweight="bold")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(panel: Axes, row: Figures, world: World) -> None:
    trace = world.trace
    edges_s = np.linspace(trace.judged_from_s, trace.duration_s, COLUMNS + 1)
    hours = (edges_s[:-1] - trace.judged_from_s) / 3_600
    bands = [_mean(world, name, edges_s) for name, _ in _BANDS]
    panel.stackplot(
        hours, *bands, labels=[name for name, _ in _BANDS], colors=[colour for _, colour in _BANDS], step="post", linewidth=0
    )
    panel.step(hours, _needed(world, edges_s), where="post", color=_NEEDED, linewidth=0.8, label="needed by the load")
    waiting = _most_waiting(world, edges_s) > 0
    panel.plot(hours[waiting], np.zeros(waiting.sum()), "|", color=_WAITING, markersize=7, clip_on=False, label="someone waits")
    panel.set_xlim(0, hours[-1])
    panel.set_ylim(bottom=0)
    panel.set_ylabel("machines")
    bound = "" if np.isnan(row.ratio) else f" ({row.ratio:.2f} x bound)"
    said = f"{row.policy}: ${row.usd:,.2f}{bound}, {row.within_target:.2%} within 10 s, {row.dropped:.2%} dropped"
    panel.set_title(said, loc="left", fontsize=9, pad=3)


def _needed(world: World, edges_s: Vector) -> Vector:
    at_s = np.array([arrival.at_s for arrival in world.trace.arrivals])
    load = np.array([arrival.load for arrival in world.trace.arrivals])
    asked, _ = np.histogram(at_s, bins=edges_s, weights=load)
    needed: Vector = asked / np.diff(edges_s) / world.rules.machine.perf
    return needed


def _mean(world: World, name: str, edges_s: Vector) -> Vector:
    """Return the mean over each column of what was so many machines from one look to the next."""
    at_s = np.array([moment.at_s for moment in world.history])
    count = np.array([float(getattr(moment, name)) for moment in world.history])
    total = np.concatenate(([0.0], np.cumsum(np.diff(at_s) * count[:-1])))
    upto = np.interp(edges_s, at_s, total) + np.maximum(0, edges_s - at_s[-1]) * count[-1]
    mean: Vector = np.diff(upto) / np.diff(edges_s)
    return mean


def _most_waiting(world: World, edges_s: Vector) -> Vector:
    most = np.zeros(len(edges_s) - 1)
    for moment in world.history:
        column = min(len(most) - 1, int(np.searchsorted(edges_s, moment.at_s, side="right")) - 1)
        most[column] = max(most[column], moment.waiting)
    return most
