"""Where the real servers are, and a tiny model for each, made on the spot."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

import psutil
import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = ROOT / ".venvs" / "servers" / "bin"
MAKE_DEADLINE_S: Final = 120.0

# Runs in the servers' own environment, which holds torch. A byte-level tokenizer without merges: every byte is a token.
MAKE_MODEL: Final = """
import sys
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

folder = sys.argv[1]
torch.manual_seed(1)
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {text: number for number, text in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
raw.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
tokenizer.save_pretrained(folder)
config = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
LlamaForCausalLM(config).save_pretrained(folder)
"""


def program(name: str) -> str:
    """Return the path of a server's program; fail with a remedy when it is not there."""
    path = PROGRAMS / name
    if not path.is_file():
        pytest.fail(f"{path} is not there: run `make test-servers`, which builds it")
    return str(path)


def kill_server(url: str) -> None:
    """Kill the child of this process that was told to listen where `url` says."""
    port = url.rsplit(":", 1)[1]
    server = next(one for one in psutil.Process().children(recursive=True) if port in one.cmdline())
    os.kill(server.pid, signal.SIGKILL)


def write_transformers_model(folder: Path) -> Path:
    """Make a model of random weights that `transformers` loads; return its folder."""
    command = [program("python"), "-c", MAKE_MODEL, str(folder)]
    given = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    subprocess.run(command, check=True, env=given, timeout=MAKE_DEADLINE_S, capture_output=True)
    return folder
