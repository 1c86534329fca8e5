"""What was found, for a reader."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Final

LOAD: Final = 0.5  # of what the slower worker does when saturated
STREAMS: Final = 500

Found = dict[str, dict[str, float]]


@dataclass(slots=True, kw_only=True)
class Figures:
    """What was found of one subject: a value a round."""

    requests_per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    first_byte_ms: list[float] = field(default_factory=list)
    idle_mb: list[float] = field(default_factory=list)
    streams: list[float] = field(default_factory=list)
    streams_mb: list[float] = field(default_factory=list)

    def medians(self) -> dict[str, float]:
        """Return the median of each figure."""
        return {name: statistics.median(values) for name, values in asdict(self).items() if values}


ROWS: Final = (
    ("requests_per_s", "requests/s, saturated"),
    ("cpu_us", "CPU a request, us"),
    ("p50_ms", f"latency p50 at {LOAD:.0%} load, ms"),
    ("p99_ms", f"latency p99 at {LOAD:.0%} load, ms"),
    ("first_byte_ms", "first streamed byte, ms"),
    ("idle_mb", "memory idle, MB"),
    ("streams", f"streams open at a time, of {STREAMS}"),
    ("streams_mb", "memory then, MB"),
)
_ADDED: Final = frozenset({"p50_ms", "p99_ms", "first_byte_ms"})
_MORE_IS_BETTER: Final = frozenset({"requests_per_s", "streams"})


def table(found: Found) -> str:
    """Return the figures for a reader; for latencies, what a worker adds to going direct stands in brackets."""
    names = list(found)
    lines = ["| | " + " | ".join(names) + " | better by |", "|---|" + "---:|" * (len(names) + 1)]
    for key, title in ROWS:
        cells = [_cell(found, name, key) for name in names]
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {factor(found, key):.1f} |")
    return "\n".join(lines)


def _cell(found: Found, name: str, key: str) -> str:
    value = found[name][key]
    added = f" (+{value - found['direct'][key]:.2f})" if key in _ADDED and name != "direct" else ""
    return f"{value:.4g}{added}"


def factor(found: Found, key: str) -> float:
    """Return how many times better our worker is than its peer; for latencies, in what is added to going direct."""
    ours, peer, base = found["headgate"][key], found["vastai"][key], found["direct"][key] if key in _ADDED else 0.0
    return ours / peer if key in _MORE_IS_BETTER else (peer - base) / max(ours - base, 1e-6)
