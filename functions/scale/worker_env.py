"""The environment that a worker is born with: who it is, whom it tells, and what only it may know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from functions.core.model import Autogroup, EndpointGroup
from functions.scale.turn import ScaleSettings
from protocol.worker_token import WorkerIdentity, mint_worker_token

WORKER_PORT: Final = 3000
ADDR_USER: Final = "worker"  # nobody reads it


def worker_env(
    settings: ScaleSettings,
    group: EndpointGroup,
    autogroup: Autogroup,
    identity: WorkerIdentity,
    *,
    peers_perf: float | None = None,
) -> Mapping[str, str]:
    """Return the variables of one worker; holds its token and the autogroup's secrets, so it is never logged.

    Ours win over the autogroup's: a stack file cannot make a worker speak for another one. `peers_perf`, in load units per second,
    is what its like have measured: a worker that stays far below says that it is slow.
    """
    token = mint_worker_token(settings.worker_token_secret, stack=settings.stack, identity=identity)
    return {
        **autogroup.env,
        **settings.secret_env.get(f"{identity.endpoint}/{autogroup.name}", {}),
        "HEADGATE_WORKER_ID": identity.worker_id,
        "HEADGATE_ENDPOINT": identity.endpoint,
        "REPORT_ADDR": _with_token(settings.report_url, token) if autogroup.report_addr_token else settings.report_url,
        "MASTER_TOKEN": token,
        # The worker refuses what the router would not have sent, and nothing that it would.
        "HEADGATE_MAX_QUEUE_TIME": str(group.max_queue_time),
        "WORKER_PORT": str(WORKER_PORT),
        f"-p {WORKER_PORT}:{WORKER_PORT}": "1",
        **({} if peers_perf is None else {"HEADGATE_PEERS_PERF": f"{peers_perf:.3f}"}),
    }


def _with_token(url: str, token: str) -> str:
    """Return the address with the token as its user's password, which HTTP libraries send as a Basic header of every request."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{ADDR_USER}:{token}@{rest}"
