"""What does a token of prompt cost, in tokens of output? Measured by three short bursts of trials.

One iteration of a continuous-batching engine takes `a + b x sequences + c x prompt tokens` (a: reading the weights; b: a sequence's
share; c: computing a prompt token). At its full batch of C sequences a token of output costs `d = (a + b C) / C` seconds of the
server, a token of prompt `c`, so its weight is `c / d`:

1. C streams of some length after short prompts: the time between two tokens of one stream is `a + b C`.
2. C short prompts, one token of output each, and
3. the same with long prompts: what the second takes longer is `c` for every token that its prompts are longer by.

Bursts 2 and 3 run twice and the quicker one counts: a neighbour can only make them slower. Differences of whole bursts leave out
whatever every request costs. Prompt tokens are those that `language` estimates, so that an error of the estimate cancels out
where the weight is used. (Model and measurements: 0.05 to 0.32 on vLLM, 0.2 to 0.5 on llama-server, CPU, November 2026.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import statistics
from typing import Final

from pyworker.backend import Ask, Trial
from pyworker.upstream import Upstream, UpstreamFailed

REPEATS: Final = 2
SHORT_TOKENS: Final = 8.0
LONG_TOKENS: Final = 256.0
LONG_TOKENS_MIN: Final = 48.0
BURST_TOKENS: Final = 1024.0  # of all long prompts together, where that leaves each LONG_TOKENS_MIN
STREAM_RATIO: Final = 0.03  # of the whole test's limit, at the speed of a single stream
STREAM_UNITS_MIN: Final = 8.0
LIMIT_RATIO: Final = 0.25  # of the whole test's limit
WEIGHT_MAX: Final = 4.0

_log = logging.getLogger(__name__)


class PromptWeight:
    """One measurement of one server. `scale` shrinks the bursts along with a shortened test; `limit_s` is the whole test's."""

    def __init__(self, upstream: Upstream, *, slots: int, limit_s: float, scale: float, rng: random.Random) -> None:
        self._upstream = upstream
        self._slots = slots
        self._limit_s = limit_s
        self._scale = scale
        self._rng = rng
        self._now_s = asyncio.get_running_loop().time

    async def measure(self, *, units_per_s: float) -> float | None:
        """Return the weight; `units_per_s` is the speed of a single stream. None if it cannot be told in time."""
        try:
            async with asyncio.timeout(LIMIT_RATIO * self._limit_s):
                output_s = await self._output_s(units_per_s)
                prompt_s = await self._prompt_s()
        except (UpstreamFailed, TimeoutError) as exc:
            _log.warning("the weight of prompts was not measured: %s", str(exc) or "not in time")
            return None
        return min(max(prompt_s / output_s, 0.0), WEIGHT_MAX) if output_s > 0 else None

    async def _output_s(self, units_per_s: float) -> float:
        most = self._upstream.backend.trial_units_max
        units = min(max(units_per_s * STREAM_RATIO * self._limit_s, STREAM_UNITS_MIN), most)
        steps_s = await asyncio.gather(*(self._stream(self._trial(units, SHORT_TOKENS)) for _ in range(self._slots)))
        told = [step_s for step_s in steps_s if step_s is not None]
        return statistics.median(told) / self._slots if told else 0.0

    async def _prompt_s(self) -> float:
        longer = max(min(BURST_TOKENS / self._slots, LONG_TOKENS) * self._scale, LONG_TOKENS_MIN)
        short_s, short_tokens = min([await self._burst(SHORT_TOKENS) for _ in range(REPEATS)])
        long_s, long_tokens = min([await self._burst(SHORT_TOKENS + longer) for _ in range(REPEATS)])
        return (long_s - short_s) / max(long_tokens - short_tokens, 1.0)

    async def _burst(self, prompt_tokens: float) -> tuple[float, float]:
        """Return how long a burst took, and how many tokens its prompts had."""
        trials = [self._trial(1.0, prompt_tokens) for _ in range(self._slots)]
        started_s = self._now_s()
        await asyncio.gather(*(self._stream(trial) for trial in trials))
        return self._now_s() - started_s, sum(trial.prompt_tokens for trial in trials)

    def _trial(self, units: float, prompt_tokens: float) -> Trial:
        return self._upstream.backend.trial(Ask(rng=self._rng, units=units, prompt_tokens=prompt_tokens))

    async def _stream(self, trial: Trial) -> float | None:
        """Run one trial to its end; return the time between two units of its output, if there were several."""
        first_s, later = 0.0, -1
        async with contextlib.aclosing(self._upstream.attempt(trial)) as counts:
            async for count in counts:
                first_s, later = (self._now_s(), 0) if later < 0 else (first_s, later + count)
        return (self._now_s() - first_s) / later if later > 0 else None
