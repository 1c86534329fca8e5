r"""What vLLM writes, 0.5 to 0.32 (its source, captured logs of 0.32, logs in issues of the V0 engine).

V1: `(APIServer pid=1) INFO 11-21 22:18:28 [loggers.py:257] message`; V0: `INFO 02-25 11:11:31 metrics.py:455] message`; uvicorn's
lines and tracebacks bare, or behind the process alone. V1 binds its port before it loads the model, so uvicorn's line is good here.

With logging of requests switched on, prompts stand in the log: every pattern starts where vLLM's own message does.
"""

from __future__ import annotations

from typing import Final

from pyworker.logwatch import LogRules

_V0: Final = r"(?:\w+\.py:\d+\] )?"

LOG_RULES: Final = LogRules(
    ready=(r"Application startup complete\.", r"Uvicorn running on http.*"),
    fatal=(
        r"EngineCore failed to start\..*",
        r"EngineCore encountered a fatal error\..*",
        r"AsyncLLM output_handler failed\..*",
        r"RuntimeError: Engine (?:core initialization|process) failed.*",
        r"(?:\w+\.)*(?:AsyncEngineDeadError|EngineDeadError|MQEngineDeadError): .*",
        _V0 + r"(?:MQLLMEngine|AsyncLLMEngine|Engine) is already dead, terminating server process.*",
        r"ValueError: Free memory on device .* is less than desired GPU memory utilization.*",
        r"ValueError: No available memory for the cache blocks\..*",
        r"ValueError: To serve at least one request with the models?'s max seq len .*",
        r"ValueError: The model's max seq len .* is larger than the maximum number of tokens that can be stored in KV cache .*",
        r"OSError: \[Errno 98\] Address already in use.*",
    ),
    request_error=(
        _V0 + r"Error (?:in|with|while) (?:preprocessing|model|handling|tokeniz).*",
        r"Exception in ASGI application.*",
    ),
    loading=(
        _V0 + r"Starting to load model .*",
        r"Loading (?:safetensors|pt) checkpoint shards: .*",
        _V0 + r"Loading (?:model )?weights took .*",
        _V0 + r"Using model weights format .*",
        _V0 + r"Capturing (?:the model for )?CUDA graphs.*",
        _V0 + r"init engine \(.*",
    ),
    stats=(_V0 + r"(?:Engine \d+: )?Avg prompt throughput: .*",),
    facts=(
        r"GPU KV cache size: (?P<cache_tokens>[\d,]+) tokens",
        r"non-default args: .*'max_num_seqs': (?P<max_num_seqs>\d+).*",
    ),
)
