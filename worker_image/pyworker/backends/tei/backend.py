"""TEI behind a worker: embeddings and rankings, measured by tokens of input."""

from __future__ import annotations

from typing import Final

from pyworker.backend import Ask, Backend, Route, Trial
from pyworker.backends.openai.dialect import embedding_load
from pyworker.backends.tei.logwatch import LOG_RULES
from pyworker.backends.tei.metrics import METRICS, inputs_load, rerank_load
from pyworker.language import text_tokens, trial_prompt

EMBED: Final = Route(path="/embed", load=inputs_load)
PATHS: Final = ("/embed_all", "/embed_sparse", "/predict", "/similarity")
BATCH: Final = 8  # texts of a trial: what a client that indexes documents sends


def trial(ask: Ask) -> Trial:
    """Ask for the embeddings of BATCH texts, of so many tokens together."""
    texts = [trial_prompt(Ask(rng=ask.rng, units=1, prompt_tokens=ask.units / BATCH)) for _ in range(BATCH)]
    payload = {"inputs": texts, "truncate": True}
    return Trial(route=EMBED, payload=payload, unit_load=sum(map(text_tokens, texts)))


BACKEND: Final = Backend(
    name="tei",
    routes=(
        EMBED,
        *(Route(path=path, load=inputs_load) for path in PATHS),
        Route(path="/rerank", load=rerank_load),
        Route(path="/v1/embeddings", load=embedding_load),
    ),
    trial=trial,
    trial_units_min=256,
    trial_units_max=2048,
    metrics=METRICS,
    log_rules=LOG_RULES,
    required_environment=("MODEL_ID",),
)
