"""A language model of random weights in llama.cpp's file format, small enough to make in a test (about 400 kB, 2 layers, 64 wide).

The format: github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3. Little-endian; after the header come key-value pairs, then
a record a tensor, then the tensors' data, each at a multiple of ALIGNMENT.
"""

from __future__ import annotations

import array
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ALIGNMENT: Final = 32
WIDTH: Final = 64
HIDDEN: Final = 128
LAYERS: Final = 2
HEADS: Final = 4
CONTEXT: Final = 2048
_F32: Final = 0
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9
# Types of the tokens of a SentencePiece vocabulary: normal, unknown, control, byte.
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6


def write_model(path: Path) -> Path:
    """Write the model; return its path."""
    tokens = _vocabulary()
    pairs = [_pair(name, kind, value) for name, kind, value in _metadata(tokens)]
    records, data, offset = [], [], 0
    rng = random.Random(1)
    for name, shape in _tensors(len(tokens)):
        values = _values(rng, name, shape)
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        records.append(_string(name) + dimensions + struct.pack("<IQ", _F32, offset))
        padded = values + bytes(-len(values) % ALIGNMENT)
        data.append(padded)
        offset += len(padded)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(records), len(pairs)) + b"".join(pairs) + b"".join(records)
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + b"".join(data))
    return path


def _vocabulary() -> list[tuple[str, int]]:
    words = [("\u2581" + word, _NORMAL) for word in ("river", "stone", "cloud", "engine", "garden", "letter", "window", "silver")]
    special = [("<unk>", _UNKNOWN), ("<s>", _CONTROL), ("</s>", _CONTROL)]
    return [*special, *((f"<0x{byte:02X}>", _BYTE) for byte in range(256)), *words]


def _metadata(tokens: list[tuple[str, int]]) -> Iterator[tuple[str, int, Any]]:
    yield "general.architecture", _STRING, "llama"
    yield "general.name", _STRING, "random"
    yield "llama.context_length", _UINT32, CONTEXT
    yield "llama.embedding_length", _UINT32, WIDTH
    yield "llama.block_count", _UINT32, LAYERS
    yield "llama.feed_forward_length", _UINT32, HIDDEN
    yield "llama.attention.head_count", _UINT32, HEADS
    yield "llama.attention.head_count_kv", _UINT32, HEADS
    yield "llama.attention.layer_norm_rms_epsilon", _FLOAT32, 1e-5
    yield "llama.rope.dimension_count", _UINT32, WIDTH // HEADS
    yield "llama.vocab_size", _UINT32, len(tokens)
    yield "tokenizer.ggml.model", _STRING, "llama"
    yield "tokenizer.ggml.tokens", _STRING, [text for text, _ in tokens]
    yield "tokenizer.ggml.scores", _FLOAT32, [-float(at) for at in range(len(tokens))]
    yield "tokenizer.ggml.token_type", _INT32, [kind for _, kind in tokens]
    yield "tokenizer.ggml.unknown_token_id", _UINT32, 0
    yield "tokenizer.ggml.bos_token_id", _UINT32, 1
    yield "tokenizer.ggml.eos_token_id", _UINT32, 2


def _tensors(vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (WIDTH, vocabulary)
    yield "output_norm.weight", (WIDTH,)
    yield "output.weight", (WIDTH, vocabulary)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", (WIDTH,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}.weight", (WIDTH, WIDTH)
        yield f"blk.{layer}.ffn_gate.weight", (WIDTH, HIDDEN)
        yield f"blk.{layer}.ffn_up.weight", (WIDTH, HIDDEN)
        yield f"blk.{layer}.ffn_down.weight", (HIDDEN, WIDTH)


def _values(rng: random.Random, name: str, shape: tuple[int, ...]) -> bytes:
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    norm = name.endswith("norm.weight")
    return array.array("f", [1.0 if norm else rng.gauss(0.0, 0.3) for _ in range(count)]).tobytes()


def _pair(name: str, kind: int, value: Any) -> bytes:
    if isinstance(value, list):
        items = b"".join(_value(kind, item) for item in value)
        return _string(name) + struct.pack("<IIQ", _ARRAY, kind, len(value)) + items
    return _string(name) + struct.pack("<I", kind) + _value(kind, value)


def _value(kind: int, value: Any) -> bytes:
    return _string(value) if kind == _STRING else struct.pack({_UINT32: "<I", _INT32: "<i", _FLOAT32: "<f"}[kind], value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
