"""Read the body of a create (`PUT /asks/{id}/`): what is wanted, checked as the API documents its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sandbox.marketplace.docker_flags import Flags, Port, read_flags
from sandbox.marketplace.errors import Refused, bad_request, no_ssh_key_for_vm
from sandbox.marketplace.ledger import micro_usd

IMAGE_CHARS_MAX: Final = 1_024
LABEL_CHARS_MAX: Final = 256
RELABEL_CHARS_MAX: Final = 1_024
COMMAND_CHARS_MAX: Final = 4_096
BID_USD_MIN: Final = 0.001
BID_USD_MAX: Final = 128.0
# Of a change, for each GPU.
REBID_USD_MAX: Final = 32.0
AMOUNT_USD_MAX: Final = 1_000_000.0
DISK_GB_DEFAULT: Final = 8.0
DISK_GB_MIN: Final = 8.0
DISK_GB_MAX: Final = 100_000.0
_MB_PER_GB: Final = 1_000
_SSH: Final = Port(number=22, protocol="tcp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A create request. `bid_micro_usd_per_hour` is for the whole machine; None rents on demand."""

    image: str
    flags: Flags
    bid_micro_usd_per_hour: int | None
    disk_mb: int
    label: str | None
    onstart: str | None
    args: tuple[str, ...]
    runtype: str
    cancel_unavail: bool
    running: bool
    template: Mapping[str, object] | None

    @property
    def ports(self) -> tuple[Port, ...]:
        """What is published: the flags' ports, and ssh where the run type has it."""
        return (*self.flags.ports, _SSH) if "ssh" in self.runtype and _SSH not in self.flags.ports else self.flags.ports


def read_order(body: Mapping[str, object], template: Mapping[str, object] | None = None) -> Order:
    """Check a create body, merged over its template: scalars of the request win, `env` merges by key. Raises Refused (400)."""
    merged = _merged(body, template) if template else dict(body)
    if merged.get("use_ssh") and body.get("runtype"):
        raise bad_request("error 400: use_ssh can not be combined with runtype")
    if merged.get("vm"):
        raise no_ssh_key_for_vm()
    args, onstart = _args(merged), _text(merged, "onstart", COMMAND_CHARS_MAX)
    if sum(map(len, args)) + len(onstart or "") > COMMAND_CHARS_MAX:
        raise bad_request(f"args, args_str and onstart have at most {COMMAND_CHARS_MAX} characters together")
    bid = _bid(merged.get("price"))
    cancel = merged.get("cancel_unavail")
    return Order(
        image=_image(merged.get("image")),
        flags=read_flags(merged.get("env")),
        bid_micro_usd_per_hour=bid,
        disk_mb=_disk_mb(merged.get("disk")),
        label=read_label(merged.get("label"), chars_max=LABEL_CHARS_MAX),
        onstart=onstart,
        args=args,
        runtype=_text(merged, "runtype", 256) or ("args" if merged.get("args") else "ssh"),
        # Documented server default: keep a queued bid, cancel an on-demand rental that cannot start.
        cancel_unavail=bid is None if cancel is None else bool(cancel),
        running=merged.get("target_state") != "stopped",
        template=template,
    )


def read_label(label: object, *, chars_max: int = RELABEL_CHARS_MAX) -> str | None:
    """Check a label. Raises Refused (400)."""
    if label is None or (isinstance(label, str) and len(label) <= chars_max):
        return label
    raise Refused(400, "invalid_args", f"label_too_long: a label has at most {chars_max} characters")


def read_bid(price: object, *, usd_max: float = BID_USD_MAX) -> int:
    """Check a bid in dollars per machine and hour. Raises Refused (400)."""
    if isinstance(price, bool) or not isinstance(price, (int, float)) or not price >= BID_USD_MIN:
        raise Refused(400, "invalid_price", "Please set a bid price >= 0.001.")
    if price > usd_max:
        raise Refused(400, "invalid_price", f"Please set a bid price <= {usd_max:g}.")
    return micro_usd(price)


