"""What an operation of DynamoDB is charged, reckoned from what it sends and what comes back.

Sizes and units as documented (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
.../read-write-operations.html): a name and a text are their bytes of UTF-8, a number half its significant digits and one byte, a
list or map three bytes and one an element. A write is charged by KB of the item, the larger of before and after; within a
transaction twice, a condition check too. A strongly consistent read is charged by 4 KB, a query by the sum of its items a page.

Before an item has been seen, its size is that of what is sent for it; the scaler reads a group before it writes anything of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from functions.adapters.aws_api import Api

WRITE_UNIT_BYTES: Final = 1_024
READ_UNIT_BYTES: Final = 4_096
TRANSACTION_FACTOR: Final = 2


@dataclass(slots=True)
class Meter:
    """An `Api` that counts what it passes on."""

    api: Api
    read_units: float = 0.0
    write_units: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    _sizes: dict[str, int] = field(default_factory=dict)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a call, and count it."""
        answer: Mapping[str, Any] = self.api.call(operation, dict(parameters))
        self.operations[operation] += 1
        match operation:
            case "Query":
                self._read(answer["Items"], consistent=bool(parameters.get("ConsistentRead")))
            case "GetItem":
                self._read([answer["Item"]] if "Item" in answer else [], consistent=bool(parameters.get("ConsistentRead")))
            case "TransactWriteItems":
                steps = (step for each in parameters["TransactItems"] for step in each.values())
                self.write_units += sum(TRANSACTION_FACTOR * self._write(step) for step in steps)
            case _:
                self.write_units += self._write(parameters)
        return answer

    def _read(self, items: list[Mapping[str, Any]], *, consistent: bool) -> None:
        for item in items:
            self._sizes[_name(item)] = size(item)
        units = max(1, math.ceil(sum(map(size, items)) / READ_UNIT_BYTES))
        self.read_units += units if consistent else units / 2

    def _write(self, step: Mapping[str, Any]) -> int:
        key = step.get("Key") or step["Item"]
        sent = size(step["Item"]) if "Item" in step else size(step.get("ExpressionAttributeValues", {}))
        known = self._sizes.get(_name(key), 0)
        # An update sends a part of the item, so the whole is at least what was read.
        after = sent if "Item" in step else max(known, sent)
        self._sizes[_name(key)] = after
        return math.ceil(max(known, after, 1) / WRITE_UNIT_BYTES)


def size(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes of an item."""
    return sum(len(name.encode()) + _value_size(value) for name, value in attributes.items())


def _value_size(value: Mapping[str, Any]) -> int:
    [(kind, held)] = value.items()
    match kind:
        case "S" | "SS":
            return sum(len(text.encode()) for text in ([held] if kind == "S" else held))
        case "N":
            return math.ceil(len(str(held).strip("-0.")) / 2) + 1
        case "B":
            return len(held)
        case "L":
            return 3 + sum(1 + _value_size(each) for each in held)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(each) for name, each in held.items())
        case _:
            return 1


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['pk']['S']} {item['sk']['S']}"
