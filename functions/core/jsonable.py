"""Values to JSON and back, exactly: a dataclass is an object, an enum its value, a tuple a list.

`decode(cls, encode(value)) == value` for every value built from frozen dataclasses, enums, strings, numbers, None, tuples,
frozensets and mappings with string keys. Fields that are absent from the JSON take their default, and unknown ones are ignored,
so that a record survives the addition and the removal of a field. The types come from the annotations: no JSON names a class.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
# Of these very types a value is its own JSON form: most fields are spared a call, and a snapshot has a hundred thousand of them.
_PLAIN: Final = frozenset({str, int, float, bool, types.NoneType})


class Undecodable(ValueError):
    """The JSON does not fit the type; the message names the type and what was found."""


def encode(value: Any) -> Any:
    """Return the JSON form of a value."""
    cls: Any = type(value)
    return _encoder(cls)(value)


@cache
def _encoder(cls: Any) -> Callable[[Any], Any]:
    """Return what makes JSON of this very type: a snapshot holds ten thousand values of a dozen types."""
    if issubclass(cls, enum.Enum):
        return lambda value: value.value
    if is_dataclass(cls):
        names = tuple(field.name for field in fields(cls))
        return lambda value: {name: held if (held := getattr(value, name)).__class__ in _PLAIN else encode(held) for name in names}
    if issubclass(cls, Mapping):
        return lambda value: {key: encode(item) for key, item in value.items()}
    if issubclass(cls, list | tuple):
        return lambda value: list(map(encode, value))
    if issubclass(cls, set | frozenset):
        return lambda value: sorted(encode(item) for item in value)
    return lambda value: value


def decode(cls: type[_T], data: Any) -> _T:
    """Return the value of type `cls` that `data` is the JSON form of. Raises Undecodable."""
    annotation: Any = cls
    value: _T = _decoder(annotation)(data)
    return value


@cache
def _decoder(annotation: Any) -> Callable[[Any], Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return _optional(annotation)
    if origin is not None:
        return _container(origin, typing.get_args(annotation))
    if is_dataclass(annotation):
        return _object(typing.cast("type[Any]", annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return annotation
    return _scalar(annotation)


def _optional(annotation: Any) -> Callable[[Any], Any]:
    arms = [arm for arm in typing.get_args(annotation) if arm is not types.NoneType]
    if len(arms) != 1:
        raise Undecodable(f"{annotation} is a choice that JSON cannot tell apart")
    inner = _decoder(arms[0])
    return lambda data: None if data is None else inner(data)


def _container(origin: Any, args: tuple[Any, ...]) -> Callable[[Any], Any]:
    item = _decoder(args[1] if issubclass(origin, Mapping) else args[0])
    if issubclass(origin, Mapping):
        return lambda data: {key: item(value) for key, value in _expect(data, dict).items()}
    return lambda data: origin(map(item, _expect(data, list)))


def _object(cls: type[Any]) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(cls)
    decoders = [(field.name, hints[field.name], _decoder(hints[field.name])) for field in fields(cls)]

    def build(data: Any) -> Any:
        given = _expect(data, dict)
        try:
            return cls(
                **{
                    name: held if (held := given[name]).__class__ is kind else decoder(held)
                    for name, kind, decoder in decoders
                    if name in given
                }
            )
        except TypeError as exc:
            raise Undecodable(f"{cls.__name__}: {exc}") from exc

    return build


def _scalar(annotation: Any) -> Callable[[Any], Any]:
    if annotation is float:
        return lambda data: float(_expect(data, int | float))
    if annotation in (int, str, bool):
        return lambda data: _expect(data, annotation)
    return lambda data: data


def _expect(data: Any, kind: Any) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise Undecodable(f"{kind} is needed, {type(data).__name__} was found")
    return data
