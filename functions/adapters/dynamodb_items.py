"""The table's items: keys, attributes, and the values they hold.

An item's attributes are the fields of the dataclasses stored in it, flat and under their own names (those of `Rental`, `Condition`
and `Assignments` do not collide). Numbers travel as decimals of their shortest exact text, enums and strings as S, tuples as L,
sets of them as SS, None as absence. What is absent takes the field's default when read.
"""

from __future__ import annotations

import base64
import enum
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Final, TypeVar

from functions.core.model import Assignments, Condition, Rental, WaitingRequest, Worker, shard_of
from functions.ports import UnreadableItem

Attribute = Mapping[str, Any]
Item = Mapping[str, Attribute]
Key = dict[str, dict[str, str]]

# DynamoDB's numbers end at 1E-130; nothing here is meant to be that small and not zero.
SMALLEST: Final = 1e-100
AUTOGROUP_SK: Final = "AUTOGROUP#"

_T = TypeVar("_T")


def spec_key(endpoint: str) -> Key:
    """Key of a group's parameters."""
    return _key(f"ENDPOINT#{endpoint}", "SPEC")


def scaler_key(endpoint: str) -> Key:
    """Key of what the scaler holds and remembers: lease, epoch, state."""
    return _key(f"ENDPOINT#{endpoint}", "SCALER")


def update_key(endpoint: str, autogroup: str) -> Key:
    """Key of when it was asked last that an autogroup's workers be replaced."""
    return _key(update_pk(endpoint), autogroup)


def update_pk(endpoint: str) -> str:
    """Partition key of what was asked of a group's workers: of its own, since the router may write no parameters."""
    return f"UPDATE#{endpoint}"


def api_key_key(key_sha256: str) -> Key:
    """Key of an API key's item."""
    return _key(f"KEY#{key_sha256}", "KEY")


def limit_key(label: str) -> Key:
    """Key of what a client has spent of its limits."""
    return _key(f"LIMIT#{label}", "LIMIT")


def worker_key(endpoint: str, worker_id: str) -> Key:
    """Key of a worker's item; the id names its shard."""
    return _key(fleet_pk(endpoint, shard_of(worker_id)), f"WORKER#{worker_id}")


def waiting_key(endpoint: str, request_idx: int) -> Key:
    """Key of the record of a request that waits; padded, so that keys sort as numbers do."""
    return _key(f"WAITING#{endpoint}", f"{request_idx:016d}")


def routed_key(endpoint: str, request_idx: int) -> Key:
    """Key of the record of a request that waited and has been assigned: out of the way of those who wait."""
    return _key(f"WAITING#{endpoint}#ROUTED", f"{request_idx:016d}")


def decision_key(endpoint: str, *, decided_at_s: float, epoch: int) -> Key:
    """Key of a decision record; sorts by time."""
    return _key(f"DECISION#{endpoint}", f"{decided_at_s:017.6f}#{epoch}")


def parts_pk(decision: Item) -> str:
    """Partition key of the parts of a decision record that is too large for one item."""
    return f"{decision['pk']['S']}#{decision['sk']['S']}"


def decision_part_key(decision: Item, index: int) -> Key:
    """Key of one part of a decision record; sorts by its place."""
    return _key(parts_pk(decision), f"{index:04d}")


def fleet_pk(endpoint: str, shard: int) -> str:
    """Partition key of one shard of a group's workers."""
    return f"FLEET#{endpoint}#{shard}"


def number(value: float) -> dict[str, str]:
    """Return the N attribute of a number."""
    return {"N": repr(value) if abs(value) >= SMALLEST else "0"}


def binary(held: bytes | str) -> bytes:
    """Return what a binary attribute holds: bytes through botocore, base64 text as it travels."""
    return held if isinstance(held, bytes) else base64.b64decode(held)


def attributes_of(record: Any) -> dict[str, dict[str, Any]]:
    """Return the attributes that hold a flat dataclass; fields that are None are left out."""
    named = ((name, getattr(record, name)) for name in field_names(type(record)))
    return {name: attribute(value) for name, value in named if value is not None}


def attribute(value: Any) -> dict[str, Any]:
    """Return the attribute that holds one value."""
    if isinstance(value, str):  # an enum of strings too
        return {"S": str(value)}
    if isinstance(value, tuple):
        return {"L": [attribute(each) for each in value]}
    if isinstance(value, frozenset):  # of strings; DynamoDB has no empty one
        return {"SS": sorted(value)}
    return number(value)


def field_names(cls: Any) -> tuple[str, ...]:
    """Return the attribute names of a flat dataclass."""
    return tuple(_readers(cls))


def read(cls: type[_T], item: Item) -> _T:
    """Return the flat dataclass that an item holds. Raises UnreadableItem, naming the item and the field."""
    given = {}
    for name, (reader, required) in _readers(typing.cast("Any", cls)).items():
        held = item.get(name)
        if held is not None:
            given[name] = _apply(reader, held, item, name)
        elif required:
            raise UnreadableItem(f"{_name_of(item)}: {name} is missing")
    return cls(**given)


def read_worker(item: Item) -> Worker:
    """Return the worker of an item: its three records, one writer each."""
    return Worker(
        worker_id=item["sk"]["S"].partition("#")[2],
        endpoint=item["pk"]["S"].split("#")[1],
        rental=read(Rental, item),
        condition=read(Condition, item),
        assignments=read(Assignments, item),
    )


def read_waiting(item: Item) -> WaitingRequest:
    """Return the request of an item."""
    return read(WaitingRequest, item)


def _key(pk: str, sk: str) -> Key:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _name_of(item: Item) -> str:
    return " ".join(item[name].get("S", "?") for name in ("pk", "sk") if name in item)


def _apply(reader: Callable[[Attribute], Any], held: Attribute, item: Item, name: str) -> Any:
    try:
        return reader(held)
    except (KeyError, ValueError) as exc:
        raise UnreadableItem(f"{_name_of(item)}: {name} is not what it should be") from exc


@cache
def _readers(cls: Any) -> dict[str, tuple[Callable[[Attribute], Any], bool]]:
    """Map each field to its reader and whether it has to be there."""
    hints = typing.get_type_hints(cls)
    return {field.name: (_reader(hints[field.name]), field.default is MISSING) for field in fields(cls)}


def _reader(annotation: Any) -> Callable[[Attribute], Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (annotation,) = (arm for arm in typing.get_args(annotation) if arm is not types.NoneType)
    if typing.get_origin(annotation) is tuple:
        item = _reader(typing.get_args(annotation)[0])
        return lambda held: tuple(item(each) for each in held["L"])
    if typing.get_origin(annotation) is frozenset:
        member = _reader(typing.get_args(annotation)[0])
        return lambda held: frozenset(member({"S": each}) for each in held["SS"])
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        by_value = {member.value: member for member in annotation}
        return lambda held: by_value[held["S"]]
    if annotation is str:
        return lambda held: held["S"]
    convert = typing.cast("type[int | float]", annotation)  # int or float
    return lambda held: convert(held["N"])
