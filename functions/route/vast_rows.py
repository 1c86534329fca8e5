"""Groups, autogroups and workers in the shapes that Vast's clients demand.

The SDK converts every number of a worker with `float()`, so none is ever null: what is not known is 0. Of Vast's figures,
`reliability`, `cur_load_rolling_avg` and `disk_usage` are not kept here; the first is 1, so that `perf` is what was measured, the
second repeats `cur_load`, the third is 0. Beside Vast's keys stand ours: `worker_id`, `autogroup`, `num_gpus`, the price, and the
worker's own error.
"""

from __future__ import annotations

from typing import Any, Final

from functions.core.jsonable import encode
from functions.core.lifecycle import WorkerState
from functions.core.model import Autogroup, EndpointGroup, Worker
from functions.core.public_ids import autogroup_id, endpoint_id
from functions.core.routing import backlog, is_silent
from functions.core.vast_load import load_in_flight, tells_gauges
from protocol.report import Phase

# One stack has one owner, and its configuration does not say when it was written.
USER_ID: Final = 0
CREATED_AT_S: Final = 0.0

_S = WorkerState
# In Vast's words; what a worker in one of the others is doing, it says itself.
_STATUS: Final = {
    _S.RENTING: "creating",
    _S.STARTING: "starting",
    _S.STOPPING: "stopping",
    _S.STOPPED: "stopped",
    _S.DESTROYING: "destroying",
    _S.DESTROYED: "destroyed",
}
_BOOTING: Final = {Phase.LOADING: "model_loading", Phase.MEASURING: "model_loading", Phase.ERROR: "error"}


def endpoint_row(group: EndpointGroup, *, api_key: str) -> dict[str, Any]:
    """Return a group as `GET /api/v0/endptjobs/` tells it.

    `api_key` is the caller's own: with what stands there Vast's client calls `/route/`. It goes back over the connection by which
    it came, to who has shown to have it.
    """
    spec = encode(group)
    del spec["endpoint"], spec["max_hourly_cost_micro_usd"]
    return {
        "id": endpoint_id(group.endpoint),
        "endpoint_name": group.endpoint,
        **spec,
        "max_hourly_cost_usd": group.max_hourly_cost_micro_usd / 1e6,
        "api_key": api_key,
        "user_id": USER_ID,
        "created_at": CREATED_AT_S,
        "auto_delete_in_seconds": None,
        "auto_delete_due_24h": False,
    }


def autogroup_row(endpoint: str, autogroup: Autogroup, *, api_key: str) -> dict[str, Any]:
    """Return an autogroup as `GET /api/v0/autojobs/` tells it. Its environment is not told: it is for workers."""
    return {
        "id": autogroup_id(endpoint, autogroup.name),
        "name": autogroup.name,
        "endpoint_id": endpoint_id(endpoint),
        "endpoint_name": endpoint,
        "template_hash": autogroup.template_hash or "",
        "image": autogroup.image or "",
        "search_params": autogroup.search_params,
        "launch_args": autogroup.launch_args,
        "gpu_ram": autogroup.gpu_ram,
        "disk_gb": autogroup.disk_gb,
        "api_key": api_key,
        "user_id": USER_ID,
        "created_at": CREATED_AT_S,
    }


def worker_row(worker: Worker, *, now_s: float) -> dict[str, Any]:
    """Return a worker as `POST /get_endpoint_workers/` tells it. `id` is the marketplace's, 0 until it has confirmed the rent."""
    rental, said = worker.rental, worker.condition
    load = backlog(worker)
    held = load_in_flight(worker) if tells_gauges(worker) else said.received_load - said.finished_load
    figures = {
        "cur_load": load,
        "new_load": max(0.0, load - held),  # given, and not seen to arrive yet
        "cur_load_rolling_avg": load,
        "cur_perf": said.perf if said.in_flight else 0.0,
        "perf": said.perf,
        "measured_perf": said.perf,
        "dlperf": rental.dlperf,
        "reliability": 1.0,
        "reqs_working": said.in_flight,
        "disk_usage": 0.0,
        "loaded_at": rental.state_since_s if rental.state is _S.READY else 0.0,
        "started_at": rental.boot_started_at_s or rental.created_at_s,
    }
    ours = {
        "worker_id": worker.worker_id,
        "autogroup": rental.autogroup,
        "num_gpus": rental.num_gpus,
        "running_usd_per_hour": rental.running_micro_usd_per_hour / 1e6,
        "error_msg": said.error,
    }
    told = {"id": rental.instance_id or 0, "status": status_of(worker, now_s=now_s), "gpu_name": rental.gpu_name}
    return {**told, **figures, **ours}


def status_of(worker: Worker, *, now_s: float) -> str:
    """Return what the worker is doing, in Vast's words: `idle` is ready to serve, also while it serves."""
    rental, said = worker.rental, worker.condition
    match rental.state:
        case _S.BOOTING:
            heard = said.reported_at_s > rental.boot_started_at_s
            return _BOOTING.get(said.phase, "loading") if heard else "loading"
        case _S.READY:
            serves = said.phase is Phase.READY and not is_silent(worker, now_s=now_s)
            return "idle" if serves else "error"
        case _S.DRAINING:
            return "stopping" if rental.drain_to is _S.STOPPING else "destroying"
        case state:
            return _STATUS[state]
