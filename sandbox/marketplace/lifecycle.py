"""The life of an instance, as tables.

Two small machines make up what a client sees. The *phase* is what the container does; the *link* is whether its machine is heard.
They are apart because a user may stop or destroy what is offline, and because one machine's link belongs to all its contracts.

    PROVISIONING -> LOADING -> RUNNING <-> STOPPING -> STOPPED -> STARTING -> RUNNING        DESTROYED, from everywhere
                      |  |       |  |                     ^  |
                      |  +-------|--+-> EXITED            |  +-> QUEUED -> STARTING
                      v          |                        |
                    CREATED      +-> REBOOTING, RECYCLING-+        whatever holds GPUs -(preempted)-> STOPPED

Every pair (phase, event) that is missing from `TRANSITIONS` leaves the phase as it is: a repeated stop, or a host's late word about
something that is over. What a phase shows (`VIEWS`), bills (`BILLED`) and holds (`HOLDS_GPUS`) is looked up, never derived.

Billing follows the documentation: GPU only while `running` (that includes the seconds of a stop), storage in every state until
destroyed, nothing while the machine is offline. `unknown` (no heartbeat) is billed as before: a cost exists until the
marketplace says that it does not.

Choices where the documentation is silent: a queued start reads `cur_state: stopped, next_state: running`; a contract whose
container was never made reads `actual_status: stopped` instead of `exited`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """What the container does."""

    PROVISIONING = "provisioning"
    LOADING = "loading"
    CREATED = "created"
    RUNNING = "running"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    STOPPED = "stopped"
    QUEUED = "queued"
    STARTING = "starting"
    REBOOTING = "rebooting"
    RECYCLING = "recycling"
    EXITED = "exited"
    DESTROYED = "destroyed"


class Event(StrEnum):
    """What can happen: asked by the user, decided by the scheduler, or told by the host."""

    HOST_CONTACTED = "host_contacted"
    CONTAINER_UP = "container_up"
    RUNTIME_FAILED = "runtime_failed"
    IMAGE_FAILED = "image_failed"
    CONTAINER_HALTED = "container_halted"
    CONTAINER_ENDED = "container_ended"
    STOP_ASKED = "stop_asked"
    START_GRANTED = "start_granted"
    START_QUEUED = "start_queued"
    REBOOT_ASKED = "reboot_asked"
    RECYCLE_ASKED = "recycle_asked"
    PREEMPTED = "preempted"
    DESTROY_ASKED = "destroy_asked"


class Link(StrEnum):
    """Whether a machine is heard. GONE is an OFFLINE that nobody comes back from."""

    ONLINE = "online"
    SILENT = "silent"
    OFFLINE = "offline"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The four status fields of the API's row. `actual` is None before the host was contacted."""

    actual: str | None
    current: str
    following: str
    intended: str


def _up(actual: str | None) -> View:
    return View(actual=actual, current="running", following="running", intended="running")


