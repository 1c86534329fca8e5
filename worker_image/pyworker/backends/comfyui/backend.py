"""ComfyUI behind a worker: `POST /prompt` with a workflow answers when it has run, with its outputs in the reply.

ComfyUI itself answers at once, with a number to ask by; but whoever may ask the worker something has one ticket, for one request.
"""

from __future__ import annotations

from typing import Final

from pyworker.backend import Ask, Backend, Route, Trial
from pyworker.backends.comfyui.jobs import run_workflow
from pyworker.backends.comfyui.logwatch import LOG_RULES
from pyworker.backends.comfyui.metrics import METRICS, workflow_load
from pyworker.backends.comfyui.workflow import trial_workflow

PROMPT: Final = Route(path="/prompt", load=workflow_load, serve=run_workflow)


def trial(ask: Ask) -> Trial:
    """Ask for a picture of so many megapixel-steps, by the workflow of COMFYUI_TRIAL or a plain one."""
    payload = {"prompt": trial_workflow(ask)}
    return Trial(route=PROMPT, payload=payload, unit_load=workflow_load(payload, 0.0))


BACKEND: Final = Backend(
    name="comfyui",
    routes=(PROMPT,),
    trial=trial,
    trial_units_min=1.3,
    trial_units_max=13.1,
    metrics=METRICS,
    log_rules=LOG_RULES,
    health_path="/system_stats",
    model_url="http://127.0.0.1:8188",
    required_environment=("COMFYUI_DIR",),
)
