"""The workflow that the performance test runs: one's own (COMFYUI_TRIAL, a file in API format), else a plain text to image.

One's own measures what will be served. Its seeds are made new for each trial, since ComfyUI answers a workflow that it has just run
from memory; its steps and sizes stay.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, Final

from pyworker.backend import Ask, BadBackend
from pyworker.images import SIDE_DEFAULT, steps_for
from pyworker.language import trial_prompt

SEEDS: Final = ("seed", "noise_seed")
CHECKPOINT_DEFAULT: Final = "v1-5-pruned-emaonly.safetensors"


def trial_workflow(ask: Ask) -> dict[str, Any]:
    """Return a workflow with new seeds."""
    given = own_workflow(os.environ.get("COMFYUI_TRIAL", ""))
    workflow: dict[str, Any] = json.loads(given) if given else plain_workflow(ask)
    for node in workflow.values():
        inputs = node.get("inputs")
        for name in SEEDS:
            if isinstance(inputs, dict) and isinstance(inputs.get(name), int):
                inputs[name] = ask.rng.randrange(2**48)
    return workflow


@functools.cache
def own_workflow(path: str) -> str:
    """Return the text of the file, empty if none is named. Raises BadBackend."""
    if not path:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8")
        nodes = json.loads(text)
    except (OSError, ValueError) as exc:
        raise BadBackend(f"COMFYUI_TRIAL={path} cannot be read: {exc}") from exc
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) and "class_type" in node for node in nodes.values()):
        raise BadBackend(f"COMFYUI_TRIAL={path} is no workflow in API format: save it with 'Export (API)'")
    return text


def plain_workflow(ask: Ask) -> dict[str, Any]:
    """Return text to image by COMFYUI_CHECKPOINT, of about the units asked for."""
    checkpoint = os.environ.get("COMFYUI_CHECKPOINT") or CHECKPOINT_DEFAULT
    sampler = {
        "seed": 1,
        "steps": steps_for(ask.units),
        "cfg": 7.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
        "model": ["1", 0],
        "positive": ["2", 0],
        "negative": ["3", 0],
        "latent_image": ["4", 0],
    }
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": trial_prompt(ask), "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": SIDE_DEFAULT, "height": SIDE_DEFAULT, "batch_size": 1}},
        "5": {"class_type": "KSampler", "inputs": sampler},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "headgate"}},
    }
