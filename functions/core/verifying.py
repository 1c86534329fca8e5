"""Is what was rented what was asked for? The marketplace is asked once for an offer and may answer with something else.

Met in practice: another machine than the one that was searched for, and an instance on demand where a bid had been left out
(vast-cli#403), at several times the price. Each is found by comparing the instance's row with what was offered, and each costs
until it is destroyed. A price that differs before a worker serves is one more such difference; one that differs later was raised,
and is reckoned with until the worker has been replaced (see `replacing`). What a row does not say is no difference: it is looked at
again with the next list.
"""

from __future__ import annotations

from functions.core.model import Instance, Rental
from functions.core.pricing import PRICE_TOLERANCE, dollars


def mismatch(rental: Rental, instance: Instance) -> str | None:
    """Say what of the instance is not as it was offered, None if it is as far as its row tells."""
    return other_machine(rental, instance) or dearer(rental, instance)


def other_machine(rental: Rental, instance: Instance) -> str | None:
    """Say what of the instance but its price is not as it was offered, None if nothing is."""
    if instance.machine_id and rental.machine_id and instance.machine_id != rental.machine_id:
        return f"machine {instance.machine_id} instead of {rental.machine_id} as offered"
    if instance.gpu_name and rental.gpu_name and instance.gpu_name != rental.gpu_name:
        return f"a {instance.gpu_name} instead of a {rental.gpu_name} as offered"
    if instance.num_gpus and instance.num_gpus != rental.num_gpus:
        return f"{instance.num_gpus} GPUs instead of {rental.num_gpus} as offered"
    bids = rental.bid_micro_usd_per_hour is not None
    if instance.interruptible is not None and instance.interruptible is not bids:
        return "rented on demand although a bid was asked" if bids else "rented by a bid although none was asked"
    return None


def dearer(rental: Rental, instance: Instance) -> str | None:
    """Say by how much the instance costs more than is reckoned with, None if it does not."""
    if instance.running_micro_usd_per_hour <= rental.running_micro_usd_per_hour * PRICE_TOLERANCE:
        return None
    billed, offered = dollars(instance.running_micro_usd_per_hour), dollars(rental.running_micro_usd_per_hour)
    return f"billed {billed} an hour, offered at {offered}"