def read_usd(amount: object, field: str) -> int:
    """Check an amount of dollars; returns micro-dollars. Raises Refused (400)."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 < amount <= AMOUNT_USD_MAX:
        raise bad_request(f"{field} must be a number of dollars above 0 and at most {AMOUNT_USD_MAX:g}")
    return micro_usd(amount)


def read_rebuilt(order: Order, body: Mapping[str, object], template: Mapping[str, object] | None) -> Order:
    """Return an order with another making: what the body says, else the template, else as it was. Raises Refused (400)."""
    made: dict[str, object] = {"image": order.image, "env": dict(order.flags.given), "onstart": order.onstart}
    if not (template and template.get("args_str")):
        made["args"] = list(order.args)
    given = {name: body[name] for name in ("image", "env", "onstart", "args") if body.get(name) is not None}
    if isinstance(given.get("args"), str):
        given["args"] = str(given["args"]).split()
    merged = {**made, **_merged(given, template)} if template else {**made, **given}
    rebuilt = read_order({**merged, "runtype": merged.get("runtype") or order.runtype})
    return replace(
        order,
        image=rebuilt.image,
        flags=rebuilt.flags,
        onstart=rebuilt.onstart,
        args=rebuilt.args,
        runtype=rebuilt.runtype,
        template=template or order.template,
    )


def _merged(body: Mapping[str, object], template: Mapping[str, object]) -> dict[str, object]:
    given = {key: value for key, value in body.items() if value is not None}
    env = {**_as_dict(template.get("env")), **_as_dict(body.get("env"))}
    scalars = {
        "image": f"{template.get('image')}:{template['tag']}" if template.get("tag") else template.get("image"),
        "onstart": template.get("onstart"),
        "runtype": _template_runtype(template),
        "args_str": template.get("args_str"),
        "disk": _plain_number(template.get("recommended_disk_space")),
    }
    return {**{key: value for key, value in scalars.items() if value}, **given, "env": env}


def _template_runtype(template: Mapping[str, object]) -> object:
    """Return a template's way to connect in the words of a create, which knows direct from proxied connections."""
    match template.get("runtype"):
        case "jupyter":
            return "jupyter_direc ssh_direc ssh_proxy" if template.get("jup_direct") else "jupyter_proxy ssh_proxy"
        case "ssh":
            return "ssh_direc ssh_proxy" if template.get("ssh_direct") else "ssh_proxy"
        case other:
            return other


def _plain_number(value: object) -> object:
    """Return a number that came as text, as the official client sends a template's disk; anything else as it is."""
    try:
        return float(value) if isinstance(value, str) and value.strip() else value
    except ValueError:
        return value


def _as_dict(env: object) -> dict[str, object]:
    return env if isinstance(env, dict) else {}


def _bid(price: object) -> int | None:
    return None if price is None else read_bid(price)


def _image(image: object) -> str:
    if not isinstance(image, str) or not 0 < len(image.strip()) <= IMAGE_CHARS_MAX:
        raise bad_request("error 400/3471: Invalid args: 'image' is required unless a template supplies it")
    return image.strip()


def _disk_mb(disk: object) -> int:
    gb = DISK_GB_DEFAULT if disk is None else disk
    if isinstance(gb, bool) or not isinstance(gb, (int, float)) or not 0 < gb <= DISK_GB_MAX:
        raise bad_request("error 400/3468: Invalid args: 'disk' must be a number of GB")
    return round(max(gb, DISK_GB_MIN) * _MB_PER_GB)


def _text(body: Mapping[str, object], field: str, chars_max: int) -> str | None:
    value = body.get(field)
    if value is None or (isinstance(value, str) and len(value) <= chars_max):
        return value or None
    raise bad_request(f"error 400: Invalid args: '{field}' must be a string of at most {chars_max} characters")


def _args(body: Mapping[str, object]) -> tuple[str, ...]:
    args = body.get("args")
    if isinstance(args, list):
        return tuple(str(word) for word in args)
    return tuple((_text(body, "args_str", COMMAND_CHARS_MAX) or "").split())
