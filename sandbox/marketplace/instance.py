"""A contract: one rented instance, from its creation until for ever (destroyed contracts are kept for their bill)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sandbox.marketplace.faults import Fate
from sandbox.marketplace.ledger import Tariff
from sandbox.marketplace.lifecycle import VIEWS, Phase, View, shown_status
from sandbox.marketplace.machine import Machine
from sandbox.marketplace.order import Order

MICROSECONDS: Final = 1_000_000
HISTORY_MAX: Final = 512

# Verbatim shapes, from the public self-test sweep of 2024 and third-party clients.
_REGISTRY: Final = 'Error response from daemon: Get "https://registry-1.docker.io/v2/": '
DOCKER_ERRORS: Final = (
    "Error response from daemon: unknown or invalid runtime name: nvidia",
    f"{_REGISTRY}dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: read udp 127.0.0.1:56330->127.0.0.53:53: i/o timeout",
    f"{_REGISTRY}EOF",
    f"{_REGISTRY}net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
    f"{_REGISTRY}dial tcp: lookup registry-1.docker.io: no such host",
    f"{_REGISTRY}dial tcp [2001:db8::1]:443: connect: network is unreachable",
)
OCI_ERROR: Final = (
    "Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: runc "
    "create failed: unable to start container process: error during container init: unknown"
)
# A fate of these never gets further than the pull, and says why.
STUCK_FATES: Final = frozenset({Fate.DOCKER_ERROR, Fate.IMAGE_MISSING, Fate.IMAGE_PRIVATE})
BOOTING: Final = frozenset({Phase.LOADING, Phase.STARTING, Phase.RECYCLING})
_LAYERS: Final = ("59729b65119e", "7a5c1f0b2d34", "c3e8f4a7b901", "e11d54fb3dcf")


def to_us(seconds: float) -> int:
    """Return whole microseconds, the world's unit of time."""
    return round(seconds * MICROSECONDS)


def to_s(us: int) -> float:
    """Return seconds, as the API shows them."""
    return us / MICROSECONDS


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of a contract's history: from `at_us` on it showed `status` (None: nothing yet) in `phase`."""

    at_us: int
    phase: Phase
    status: str | None


@dataclass(slots=True, kw_only=True)
class Contract:
    """One instance. `gpu_ids` is empty while it holds none; `num_gpus` is what it is for.

    `outbid` waits for its bid to win; `stint` counts how often it got GPUs; `busy`, if it was said, is how much of
    them it uses.
    """

    contract_id: int
    order: Order
    machine: Machine
    num_gpus: int
    min_bid_micro_usd_per_hour: int
    tariff: Tariff
    created_us: int
    term_ends_s: float
    instance_key: str = field(repr=False)
    jupyter_token: str = field(repr=False)
    label: str | None = None
    deposit_micro_usd: int = 0
    discount: float = 0.0
    gpu_ids: tuple[int, ...] = ()
    phase: Phase = Phase.STOPPED
    epoch: int = 0
    entered_us: int = 0
    pull_ends_us: int | None = None
    running_since_us: int | None = None
    container_made: bool = False
    has_process: bool = False
    outbid: bool = False
    stint: int = 0
    busy: float | None = None
    up_bytes: int = 0
    down_bytes: int = 0
    fate: Fate | None = None
    fate_pending: bool = True
    performance: float = 1.0
    announced_ipaddr: str = ""
    status_msg: str | None = None
    ports: dict[str, int] = field(default_factory=dict)
    listed_from_us: int = 0
    listed_until_us: int | None = None
    destroyed_us: int | None = None
    history: list[Moment] = field(default_factory=list)
    lasting: tuple[tuple[object, ...], str] | None = field(default=None, repr=False, compare=False)

    @property
    def is_bid(self) -> bool:
        """Whether it is interruptible."""
        return self.order.bid_micro_usd_per_hour is not None

    @property
    def bid_micro_usd_per_gpu_hour(self) -> int:
        """What it pays for each GPU, by which bids are compared."""
        return self.tariff.gpu_micro_usd_per_hour // self.num_gpus

    @property
    def bid_is_enough(self) -> bool:
        """Whether the host takes it: any on-demand rental, and bids from the host's lowest on."""
        return not self.is_bid or self.tariff.gpu_micro_usd_per_hour >= self.machine.bid_micro_usd_per_hour * self.num_gpus

    @property
    def disk_used_gb(self) -> float:
        """What was downloaded, the image among it."""
        return self.down_bytes / 1e9

    @property
    def alive(self) -> bool:
        """Whether it exists: not destroyed."""
        return self.phase is not Phase.DESTROYED

    @property
    def view(self) -> View:
        """The four status fields."""
        return VIEWS[self.phase]

    @property
    def actual_status(self) -> str | None:
        """What the row shows as `actual_status`."""
        return shown_status(self.phase, self.machine.link, container_made=self.container_made)

    @property
    def ports_shown(self) -> bool:
        """Ports are in the row only while it runs and is heard."""
        return self.actual_status == "running"

    def listed(self, now_us: int) -> bool:
        """Whether a list shows it: lists may learn late of a create, and of a destroy."""
        if self.alive:
            return now_us >= self.listed_from_us
        return self.listed_until_us is not None and now_us < self.listed_until_us

    def note(self, now_us: int) -> None:
        """Add the present state to the history if it is new."""
        moment = Moment(now_us, self.phase, self.actual_status)
        if len(self.history) < HISTORY_MAX and (
            not self.history or self.history[-1].status != moment.status or self.history[-1].phase != self.phase
        ):
            self.history.append(moment)

    def pull_error(self) -> str | None:
        """Return what docker says when its fate is not to get its image; None for any other fate."""
        image = self.order.image
        match self.fate:
            case Fate.DOCKER_ERROR | Fate.DOCKER_ERROR_EXITED:
                return DOCKER_ERRORS[self.contract_id % len(DOCKER_ERRORS)]
            case Fate.IMAGE_MISSING:
                return f"Error response from daemon: manifest for {image} not found"
            case Fate.IMAGE_PRIVATE:
                name = image.partition(":")[0]
                return f"pull access denied for {name}, repository does not exist or may require authorization"
            case _:
                return None

    def message(self, now_us: int) -> str | None:
        """Return `status_msg`: progress while an image is pulled, else the last word of the host."""
        if self.phase in BOOTING and self.fate in STUCK_FATES:
            return self.pull_error()
        if self.phase is not Phase.LOADING or self.pull_ends_us is None:
            return self.status_msg
        done = (now_us - self.entered_us) / max(1, self.pull_ends_us - self.entered_us)
        step = int(min(max(done, 0.0), 0.999) * 2 * len(_LAYERS))
        layer = _LAYERS[step // 2]
        return f"{layer}: Pull complete\n" if step % 2 else f"{layer}: Downloading\n"
