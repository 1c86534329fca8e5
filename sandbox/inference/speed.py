"""How fast a continuous-batching engine is, from numbers that people know.

One iteration gives every running sequence one token and takes `a + b*B` seconds with B sequences in the batch: `a` is reading the
weights, `b` what each sequence adds. So a single stream gets 1/(a+b) tokens a second, a full batch of S gives S/(a+b*S) together,
and throughput saturates. Measured on vLLM (84 M parameters, CPU, November 2026): a = 30 ms, b = 1.2-4 ms.

A prompt token costs `prompt_weight` of an iteration of its own stream.

*GPU.* The marketplace's benchmark number scales the speed: `--tokens-per-s` is the speed of an RTX 3090. The simulator tells an
instance its number in SIM_DLPERF; with only a name (SIM_GPU_NAME) the simulator's own table of models gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

REFERENCE_DLPERF: Final = 45.18  # RTX 3090, as the marketplace counted in December 2025
STREAM_SHARE: Final = 2.5  # how much faster than its share of a full batch a single stream is, unless given


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """`base_s` + `per_stream_s` x batch seconds an iteration; at most `slots` sequences run at a time."""

    base_s: float
    per_stream_s: float
    slots: int
    prompt_weight: float = 0.2

    def iteration_s(self, batch: int) -> float:
        """Return how long one token of every one of `batch` sequences takes."""
        return self.base_s + self.per_stream_s * batch

    @classmethod
    def from_throughput(
        cls, *, tokens_per_s: float, slots: int, stream_tokens_per_s: float = 0.0, prompt_weight: float = 0.2
    ) -> Self:
        """Solve for a and b: `tokens_per_s` of a full batch together, `stream_tokens_per_s` of a single stream (0: a usual one)."""
        share = tokens_per_s / slots
        single = min(max(stream_tokens_per_s or STREAM_SHARE * share, share), tokens_per_s)
        if slots == 1:
            return cls(base_s=1 / tokens_per_s, per_stream_s=0.0, slots=1, prompt_weight=prompt_weight)
        per_stream_s = (1 / share - 1 / single) / (slots - 1)
        return cls(base_s=1 / single - per_stream_s, per_stream_s=per_stream_s, slots=slots, prompt_weight=prompt_weight)


def gpu_factor(*, gpu_name: str, dlperf: float) -> float:
    """Return how fast a GPU is compared with the reference: by its benchmark number, else by its name, else alike."""
    if dlperf <= 0 and gpu_name:
        dlperf = _dlperf_of(gpu_name)
    return dlperf / REFERENCE_DLPERF if dlperf > 0 else 1.0


def _dlperf_of(gpu_name: str) -> float:
    from sandbox.marketplace.gpus import GPU_MODELS  # noqa: PLC0415 - the table is needed for a name without a number alone

    return next((model.dlperf for model in GPU_MODELS if model.name.lower() == gpu_name.lower()), 0.0)
