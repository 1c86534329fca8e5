"""What we send: an autogroup as the body of a search, a rent request as the body of a create.

Field by field as the official client sends them (vastai 1.9.1 `api/instances.py`, captured on the wire), with these decisions:

* `price` is always there: a number bids, null rents on demand. A bid that is left out is silently rented on demand.
* `cancel_unavail` is always true: what cannot start now fails, instead of leaving a contract that bills its disk.
* Where nothing says how the container is entered, it is entered as it is (`args`): its own entry point starts the worker.
  The official client would put an SSH server in its place. A template says itself how it is run.
* The autogroup's own keys win over its `launch_args`, and the worker's environment over both.
"""

from __future__ import annotations

from typing import Any, Final

from functions.core.launch_args import LaunchArgs, MalformedLaunchArgs, parse_launch_args
from functions.core.model import Autogroup, RentalType
from functions.core.pricing import MICRO_USD_PER_USD
from functions.core.query import Filters, MalformedQuery, parse_order, parse_query
from functions.ports import MarketplaceRefused, RentRequest

SEARCH_LIMIT: Final = 256
# Best benchmark per dollar first, so that a capped answer holds the ones worth having.
BEST_VALUE: Final = [["dlperf_per_dphtotal", "desc"]]
CHEAPEST: Final = [["dph_total", "asc"]]
_MB_PER_GB: Final = 1000
_TYPES: Final = {RentalType.ON_DEMAND: "on-demand", RentalType.INTERRUPTIBLE: "bid", RentalType.RESERVED: "reserved"}


def search_filters(autogroup: Autogroup) -> Filters:
    """Return the conditions that every offer of an autogroup must meet. Raises MarketplaceRefused: they cannot be read."""
    try:
        filters = parse_query(autogroup.search_params)
    except MalformedQuery as exc:
        raise MarketplaceRefused("invalid_search_params", str(exc)) from exc
    if autogroup.gpu_ram > 0:
        filters.setdefault("gpu_ram", {}).setdefault("gte", autogroup.gpu_ram * _MB_PER_GB)
    filters.setdefault("disk_space", {}).setdefault("gte", autogroup.disk_gb)
    return filters


def search_order(autogroup: Autogroup) -> list[list[str]]:
    """Return the order in which offers are asked for. Raises MarketplaceRefused."""
    try:
        return parse_order(autogroup.search_order) or BEST_VALUE
    except MalformedQuery as exc:
        raise MarketplaceRefused("invalid_search_order", str(exc)) from exc


def search_body(autogroup: Autogroup, filters: Filters, order: list[list[str]]) -> dict[str, Any]:
    """Return the body of a search; the prices of its answer are for the autogroup's disk."""
    return {
        **filters,
        "order": order,
        "type": _TYPES[autogroup.rental_type],
        "limit": SEARCH_LIMIT,
        "allocated_storage": autogroup.disk_gb,
    }


def create_body(request: RentRequest) -> dict[str, Any]:
    """Return the body of a create. Raises MarketplaceRefused: the launch arguments cannot be read."""
    autogroup, bid = request.autogroup, request.offer.bid_micro_usd_per_hour
    try:
        launch = parse_launch_args(autogroup.launch_args)
    except MalformedLaunchArgs as exc:
        raise MarketplaceRefused("invalid_launch_args", str(exc)) from exc
    template = autogroup.template_hash or launch.template_hash
    onstart = autogroup.onstart or launch.onstart
    body: dict[str, Any] = {
        "client_id": "me",
        "image": autogroup.image or launch.image,
        "template_hash_id": template,
        "env": {**launch.env, **request.env},
        "price": None if bid is None else bid / MICRO_USD_PER_USD,
        "disk": autogroup.disk_gb,
        "label": request.label,
        "onstart": onstart,
        "image_login": request.image_login,
        "cancel_unavail": True,
        "target_state": "running",
        **_launch_fields(launch),
    }
    runtype = None if template else launch.runtype or ("ssh_direc ssh_proxy" if onstart else "args")
    return {**body, **({"runtype": runtype} if runtype else {}), **({"args": list(launch.args)} if launch.args else {})}


def _launch_fields(launch: LaunchArgs) -> dict[str, Any]:
    return {
        "extra": launch.extra,
        "user": launch.user,
        "jupyter_dir": launch.jupyter_dir,
        "use_jupyter_lab": launch.jupyter_lab,
        "python_utf8": launch.python_utf8,
        "lang_utf8": launch.lang_utf8,
        "force": launch.force,
    }


def body_secrets(request: RentRequest) -> tuple[str, ...]:
    """Return what of a create may be quoted nowhere: the registry's login, whole and in words, and every variable's value."""
    login = request.image_login or ""
    return (login, *login.split(), *request.env.values())
