"""How fast is this server? A closed loop of trials at the concurrency that the worker will allow.

1. One cold trial: proves that the server generates, tells the speed of a single stream, and is thrown away. Then, where the
   weight of prompts is not given, three short bursts that tell it (see `promptweight`).
2. As many streams as the server has slots, each trial replaced at once when it ends, of lengths spread by half around their mean,
   so that streams do not end together. Every prompt is new. Work counts when it *arrives*.
3. The first WARM_UP_S, and until half a trial a slot has ended, are thrown away: batches fill, kernels compile.
4. It ends when the speed is known to within 5 % and at least MEASURE_MIN_S were measured, or at the limit, and then says
   "imprecise".
5. A result that is imprecise or full of stalls is doubted once: the test is repeated, and the better of the two stands.

Durations are those of a limit of 28 s and shrink with it (a sandbox has no minute to spare; the interval says what that costs, and
it is not doubted: it was chosen to be rough).
Past the slots only latency grows, so more streams would measure nothing more (measured on llama-server: 4 slots 129.7 units/s at 4
streams, 134.0 at 8, time to first token 0.22 s -> 2.5 s).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyworker.backend import Ask, Backend, Trial
from pyworker.estimate import Speed, flags, speed
from pyworker.metrics import PROMPT_WEIGHT
from pyworker.promptweight import PromptWeight
from pyworker.settings import PERF_LIMIT_S
from pyworker.tally import Tally
from pyworker.upstream import Upstream, UpstreamFailed

WARM_UP_S: Final = 3.0
MEASURE_MIN_S: Final = 6.0
BIN_S: Final = 0.5
BIN_MIN_S: Final = 0.1
SPREAD: Final = 0.5
TRIALS_PER_LIMIT: Final = 10  # at the speed of a single stream; a full batch is some times slower
WARM_UP_RATIO_MAX: Final = 0.4  # of the limit, however slow trials are to end
PROMPT_RATIO: Final = 0.5  # tokens of a trial's prompt, of the units of output asked for
DOUBTFUL: Final = frozenset({"imprecise", "stalls"})
ERROR_PAUSE_S: Final = 0.2
ERRORS_IN_A_ROW_MAX: Final = 20

_log = logging.getLogger(__name__)


class PerfTestFailed(Exception):
    """The server did not serve the trials; the worker cannot serve either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was found. `perf` and `half_width` in load units per second, `step_s` seconds a unit of one stream in the full batch.

    `cold_s` is how long the cold trial took, `first_output_s` the median time to the first unit under load.
    """

    perf: float
    half_width: float
    slots: int
    flags: tuple[str, ...]
    prompt_weight: float
    cold_s: float
    single_stream_units_per_s: float
    first_output_s: float
    step_s: float
    trials: int
    errors: int


async def measure(
    upstream: Upstream, *, slots: int, prompt_weight: float | None, limit_s: float, rng: random.Random
) -> Measurement:
    """Test, and where the result is doubtful test again. `prompt_weight` None: measure it too. Raises PerfTestFailed."""

    async def test(weight: float | None) -> Measurement:
        return await PerfTest(upstream, slots=slots, prompt_weight=weight, limit_s=limit_s, rng=rng).run()

    first = await test(prompt_weight)
    if limit_s < PERF_LIMIT_S or not DOUBTFUL & {*first.flags}:
        return first
    _log.info("measured %s; testing again", first)
    return min(
        await test(first.prompt_weight), first, key=lambda found: (len(DOUBTFUL & {*found.flags}), found.half_width / found.perf)
    )


class PerfTest:
    """One test of one server. `prompt_weight` None: measure it, and take PROMPT_WEIGHT if it cannot be told."""

    def __init__(self, upstream: Upstream, *, slots: int, prompt_weight: float | None, limit_s: float, rng: random.Random) -> None:
        self._upstream = upstream
        self._backend: Backend = upstream.backend
        self._slots = slots
        self._given_weight = prompt_weight
        self._prompt_weight = PROMPT_WEIGHT if prompt_weight is None else prompt_weight
        self._limit_s = limit_s
        self._rng = rng
        self._scale = min(1.0, limit_s / PERF_LIMIT_S)
        self._tally = Tally(bin_s=max(BIN_MIN_S, BIN_S * self._scale))
        self._now_s: Callable[[], float] = asyncio.get_running_loop().time

    async def run(self) -> Measurement:
        """Measure. Raises PerfTestFailed."""
        self._started_s = self._now_s()
        units_per_s = await self._cold()
        self._cold_s = self._now_s() - self._started_s
        await self._weigh_prompts(units_per_s)
        units = units_per_s * self._limit_s / TRIALS_PER_LIMIT
        mean_units = min(max(units, self._backend.trial_units_min), self._backend.trial_units_max)
        streams = [asyncio.create_task(self._stream(mean_units)) for _ in range(self._slots)]
        try:
            await self._warm_up()
            measured = await self._measure()
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
        return self._result(measured, units_per_s)

    async def _cold(self) -> float:
        trial = self._trial(max(self._backend.trial_units_min, 1.0))
        tally = Tally(bin_s=self._tally.bin_s)
        started_s = self._now_s()
        await self._attempt(trial, tally)
        if tally.errors:
            raise PerfTestFailed(f"the first trial failed: {tally.last_error}")
        # The steps tell the speed without the wait for the first output; a reply in one piece has no steps.
        if tally.steps_s:
            return 1 / max(statistics.median(tally.steps_s), 1e-6)
        return trial.unit_load / max(self._now_s() - started_s, 1e-6)

    async def _weigh_prompts(self, units_per_s: float) -> None:
        trial = self._trial(self._backend.trial_units_min)
        if self._given_weight is not None or not trial.prompt_tokens or trial.route.units is None:
            return
        weight = PromptWeight(self._upstream, slots=self._slots, limit_s=self._limit_s, scale=self._scale, rng=self._rng)
        found = await weight.measure(units_per_s=units_per_s)
        self._prompt_weight = self._prompt_weight if found is None else found

    async def _stream(self, mean_units: float) -> None:
        while True:
            units = mean_units * self._rng.uniform(1 - SPREAD, 1 + SPREAD)
            await self._attempt(self._trial(units), self._tally)
            if self._tally.errors_in_a_row:
                await asyncio.sleep(ERROR_PAUSE_S * self._scale)

    def _trial(self, units: float) -> Trial:
        return self._backend.trial(Ask(rng=self._rng, units=units, prompt_tokens=PROMPT_RATIO * units))

    async def _attempt(self, trial: Trial, tally: Tally) -> None:
        try:
            if trial.route.units is None:
                await self._attempt_whole(trial, tally)
            else:
                await self._attempt_streamed(trial, tally)
        except UpstreamFailed as exc:
            tally.failed(exc.reason)

    async def _attempt_whole(self, trial: Trial, tally: Tally) -> None:
        started_s = self._now_s()
        with tally.pending(started_s):
            async for count in self._upstream.attempt(trial):
                tally.spread(count * trial.unit_load + self._prompt_weight * trial.prompt_tokens, started_s, self._now_s())
        tally.served(first_output_s=self._now_s() - started_s, step_s=None)

    async def _attempt_streamed(self, trial: Trial, tally: Tally) -> None:
        started_s = self._now_s()
        async with contextlib.aclosing(self._upstream.attempt(trial)) as counts:
            with tally.pending(started_s):
                units = await anext(counts, 0)
                first_s = self._now_s()
                tally.spread(self._prompt_weight * trial.prompt_tokens, started_s, first_s)
            tally.arrived(units * trial.unit_load, first_s)
            later_units = 0
            async for count in counts:
                tally.arrived(count * trial.unit_load, self._now_s())
                later_units += count
        # Units come several at a time: those of the first arrival tell nothing of the time between two.
        step_s = (self._now_s() - first_s) / later_units if later_units else None
        tally.served(first_output_s=first_s - started_s, step_s=step_s)

    async def _warm_up(self) -> None:
        started_s = self._now_s()
        enough_s = started_s + WARM_UP_S * self._scale
        limit_s = started_s + WARM_UP_RATIO_MAX * self._limit_s
        self._deadline_s = max(self._started_s + self._cold_s + self._limit_s, limit_s + MEASURE_MIN_S * self._scale)
        while self._now_s() < enough_s or (self._tally.trials < self._slots / 2 and self._now_s() < limit_s):
            await self._let_pass()
        self._tally.begin(self._now_s())

    async def _measure(self) -> Speed:
        started_s = self._now_s()
        while True:
            await self._let_pass()
            now_s = self._now_s()
            found = speed(self._tally.whole_bins(now_s), bin_s=self._tally.bin_s)
            if now_s >= self._deadline_s or (found.precise and now_s - started_s >= MEASURE_MIN_S * self._scale):
                return found

    async def _let_pass(self) -> None:
        await asyncio.sleep(self._tally.bin_s)
        if self._tally.errors_in_a_row >= ERRORS_IN_A_ROW_MAX:
            raise PerfTestFailed(f"{self._tally.errors} trials failed, the last: {self._tally.last_error}")

    def _result(self, found: Speed, units_per_s: float) -> Measurement:
        tally = self._tally
        if not found.mean:
            raise PerfTestFailed(f"no work arrived within {self._limit_s:g} s; last error: {tally.last_error or 'none'}")
        step_s = statistics.median(tally.steps_s) if tally.steps_s else 1 / units_per_s
        return Measurement(
            perf=found.mean,
            half_width=found.half_width,
            slots=self._slots,
            flags=flags(
                tally.whole_bins(self._now_s()),
                bin_s=tally.bin_s,
                gap_max_s=tally.gap_max_s,
                step_s=step_s,
                error_ratio=tally.errors / max(1, tally.errors + tally.trials),
            ),
            prompt_weight=self._prompt_weight,
            cold_s=self._cold_s,
            single_stream_units_per_s=units_per_s,
            first_output_s=statistics.median(tally.first_outputs_s) if tally.first_outputs_s else 0.0,
            step_s=step_s,
            trials=tally.trials,
            errors=tally.errors,
        )
