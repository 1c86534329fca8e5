"""The check remembers what it has seen, so that rules about the whole stack work while the stack becomes known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policies import rules
from policies.declared import Declared
from policies.stack_check import StackCheck

UNKNOWN = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A resource as a deployer knows it."""

    urn: str
    type: str
    name: str = "it"
    inputs: Mapping[str, Any] = field(default_factory=dict)


def planned(resource: Declared) -> Planned:
    return Planned(urn=f"{resource.type}::{resource.name}", type=resource.type, name=resource.name, inputs=resource.props)


def test_the_real_program_passes_as_a_whole_and_resource_by_resource(real: list[Declared]) -> None:
    check = StackCheck()

    answers = [check([planned(each) for each in real]), *(check([planned(each)]) for each in real)]

    assert not any(answers)


def test_a_rule_about_the_stack_is_judged_when_the_last_value_is_known() -> None:
    check = StackCheck()
    function = {"name": "headgate-test-route", "loggingConfig": {"logGroup": UNKNOWN}}
    events = Planned(
        urn="e", type=rules.EVENT_CONFIG, inputs={"functionName": function["name"], "destinationConfig": {"onFailure": {}}}
    )
    before = check([Planned(urn="f", type=rules.FUNCTION, inputs=function), events])

    after = check([Planned(urn="f", type=rules.FUNCTION, inputs={**function, "loggingConfig": {"logGroup": "nowhere"}})])

    assert before == []
    assert [text.partition(":")[0] for text in after] == ["it violates declared-log-groups"]
