"""What each server says in its log and on its pages. Lines are in the forms of the real ones, captured or from their sources.

In lines stand `{now:…}` (a time), `{model}`, `{port}`, `{tokens}`, `{prompt_tokens}`, `{seconds}`, `{path}`; a brace of the line
itself is doubled. What a server says of a request is written with its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.inference import speech
from sandbox.inference.speech import Speech, openai_speeches, sse


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a server's pages tell of now."""

    model: str
    slots: int
    running: int
    waiting: int


Pages = Callable[[Held], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One server: the lines of its life, its routes, and its pages: objects, or text for Prometheus.

    `early`: the port is open before the model is loaded.
    """

    loading: tuple[str, ...]
    ready: tuple[str, ...]
    out_of_memory: tuple[str, ...]
    died: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    speeches: Mapping[str, Speech] = field(default_factory=dict)
    pages: Pages = lambda _held: {}
    early: bool = False


def _uvicorn(text: str, level: str = "INFO") -> str:
    return f"{level + ':':<9} {text}"


_V = "(APIServer pid=7) INFO {now:%m-%d %H:%M:%S} "
_E = "(EngineCore pid=9) ERROR {now:%m-%d %H:%M:%S} [core.py:1510] "
_A = "(APIServer pid=7) ERROR {now:%m-%d %H:%M:%S} [async_llm.py:774] "
_VLLM_FAULT: Final = (
    sse({"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": None, "code": 500}})
    + b"data: [DONE]\n\n"
)

VLLM: Final = Dialect(
    loading=(
        _V + "[api_utils.py:286] non-default args: {{'model': '{model}', 'max_num_seqs': {slots}}}",
        "(EngineCore pid=9) INFO {now:%m-%d %H:%M:%S} [gpu_model_runner.py:5074] Starting to load model {model}...",
        "Loading safetensors checkpoint shards: 100% Completed | 2/2 [00:00<00:00, 50.00it/s]",
        "(EngineCore pid=9) INFO {now:%m-%d %H:%M:%S} [kv_cache_utils.py:1900] GPU KV cache size: 251,920 tokens",
    ),
    ready=(
        _V + "[launcher.py:37] Starting vLLM server on http://127.0.0.1:{port}",
        "(APIServer pid=7) " + _uvicorn("Started server process [7]"),
        "(APIServer pid=7) " + _uvicorn("Waiting for application startup."),
        "(APIServer pid=7) " + _uvicorn("Application startup complete."),
    ),
    out_of_memory=(
        _E + "EngineCore failed to start.",
        _E + "Traceback (most recent call last):",
        _E + "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.",
        "(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {{}}",
    ),
    died=(
        _A + "AsyncLLM output_handler failed.",
        _A
        + "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
    ),
    served=('(APIServer pid=7) INFO:     127.0.0.1:43434 - "POST {path} HTTP/1.1" 200 OK',),
    failed=("(APIServer pid=7) ERROR {now:%m-%d %H:%M:%S} [serving.py:340] Error in preprocessing prompt inputs",),
    speeches=openai_speeches(_VLLM_FAULT),
    pages=lambda held: {
        "/health": {},
        "/version": {"version": "0.32.0"},
        "/v1/models": {"object": "list", "data": [{"id": held.model, "object": "model"}]},
        "/metrics": f'vllm:num_requests_waiting{{engine="0",model_name="{held.model}"}} {held.waiting}.0\n'
        f'vllm:kv_cache_usage_perc{{engine="0",model_name="{held.model}"}} {held.running / held.slots}\n',
    },
)

_S = "[{now:%Y-%m-%d %H:%M:%S}] "
SGLANG: Final = Dialect(
    loading=(
        _S + "Load weight begin. avail mem=78.60 GB",
        _S + "Load weight end. type=LlamaForCausalLM, dtype=torch.bfloat16, avail mem=63.40 GB",
        _S + "max_total_num_tokens=437024, chunked_prefill_size=8192, max_running_requests={slots}, context_len=131072",
        _S + _uvicorn("Application startup complete."),
        _S + _uvicorn("Uvicorn running on http://127.0.0.1:{port} (Press CTRL+C to quit)"),
    ),
    ready=(_S + "The server is fired up and ready to roll!",),
    out_of_memory=(
        "[{now:%Y-%m-%d %H:%M:%S} TP0] Scheduler hit an exception: Traceback (most recent call last):",
        "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
        _S + "Received sigquit from a child process. It usually means the child failed.",
    ),
    died=(_S + "Received sigquit from a child process. It usually means the child failed.",),
    served=(
        _S + "Prefill batch, #new-seq: 1, #new-token: {prompt_tokens}, #cached-token: 0, #running-req: 0, #queue-req: 0",
        _S + _uvicorn('127.0.0.1:43434 - "POST {path} HTTP/1.1" 200 OK'),
    ),
    failed=(_S + "Error: Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens).",),
    speeches={
        **openai_speeches(sse({"error": {"message": "the generation was aborted", "code": 500}})),
        "/generate": speech.SGLANG_GENERATE,
    },
    pages=lambda held: {
        "/health": {},
        "/get_server_info": {"version": "0.5.23", "max_running_requests": held.slots},
        "/metrics": f'sglang:num_queue_reqs{{model_name="{held.model}"}} {held.waiting}.0\n'
        f'sglang:token_usage{{model_name="{held.model}"}} {held.running / held.slots}\n',
    },
)

LLAMACPP: Final = Dialect(
    loading=(
        "0.00.001.245 I srv  llama_server: initializing ...",
        "0.00.004.110 I srv    load_model: loading model '{model}'",
        "0.00.183.893 I srv    load_model: initializing, n_slots = {slots}, n_ctx_slot = 2048, kv_unified = 'false'",
    ),
    ready=(
        "0.00.185.810 I srv  llama_server: model loaded",
        "0.00.185.833 I srv  llama_server: listening on http://127.0.0.1:{port}",
    ),
    out_of_memory=(
        "0.00.061.613 E ggml_aligned_malloc: insufficient memory (attempted to allocate 7033.50 MB)",
        "0.00.061.774 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
        "0.00.062.172 E srv  llama_server: exiting due to model loading error",
    ),
    died=("CUDA error: an illegal memory access was encountered", "/app/ggml/src/ggml-cuda/ggml-cuda.cu:101: CUDA error"),
    served=(
        "0.03.885.565 I slot print_timing: id  0 | task 0 | prompt eval time =     254.92 ms / {prompt_tokens:5} tokens",
        "0.03.885.634 I slot print_timing: id  0 | task 0 |       total time =    3276.40 ms / {tokens:5} tokens",
    ),
    failed=("0.02.197.659 E srv    send_error: task id = 9, error: request (3002 tokens) exceeds the available context size",),
    speeches={**openai_speeches(speech.LLAMA_COMPLETION.fault), "/completion": speech.LLAMA_COMPLETION},
    pages=lambda held: {
        "/health": {"status": "ok"},
        "/props": {"total_slots": held.slots, "model_path": held.model, "build_info": "b1-0c1e570"},
        "/metrics": f"# HELP llamacpp:requests_deferred Number of requests deferred.\nllamacpp:requests_deferred {held.waiting}\n",
    },
    early=True,
)

_G = 'time={now:%Y-%m-%dT%H:%M:%S}.367Z level=INFO source=server.go:1339 msg="'
OLLAMA: Final = Dialect(
    loading=(_G + 'Listening on 127.0.0.1:{port} (version 0.14.3)"', _G + 'downloading 633fc5be925f in 10 208 MB part(s)"'),
    ready=(_G + 'llama runner started in {seconds:.2f} seconds"',),
    out_of_memory=(
        "ggml_cuda: cudaMalloc failed: out of memory",
        _G.replace("INFO", "ERROR") + 'error loading llama server" error="llama runner process has terminated: exit status 2"',
    ),
    died=(
        'time={now:%Y-%m-%dT%H:%M:%S}.367Z level=ERROR source=server.go:7 msg="llama runner process has terminated: exit status 2"',
    ),
    served=('[GIN] {now:%Y/%m/%d - %H:%M:%S} | 200 |  {seconds:.9f}s |       127.0.0.1 | POST     "{path}"',),
    failed=('[GIN] {now:%Y/%m/%d - %H:%M:%S} | 500 |  {seconds:.9f}s |       127.0.0.1 | POST     "{path}"',),
    speeches={
        **openai_speeches(sse({"error": {"message": "an error was encountered while running the model", "type": "api_error"}})),
        "/api/generate": speech.OLLAMA_GENERATE,
        "/api/chat": speech.OLLAMA_CHAT,
    },
    pages=lambda _held: {"/": "Ollama is running", "/api/version": {"version": "0.14.3"}},
)

_Z = "{now:%Y-%m-%dT%H:%M:%S.%f}Z"
_T = _Z + "  INFO text_embeddings_"
TEI: Final = Dialect(
    loading=(
        _Z + "  INFO download_artifacts: text_embeddings_core::download: core/src/download.rs:42: Starting download",
        _T + "core::download: core/src/download.rs:72: Model artifacts downloaded in 3.01s",
        _T + "router: router/src/lib.rs:284: Starting model backend",
        _T + "router: router/src/lib.rs:302: Warming up model",
    ),
    ready=(
        _T + "router::http::server: router/src/http/server.rs:1880: Starting HTTP server: 127.0.0.1:{port}",
        _T + "router::http::server: router/src/http/server.rs:1881: Ready",
    ),
    out_of_memory=("Error: Could not create backend", "", "Caused by:", "    Could not start backend: CUDA_ERROR_OUT_OF_MEMORY"),
    died=("Error: Model backend is not healthy",),
    served=(
        _Z
        + '  INFO embed{{total_time="{seconds:.6f}s" tokenization_time="81.2µs" inference_time="{seconds:.6f}s"}}'
        + ": text_embeddings_router::http::server: router/src/http/server.rs:710: Success",
    ),
    failed=(
        _Z
        + " ERROR embed: text_embeddings_core::infer: core/src/infer.rs:332: "
        + "Input validation error: `inputs` must have less than 512 tokens. Given: 600",
    ),
    speeches={"/embed": speech.EMBED, "/v1/embeddings": speech.EMBEDDINGS},
    pages=lambda held: {
        "/health": {},
        "/info": {"model_id": held.model, "max_concurrent_requests": held.slots, "version": "1.9.3"},
        "/metrics": f"# TYPE te_queue_size gauge\nte_queue_size {held.waiting}\n",
    },
)

SDAUTO: Final = Dialect(
    loading=(
        "Loading weights [6ce0161689] from /opt/models/{model}",
        "Creating model from config: /opt/configs/v1-inference.yaml",
        "Startup time: 5.6s (import torch: 3.0s, import gradio: 0.8s, load scripts: 2.7s, add APIs: 0.9s).",
    ),
    ready=("Model loaded in {seconds:.1f}s (load weights from disk: 0.9s, create model: 0.9s, apply weights to model: 5.5s).",),
    out_of_memory=(
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 114.00 MiB",
        "Stable diffusion model failed to load",
    ),
    died=("RuntimeError: CUDA error: an illegal memory access was encountered",),
    served=("API {now:%Y-%m-%d %H:%M:%S.%f} 200 http/1.1 POST {path} 127.0.0.1 {seconds:.4f}",),
    failed=("*** API error: POST: http://127.0.0.1:{port}{path} {{'error': 'OutOfMemoryError'}}",),
    speeches={"/sdapi/v1/txt2img": speech.TXT2IMG, "/sdapi/v1/img2img": speech.TXT2IMG},
    pages=lambda held: {"/sdapi/v1/progress": {"progress": 0.0, "state": {"job_count": held.running + held.waiting}}},
)

_O = "{now:%H:%M:%S}-284548 INFO     "
OOBA: Final = Dialect(
    loading=(_O + "Starting Text generation web UI", _O + 'Loading "{model}"', _O + "OpenAI-compatible API URL:"),
    ready=(_O + 'Loaded "{model}" in {seconds:.2f} seconds.',),
    out_of_memory=(
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "{now:%H:%M:%S}-284548 ERROR    Failed to load the model.",
    ),
    served=(_O + "Output generated in {seconds:.2f} seconds (5.38 tokens/s, {tokens} tokens, context {prompt_tokens}, seed 7)",),
    failed=(_uvicorn("Exception in ASGI application", "ERROR"),),
    speeches={**openai_speeches(None), "/api/v1/generate": speech.OOBA_GENERATE},
    pages=lambda held: {"/v1/internal/health": {"status": "ok"}, "/api/v1/model": {"result": held.model}},
)

OPENAI: Final = Dialect(
    loading=(
        "[transformers] Loading {model}@main",
        _uvicorn("Started server process [7]"),
        _uvicorn("Waiting for application startup."),
        _uvicorn("Application startup complete."),
    ),
    ready=(_uvicorn("Uvicorn running on http://127.0.0.1:{port} (Press CTRL+C to quit)"),),
    out_of_memory=("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",),
    served=(_uvicorn('127.0.0.1:43434 - "POST {path} HTTP/1.1" 200 OK'),),
    failed=(_uvicorn("Exception in ASGI application", "ERROR"),),
    speeches={**openai_speeches(None), "/v1/embeddings": speech.EMBEDDINGS},
    pages=lambda held: {"/v1/models": {"object": "list", "data": [{"id": held.model}]}, "/health": {"status": "ok"}},
)

COMFYUI: Final = Dialect(
    loading=("Total VRAM 24564 MB, total RAM 64000 MB", "Starting server", ""),
    ready=("To see the GUI go to: http://127.0.0.1:{port}",),
    out_of_memory=("RuntimeError: No CUDA GPUs are available",),
    served=("got prompt", "Requested to load SDXL", "Prompt executed in {seconds:.2f} seconds"),
    failed=("!!! Exception during processing !!! Allocation on device", "Got an OOM, unloading all loaded models."),
    pages=lambda _held: {"/system_stats": {"system": {"comfyui_version": "0.4.0"}, "devices": [{"name": "cuda:0"}]}},
)

DIALECTS: Final[Mapping[str, Dialect]] = {
    "vllm": VLLM,
    "sglang": SGLANG,
    "llamacpp": LLAMACPP,
    "ollama": OLLAMA,
    "tei": TEI,
    "sdauto": SDAUTO,
    "ooba": OOBA,
    "openai": OPENAI,
    "comfyui": COMFYUI,
}
