"""What the services need of the world, as small Protocols. The docstrings are the contract; one suite a port tests every adapter.

Errors, named for what the caller does next:

    PortError
    ├── StoreUnavailable         retried within the deadline already: answer 503, or end the tick and let the next one resume
    ├── UnreadableItem           an item or a secret is missing or not what it should be: raise the alarm; a person must mend it
    ├── BudgetSpent              the client has sent what its limit allows: let it wait, or answer 429
    ├── AssignmentRefused        the worker is full, not ready or gone: try the next one
    ├── WorkerGone               the report speaks for a worker that no longer exists: answer 410, change nothing
    ├── NumberTaken              take another request number
    ├── StaleReport              an older report than the stored one: answer 200, change nothing
    ├── VaultChanged             someone else has changed the signing keys: read them again, decide again
    ├── LeaseLost                another scaler has taken over: stop at once, write nothing more
    ├── OfferGone                rented by someone else meanwhile: take the next offer
    ├── InstanceGone             no such instance: a release is done
    ├── MarketplaceBusy          timeout or 5xx: the effect may or may not have happened; keep the intent, look again
    │   └── MarketplaceThrottled rate limit: refused before anything happened; try again later
    └── MarketplaceRefused       credit, key, or a request that can never succeed: stop renting, raise the alarm
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from functions.core.model import (
    ApiKey,
    Assignments,
    Autogroup,
    Condition,
    EndpointGroup,
    Instance,
    Offer,
    Rental,
    Settlement,
    WaitingRequest,
    Worker,
)
from functions.core.rate_limit import Budgets, Price
from functions.core.record import DecisionRecord
from functions.core.scaler_state import ScalerState
from functions.key_ports import PublicKeySource
from protocol.vast_report import VastReport

FORGOTTEN_AT_ONCE_MAX: Final = 25  # what DynamoDB takes in one batch
DESTROYED_AT_ONCE_MAX: Final = 64  # what the marketplace documents for its other calls about several instances


class PortError(Exception):
    """Root of everything that a port may raise."""


class StoreUnavailable(PortError):
    """The table did not answer within its deadline (throttled, timed out or 5xx)."""


class UnreadableItem(PortError):
    """A stored item or secret does not hold what it should; the message names it and the field, never a secret's content."""


class BudgetSpent(PortError):
    """A budget that was asked for is spent; nothing was written. `found` is how the budgets stand."""

    def __init__(self, found: Budgets) -> None:
        super().__init__(f"spent until {found}")
        self.found = found


class AssignmentRefused(PortError):
    """The worker cannot take this request now; nothing was written."""


class WorkerGone(PortError):
    """No such worker, or it is destroyed; nothing was written."""


class NumberTaken(PortError):
    """Another request has a record under this number; nothing was written."""


class StaleReport(PortError):
    """A report of the same run that is as new or newer is stored; nothing was written. `stored` is the worker as it is."""

    def __init__(self, stored: Worker) -> None:
        super().__init__(f"{stored.worker_id}: report {stored.condition.seq} is stored already")
        self.stored = stored


class VaultChanged(PortError):
    """The signing keys are no longer as they were read; nothing was written."""


class LeaseLost(PortError):
    """Another scaler holds the group's lease; nothing was written."""


class OfferGone(PortError):
    """The offer is no longer for rent; nothing was rented."""


class InstanceGone(PortError):
    """The marketplace knows no such instance (any more)."""