TRANSITIONS: Final[dict[tuple[Phase, Event], Phase]] = {
    (Phase.PROVISIONING, Event.HOST_CONTACTED): Phase.LOADING,
    (Phase.PROVISIONING, Event.STOP_ASKED): Phase.CANCELLING,
    (Phase.LOADING, Event.CONTAINER_UP): Phase.RUNNING,
    (Phase.LOADING, Event.RUNTIME_FAILED): Phase.CREATED,
    (Phase.LOADING, Event.IMAGE_FAILED): Phase.EXITED,
    (Phase.LOADING, Event.STOP_ASKED): Phase.CANCELLING,
    (Phase.CREATED, Event.STOP_ASKED): Phase.STOPPED,
    (Phase.CREATED, Event.RECYCLE_ASKED): Phase.RECYCLING,
    (Phase.RUNNING, Event.STOP_ASKED): Phase.STOPPING,
    (Phase.RUNNING, Event.CONTAINER_ENDED): Phase.EXITED,
    (Phase.RUNNING, Event.REBOOT_ASKED): Phase.REBOOTING,
    (Phase.RUNNING, Event.RECYCLE_ASKED): Phase.RECYCLING,
    (Phase.STOPPING, Event.CONTAINER_HALTED): Phase.STOPPED,
    # A start during a stop keeps the GPUs: together they are a reboot.
    (Phase.STOPPING, Event.START_GRANTED): Phase.REBOOTING,
    (Phase.CANCELLING, Event.CONTAINER_HALTED): Phase.STOPPED,
    (Phase.CANCELLING, Event.START_GRANTED): Phase.STARTING,
    (Phase.STOPPED, Event.START_GRANTED): Phase.STARTING,
    (Phase.STOPPED, Event.START_QUEUED): Phase.QUEUED,
    (Phase.QUEUED, Event.START_GRANTED): Phase.STARTING,
    (Phase.QUEUED, Event.STOP_ASKED): Phase.STOPPED,
    (Phase.STARTING, Event.CONTAINER_UP): Phase.RUNNING,
    (Phase.STARTING, Event.IMAGE_FAILED): Phase.EXITED,
    (Phase.STARTING, Event.STOP_ASKED): Phase.CANCELLING,
    (Phase.REBOOTING, Event.CONTAINER_UP): Phase.RUNNING,
    (Phase.REBOOTING, Event.STOP_ASKED): Phase.CANCELLING,
    (Phase.RECYCLING, Event.CONTAINER_UP): Phase.RUNNING,
    (Phase.RECYCLING, Event.IMAGE_FAILED): Phase.EXITED,
    (Phase.RECYCLING, Event.STOP_ASKED): Phase.CANCELLING,
    (Phase.EXITED, Event.STOP_ASKED): Phase.STOPPED,
    (Phase.EXITED, Event.START_GRANTED): Phase.STARTING,
    (Phase.EXITED, Event.REBOOT_ASKED): Phase.REBOOTING,
    (Phase.EXITED, Event.RECYCLE_ASKED): Phase.RECYCLING,
    # A higher bid, or somebody who pays the full price, takes the GPUs at once.
    **{(phase, Event.PREEMPTED): Phase.STOPPED for phase in Phase if phase not in {Phase.STOPPED, Phase.QUEUED, Phase.DESTROYED}},
    **{(phase, Event.DESTROY_ASKED): Phase.DESTROYED for phase in Phase if phase is not Phase.DESTROYED},
}

VIEWS: Final[dict[Phase, View]] = {
    Phase.PROVISIONING: _up(None),
    Phase.LOADING: _up("loading"),
    Phase.CREATED: _up("created"),
    Phase.RUNNING: _up("running"),
    Phase.STOPPING: View(actual="running", current="running", following="stopped", intended="stopped"),
    Phase.CANCELLING: View(actual="loading", current="running", following="stopped", intended="stopped"),
    Phase.STOPPED: View(actual="exited", current="stopped", following="stopped", intended="stopped"),
    Phase.QUEUED: View(actual="exited", current="stopped", following="running", intended="running"),
    Phase.STARTING: _up("loading"),
    Phase.REBOOTING: _up("rebooting"),
    Phase.RECYCLING: _up("recycling"),
    Phase.EXITED: _up("exited"),
    Phase.DESTROYED: View(actual="exited", current="unloaded", following="unloaded", intended="stopped"),
}

GPU_BILLED: Final = frozenset({Phase.RUNNING, Phase.STOPPING})
STORAGE_BILLED: Final = frozenset(Phase) - {Phase.DESTROYED}
HOLDS_GPUS: Final = frozenset(Phase) - {Phase.STOPPED, Phase.QUEUED, Phase.DESTROYED}
# Of these, a stop that comes from the marketplace itself (no credit, contract over, outbid) has something to stop.
STOPPABLE: Final = frozenset(phase for phase, event in TRANSITIONS if event is Event.STOP_ASKED)
BILLED_LINKS: Final = frozenset({Link.ONLINE, Link.SILENT})
LINK_STATUS: Final[dict[Link, str]] = {Link.SILENT: "unknown", Link.OFFLINE: "offline", Link.GONE: "offline"}


def following_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase after `event`; the same phase when the event means nothing to it."""
    return TRANSITIONS.get((phase, event), phase)


def shown_status(phase: Phase, link: Link, *, container_made: bool) -> str | None:
    """Return `actual_status`: what the host's heartbeat last said, or that there is none."""
    if link in LINK_STATUS:
        return LINK_STATUS[link]
    if phase in {Phase.STOPPED, Phase.QUEUED} and not container_made:
        return "stopped"
    return VIEWS[phase].actual
