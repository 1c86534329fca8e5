"""How this worker stands: its phase, what it measured, and why it cannot serve, if it cannot.

    STARTING ──▶ LOADING ──▶ MEASURING ──▶ READY ◀──▶ DRAINING
        └───────────┴────────────┴───────────┴───────────┴──▶ ERROR

ERROR is final for the process: whoever restarts it knows what changed, we do not. DRAINING ends when the control plane takes the
drain back; a drain for shutdown (`closing`) is not taken back. A worker that the control plane no longer knows (`disowned`)
serves nobody, whatever its phase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from protocol.report import ERROR_LENGTH_MAX, Phase
from pyworker.metrics import PROMPT_WEIGHT, Gauges
from pyworker.perfcache import Kept

NEXT: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.STARTING: frozenset({Phase.LOADING, Phase.MEASURING, Phase.DRAINING, Phase.ERROR}),
    Phase.LOADING: frozenset({Phase.MEASURING, Phase.DRAINING, Phase.ERROR}),
    Phase.MEASURING: frozenset({Phase.READY, Phase.DRAINING, Phase.ERROR}),
    Phase.READY: frozenset({Phase.DRAINING, Phase.ERROR}),
    Phase.DRAINING: frozenset({Phase.READY, Phase.ERROR}),
    Phase.ERROR: frozenset(),
}
# A worker is slow when even the upper bound of its speed is below this share of its peers' median (0: their speed is not known).
SLOW_RATIO: Final = 0.8
SECRET_LENGTH_MIN: Final = 8  # shorter values are settings that only look like secrets by their name


class Standing:
    """One per process. `on_change` is called after every change of phase."""

    def __init__(self, *, on_change: Callable[[], None] = lambda: None, secrets: Iterable[str] = (), cert_sha256: str = "") -> None:
        self.phase = Phase.STARTING
        self.error = ""
        self.perf = 0.0
        self.slots = 0
        self.prompt_weight = PROMPT_WEIGHT
        self.gauges = Gauges()
        self.cert_sha256 = cert_sha256
        self.peers_perf = 0.0
        self.perf_flags: tuple[str, ...] = ()
        self.loadtime_s = 0.0
        self.closing = False
        self.disowned = False
        self.on_change = on_change
        self._secrets = tuple(secret for secret in secrets if len(secret) >= SECRET_LENGTH_MIN)

    @property
    def serving(self) -> bool:
        """Whether new requests are accepted."""
        return self.phase is Phase.READY and not self.disowned

    def loading(self) -> None:
        """The inference server shows a sign of life; later phases keep."""
        if self.phase is Phase.STARTING:
            self._enter(Phase.LOADING)

    def measuring(self) -> None:
        """The inference server answers; the performance test begins."""
        if self.phase in {Phase.STARTING, Phase.LOADING}:
            self._enter(Phase.MEASURING)

    def measured(self, found: Kept) -> None:
        """Take over the result of the performance test."""
        self.perf, self.slots, self.prompt_weight, self.perf_flags = found.perf, found.slots, found.prompt_weight, found.flags
        if found.perf + found.half_width < SLOW_RATIO * self.peers_perf:
            self.perf_flags = ("slow", *found.flags)

    def ready(self, *, loadtime_s: float) -> None:
        """Measured, healthy, and every ticket from now on is acceptable."""
        if self.phase is Phase.MEASURING:
            self.loadtime_s = loadtime_s
            self._enter(Phase.READY)

    def drain(self, *, closing: bool = False) -> None:
        """Accept nothing new. `closing`: for good."""
        self.closing = self.closing or closing
        if Phase.DRAINING in NEXT[self.phase] and (closing or self.phase is Phase.READY):
            self._enter(Phase.DRAINING)

    def resume(self) -> None:
        """The control plane took its drain back."""
        if self.phase is Phase.DRAINING and not self.closing and self.loadtime_s:
            self._enter(Phase.READY)

    def fail(self, reason: str) -> None:
        """Give up, and say why. The first reason stays: later ones follow from it."""
        if self.phase is not Phase.ERROR:
            self.error = self._redacted(reason)[:ERROR_LENGTH_MAX]
            self._enter(Phase.ERROR)

    def _enter(self, phase: Phase) -> None:
        assert phase in NEXT[self.phase], f"{self.phase} -> {phase}"
        self.phase = phase
        self.on_change()

    def _redacted(self, text: str) -> str:
        # A log line of the inference server may quote a token that it was given.
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