class MarketplaceBusy(PortError):
    """No certain answer. For a mutation: it may have happened. `retry_after_s` is the marketplace's advice, 0 if none."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MarketplaceThrottled(MarketplaceBusy):
    """Too many calls: this one had no effect."""


class MarketplaceRefused(PortError):
    """The marketplace said no and will say so again: `code` is its error, such as `auth_error` or `missing_billing`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Clock(Protocol):
    """Time, so that tests own it."""

    def now_s(self) -> float:
        """Return epoch seconds."""

    def wait_s(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""


class Signer(Protocol):
    """The route function's keys."""

    @property
    def key_id(self) -> str:
        """Name of the key that signs now; goes into the ticket."""

    def sign(self, message: bytes) -> bytes:
        """Return the raw Ed25519 signature (64 bytes) of `message`."""

    def sign_rsa(self, message: bytes) -> bytes:
        """Return the raw RSA signature (PKCS#1 v1.5 over SHA-256, 256 bytes) of `message`, for Vast's own workers.

        What it takes is loaded by the first call, so that a stack without such workers never pays for it. Raises UnreadableItem
        when there is no such key.
        """


class ScaleWaker(Protocol):
    """How a router makes the scaler look at once."""

    def wake(self, endpoint: str) -> None:
        """Ask for a tick of `endpoint`, asynchronously; a failure is swallowed, since the schedule comes anyway."""


class RouteStore(PublicKeySource, Protocol):
    """The table as the router uses it. Every method raises StoreUnavailable; reads may lag by some milliseconds."""

    def api_key(self, key_sha256: str) -> ApiKey | None:
        """Return the key of this hash, None if there is none. One read."""

    def group(self, endpoint: str) -> EndpointGroup | None:
        """Return the group's parameters, None if there is no such group. One read. Raises UnreadableItem."""

    def workers(self, endpoint: str, shards: Sequence[int]) -> list[Worker]:
        """Return the workers of these shards in every state but DESTROYED. One query a shard."""

    def waiting(self, endpoint: str, *, limit: int) -> list[WaitingRequest]:
        """Return the requests that are not assigned, in order of arrival, those included whose client has left. One query.

        At most `limit`, oldest numbers first.
        """

    def scaler_state(self, endpoint: str) -> ScalerState:
        """Return what the scaler remembers, which says why it may rent nothing; empty if there is nothing. One read."""

    def autogroups(self, endpoint: str) -> list[Autogroup]:
        """Return the group's machine configurations by name. For people: one query. Raises UnreadableItem."""

    def recent_decisions(self, endpoint: str, *, limit: int) -> list[DecisionRecord]:
        """Return the newest decision records, oldest first, at most `limit`. For people: one query.

        Of a very large record the sentences may be all that is returned.
        """

    def assign(
        self,
        worker: Worker,
        *,
        cost: float,
        assigned_load_max: float,
        expires_at_s: float,
        settlement: Settlement | None = None,
    ) -> Assignments:
        """Give `cost` to the worker in ONE conditional write and return the new totals.

        The condition: it exists, is READY, its phase is `ready`, and its assigned_load is at most `assigned_load_max`; with a
        `settlement`, which is then noted, also that nobody has been assigned since `worker` was read; without one, what is
        settled is returned as `worker` has it. Raises AssignmentRefused when the condition fails. Two calls can never get the
        same reqnum.
        """

    def ask_update(self, endpoint: str, autogroup: str, *, asked_at_s: float, settled_s: float) -> float:
        """Note that workers of this autogroup that were born before `asked_at_s` are to be replaced, in ONE conditional write.

        Returns the moment that stands: an earlier one, if it is less than `settled_s` seconds old, since whoever repeats a call
        whose answer was lost means the same.
        """

    def cancel_update(self, endpoint: str, autogroup: str) -> None:
        """Take back that workers of this autogroup are to be replaced; no error if nobody had asked. One write."""

    def spend(self, label: str, asked: Price, *, now_s: float, known: Budgets) -> Budgets:
        """Take `asked` of a client's budgets if none of them is overdrawn at `now_s`, and return how they stand then.

        `known` is how the caller believes that they stand: ONE conditional write if that is about right, else two; more only while
        others change them at the same moment. Raises BudgetSpent.
        """

    def request(self, endpoint: str, request_idx: int) -> WaitingRequest | None:
        """Return the record of a request, None if it has none. Sees every write before it. One read, two if it is assigned."""

    def add_request(self, endpoint: str, request: WaitingRequest, *, expires_at_s: float) -> None:
        """Write the first record of a request that waits, in ONE conditional write; it may be forgotten after `expires_at_s`.

        Raises NumberTaken when there is a record of that number that waits: two routers may draw one at the same moment.
        """

    def put_request(self, endpoint: str, request: WaitingRequest, *, expires_at_s: float) -> None:
        """Write the whole record of a request that has its number; it may be forgotten after `expires_at_s`.

        One write, two if it is assigned.
        """

    def forget_requests(self, endpoint: str, request_idxs: Sequence[int]) -> None:
        """Delete these records unless they are assigned, at most FORGOTTEN_AT_ONCE_MAX; unknown ones are no error. One call."""


class ReportStore(PublicKeySource, Protocol):
    """The table as the report function uses it. Every method raises StoreUnavailable."""

    def put_condition(self, endpoint: str, worker_id: str, condition: Condition) -> Worker:
        """Replace what the worker said last in ONE conditional write and return the worker as it now is.

        Raises WorkerGone when the worker does not exist or is DESTROYED, StaleReport when the stored condition is of the same
        run and has an equal or higher seq.
        """

    def merge_condition(self, endpoint: str, worker_id: str, said: VastReport, *, now_s: float) -> Worker:
        """Take over what one of Vast's workers said, in ONE conditional write, and return the worker as it now is.

        What was not said stays as it is. If it says how many requests are in flight, what routers have assigned by now is noted
        in `assigned_seen_load`, and what that was before in `assigned_before_load`. Raises WorkerGone.
        """

    def delete_requests(self, endpoint: str, request_idxs: Sequence[int], *, worker_id: str) -> int:
        """Forget the records of these requests that are assigned to this worker; return how many there were.

        Others are left alone: unknown, waiting still, or with another worker meanwhile. One conditional write each.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to change one group until `until_s`. `epoch` fences: a write with an older epoch than the stored one fails."""

    endpoint: str
    owner: str
    epoch: int
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecords:
    """Everything stored about one group."""

    group: EndpointGroup
    autogroups: tuple[Autogroup, ...]
    workers: tuple[Worker, ...]
    waiting: tuple[WaitingRequest, ...]
    state: ScalerState
    updates: Mapping[str, float] = field(default_factory=dict)  # by autogroup: when it was asked last that its workers be replaced


class ScaleStore(Protocol):
    """The table as the scaler uses it. Every method raises StoreUnavailable."""

    def acquire_lease(self, endpoint: str, *, owner: str, now_s: float, duration_s: float) -> Lease | None:
        """Take the group's lease if it is free or expired, raising its epoch; None while another holds it."""

    def overtake_lease(self, endpoint: str, *, owner: str, now_s: float, duration_s: float) -> Lease:
        """Take the group's lease from whoever holds it, raising its epoch: they can write nothing more.

        A call to the marketplace that they have begun may still have its effect, until their lease would have run out.
        """

    def renew_lease(self, lease: Lease, *, now_s: float, duration_s: float) -> Lease:
        """Extend the lease. Raises LeaseLost."""

    def release_lease(self, lease: Lease) -> None:
        """Give the lease back; no error if it is lost already."""

    def load(self, endpoint: str) -> GroupRecords | None:
        """Read the whole group, strongly consistent, tombstones included; None if the group does not exist."""

    def put_rental(self, lease: Lease, worker_id: str, rental: Rental) -> None:
        """Write the scaler's record of a worker, creating the item if need be, fenced by the epoch. Raises LeaseLost."""

    def forget_worker(self, lease: Lease, worker_id: str) -> None:
        """Delete a DESTROYED worker's item. Raises LeaseLost."""

    def put_state(self, lease: Lease, state: ScalerState) -> None:
        """Write what the scaler has learned. Raises LeaseLost."""

    def put_decision(self, lease: Lease, record: DecisionRecord, *, expires_at_s: float) -> None:
        """Store a decision record. Raises LeaseLost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RentRequest:
    """One create, complete. `env` includes the worker's token, `image_login` a registry's password: neither shows in a repr.

    `image_login` is `-u USER -p TOKEN registry`, None for an image that anybody may pull.
    """

    offer: Offer
    label: str
    autogroup: Autogroup
    env: Mapping[str, str] = field(repr=False)
    image_login: str | None = field(default=None, repr=False)


class Marketplace(Protocol):
    """Where GPUs are rented.

    Every method may raise MarketplaceBusy, MarketplaceThrottled and MarketplaceRefused; every call ends in time, answered or not.
    One that changes something is sent once: after MarketplaceBusy it may have happened, after the two others it has not.
    """

    def search(self, autogroup: Autogroup) -> list[Offer]:
        """Return the offers that match now, each once, cheapest first.

        Prices are for the autogroup's disk and way of renting, with our bid where it bids: an offer whose least bid is above the
        autogroup's most is left out. Every filter is checked again on our side (the server may ignore some), a row that
        cannot be read is left out, and an answer that was cut off is asked for once more in another order.
        """

    def create(self, request: RentRequest) -> int:
        """Rent the offer as it is priced, on demand or by its bid, and return the instance id.

        NOT idempotent: after MarketplaceBusy it may have happened, so list by label before trying again. Raises OfferGone, also
        for a bid that is too low by now. A contract that was created but did not start counts as created: the caller sees in
        `instances` that it does not want to run, and destroys it. What was rented may be something else than the offer: see
        `core.verifying`.
        """

    def instances(self, label_prefix: str) -> list[Instance]:
        """Return all instances whose label begins with the prefix, all pages. The list may lag some seconds behind."""

    def instance(self, instance_id: int) -> Instance | None:
        """Return one instance, None if it does not exist (any more): the authoritative answer of a release."""

    def start(self, instance_id: int) -> bool:
        """Ask to start; False when it was queued because its GPUs are taken (it may start and bill later). Raises InstanceGone."""

    def stop(self, instance_id: int) -> None:
        """Ask to stop; asynchronous. Raises InstanceGone."""

    def reboot(self, instance_id: int) -> None:
        """Ask for a stop and a start that keep the GPUs and the disk; asynchronous.

        Raises InstanceGone, and MarketplaceRefused (`invalid_id`) where no container runs.
        """

    def recycle(self, instance_id: int) -> None:
        """Ask for a new container of the same image that keeps the GPUs, not the disk; asynchronous. Raises as `reboot` does."""

    def label(self, instance_id: int, label: str) -> None:
        """Change the label, by which `instances` finds it. Raises InstanceGone."""

    def change_bid(self, instance_id: int, *, bid_micro_usd_per_hour: int) -> None:
        """Bid another price for a machine that was rented by a bid; it may be stopped or start by that.

        Raises InstanceGone, and MarketplaceRefused where it was rented on demand or the bid is no price.
        """

    def destroy(self, instance_id: int) -> None:
        """Destroy; asynchronous and idempotent. Raises InstanceGone when it is gone already."""

    def destroy_all(self, instance_ids: Sequence[int]) -> None:
        """Destroy all of these that exist, at most DESTROYED_AT_ONCE_MAX, in one call; asynchronous and idempotent.

        Raises InstanceGone when none of them exists (any more): repeated after a destroy, that confirms them all.
        """

    def logs(self, instance_id: int, *, lines: int) -> str:
        """Return the last lines of the instance's log. Raises InstanceGone."""

    def credit_micro_usd(self) -> int:
        """Return what is left of the account's credit; below zero everything is stopped, and storage goes on billing."""
