"""What the sandbox's model says: words, the same ones for the same prompt."""

from __future__ import annotations

from typing import Final

_SENTENCE: Final = (
    "the river carries cold water past quiet houses and under an old stone bridge while someone on the far bank reads a letter "
    "twice before the light goes and the last boat turns back towards the harbor with its lamps lit and nothing left to sell"
)
_WORDS: Final = _SENTENCE.split()


def token_text(seed: int, index: int) -> str:
    """Return the text of one token: a word of a sentence that starts at a place of the prompt's own, with a blank before it."""
    return " " + _WORDS[(seed + index) % len(_WORDS)]
