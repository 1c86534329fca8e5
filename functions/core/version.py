"""The version of an autogroup: a short hash of what its workers are born with, so that a change of it takes a new instance.

What a running container was started from cannot be changed in it: its image or template, its environment with what is secret in
it and the login that its image was pulled with, its start-up commands and launch arguments, and its disk, which the marketplace
cannot resize. Two autogroups of one version start the same worker.

Not part of it, since these concern the next rent alone:

* `search_params`, `search_order`, `gpu_ram`: which machine is looked for. A worker that serves on another one serves.
* `download_gb`, `traffic_gb_per_hour`: what its offers are judged by.
* `rental_type`, `bid_factor`, `max_bid_micro_usd`, `on_demand_fallback`: how the next machine is paid for. Giving up one that is
  paid for gains nothing.
* `boot_timeout_s`: for how long to wait for it; it also holds for those that boot now.
* `name`: autogroups of different names are different things already.
* the group's parameters, although a worker is told `max_queue_time` at its birth: it would turn every retuning, and every
  schedule, into a replacement of the fleet. Whoever wants it in all workers asks for an update (`/update_workers/`).

Secrets enter as a keyed digest that the scale function makes (`scale.secret_digest`): a rotated secret is a new version, and
nothing that is stored, recorded or logged tells anything of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields, replace
from typing import Any, Final

from functions.core.jsonable import encode
from functions.core.model import Autogroup

# A test holds these and the others to be all there is: whoever adds a field decides what its change takes.
BORN_WITH: Final = ("image", "template_hash", "env", "onstart", "launch_args", "disk_gb", "report_addr_token")
VERSION_LENGTH: Final = 12  # hexadecimal digits: 48 bits, among the few dozen versions that one autogroup ever has


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_DEFAULTS: Final = {field.name: _default(field) for field in fields(Autogroup)}


def version_of(autogroup: Autogroup, *, secrets: str = "") -> str:
    """Return the version of the workers that are rented by these parameters. `secrets` is the digest of what is secret, or ""."""
    # What is at its default is left out, so that a field that is added later does not make every version another one.
    said = {name: encode(value) for name in BORN_WITH if (value := getattr(autogroup, name)) != _DEFAULTS[name]}
    text = _CANONICAL.encode({**said, "secrets": secrets} if secrets else said)
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]


def reborn(autogroup: Autogroup, earlier: Autogroup) -> Autogroup:
    """Return how to rent a worker of an earlier version now: found and paid for as today, started as then."""
    return replace(autogroup, **{name: getattr(earlier, name) for name in BORN_WITH})
