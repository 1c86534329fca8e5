"""Load of language models, the same for every server of them.

One unit of load is one generated token. A prompt token costs `prompt_weight` of that: prefill is computed in large batches,
decoding reads all weights for each step. Pricing both alike, as some do, overprices long prompts 3 to 20 times (measured
0.05-0.32 on vLLM and 0.2-0.5 on llama-server, CPU, 84 M parameters, November 2026; a GPU of your own may differ:
HEADGATE_PROMPT_WEIGHT).

Prompt tokens are estimated: the worker has no tokenizer, and the client, who states the cost, has none either.
"""

from __future__ import annotations

import math
from typing import Any, Final

from pyworker.backend import Ask

# English text has about 4 characters a token (OpenAI's rule of thumb); bytes rather than characters, because scripts that take
# three bytes a character also take about a token a character.
BYTES_PER_TOKEN: Final = 4.0
TRIAL_PROMPT_WORDS_MIN: Final = 6  # about 10^8 different prompts
BYTES_PER_WORD: Final = 7
COUNT_MAX: Final = 10**9

# Requests in a batch: what is measured with, and admitted, unless a server states less. Past it only latency grows.
SLOTS_MAX: Final = 256
# Tokens of key-value cache that a usual request holds: with them a server's limit in tokens becomes one in requests.
TOKENS_PER_REQUEST: Final = 1024

_WORDS: Final = (
    "river stone cloud engine garden letter window silver market winter",
    "bridge forest candle harbor valley signal copper meadow ladder thunder",
    "paper island mirror saddle violin anchor basket canyon desert ember",
)


def text_tokens(text: Any) -> float:
    """Estimate how many tokens a prompt has; anything but text has none."""
    return len(text.encode("utf-8", errors="replace")) / BYTES_PER_TOKEN if isinstance(text, str) else 0.0


def whole_number(value: Any, *, default: int) -> int:
    """Read a count from a stranger's payload: what is no positive finite number is the default, and COUNT_MAX is the most."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # An integer of JSON may be too large for a float, so it is compared before anything else is done with it.
    return int(min(value, COUNT_MAX)) if number and 0 < value != math.inf else default


def batch_slots(*, requests: tuple[Any, ...], cache_tokens: Any = None) -> int:
    """Return how many requests fit a batch: the least of the limits that a server states, of which any may be unknown.

    Numbers may be text, as a log writes them (`251,920`).
    """
    limits = [whole_number(_number(limit), default=SLOTS_MAX) for limit in requests]
    cache = whole_number(_number(cache_tokens), default=SLOTS_MAX * TOKENS_PER_REQUEST) // TOKENS_PER_REQUEST
    return max(1, min(*limits, cache, SLOTS_MAX))


def _number(value: Any) -> Any:
    digits = value.replace(",", "") if isinstance(value, str) else ""
    return int(digits) if digits.isascii() and digits.isdigit() else value


def trial_prompt(ask: Ask) -> str:
    """Return a prompt of the tokens asked for that no prefix cache has seen: its very first words are random."""
    words = " ".join(_WORDS).split()
    count = max(TRIAL_PROMPT_WORDS_MIN, round(ask.prompt_tokens * BYTES_PER_TOKEN / BYTES_PER_WORD))
    return " ".join(ask.rng.choice(words) for _ in range(count))
