"""What the table holds as JSON text: a group's and an autogroup's parameters (written by `pulumi up`), and the scaler's memory.

Unknown keys are ignored, so that a newer stack file and older code get along; a missing or mistyped one is refused by name: a
group must not be scaled by half of its parameters.
"""

from __future__ import annotations

import json
import zlib
from typing import Any, Final, TypeVar

from functions.adapters.dynamodb_items import Attribute, Item, binary
from functions.core.jsonable import decode, encode
from functions.core.model import Autogroup, EndpointGroup
from functions.core.scaler_state import ScalerState
from functions.ports import UnreadableItem

STATE_PLAIN_BYTES_MAX: Final = 1_000

_T = TypeVar("_T")


def decode_group(item: Item) -> EndpointGroup:
    """Return the group of a SPEC item. Raises UnreadableItem."""
    return _decoded(EndpointGroup, item, "spec")


def decode_autogroup(item: Item) -> Autogroup:
    """Return the autogroup of an AUTOGROUP item. Raises UnreadableItem."""
    return _decoded(Autogroup, item, "spec")


def decode_state(item: Item) -> ScalerState:
    """Return the memory in a SCALER item; empty where nothing is remembered yet. Raises UnreadableItem."""
    return _decoded(ScalerState, item, "state") if "state" in item else ScalerState()


def spec_attribute(spec: EndpointGroup | Autogroup | ScalerState) -> dict[str, str]:
    """Return the attribute that holds these parameters, for people to read."""
    return {"S": json_text(encode(spec))}


def state_attribute(state: ScalerState) -> dict[str, Any]:
    """Return the attribute that holds a memory, packed where it is large.

    Every write that the lease fences is charged for the whole item, twice, and this is most of it: 27 KB of a busy group, 6 packed.
    """
    text = json_text(encode(state))
    return {"S": text} if len(text) <= STATE_PLAIN_BYTES_MAX else {"B": zlib.compress(text.encode())}


def json_text(value: Any) -> str:
    """Return compact JSON. Raises ValueError for NaN and infinity."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _decoded(cls: type[_T], item: Item, attribute: str) -> _T:
    try:
        return decode(cls, json.loads(_text(item[attribute])))
    except KeyError as exc:
        raise UnreadableItem(f"{_name(item)}: {attribute} is missing") from exc
    except (ValueError, zlib.error) as exc:  # not JSON, or not these fields
        raise UnreadableItem(f"{_name(item)}: {attribute}: {exc}") from exc


def _text(held: Attribute) -> str:
    if "S" in held:
        return str(held["S"])
    return zlib.decompress(binary(held["B"])).decode()


def _name(item: Item) -> str:
    return f"{item['pk']['S']} {item['sk']['S']}"
