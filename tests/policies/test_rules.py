"""Every rule lets the real program pass, and refuses the smallest stack that breaks it."""

from __future__ import annotations

import pytest

from policies import rules
from policies.declared import Declared
from policies.rules import RESOURCE_RULES, STACK_RULES, ResourceRule, StackRule, violations
from tests.policies.examples import ARN, BROKEN, CAPPED, allow, declared, function, item, policy, with_environment

NOT_DECLARED = {rules.POLICY, rules.POLICY_ATTACHMENT}  # the program has no use for them

RULES: dict[str, ResourceRule | StackRule] = {rule.name: rule for rule in (*RESOURCE_RULES, *STACK_RULES)}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_real_program_passes(real: list[Declared], rule: ResourceRule | StackRule) -> None:
    assert list(rule.violations(real)) == []


@pytest.mark.parametrize("type_", sorted({type_ for rule in RESOURCE_RULES for type_ in rule.types} - NOT_DECLARED))
def test_the_real_program_has_something_to_judge(real: list[Declared], type_: str) -> None:
    assert [resource for resource in real if resource.type == type_]


@pytest.mark.parametrize(("rule", "fault", "stack"), BROKEN, ids=[f"{rule}: {fault}" for rule, fault, _ in BROKEN])
def test_a_broken_stack_is_refused(rule: str, fault: str, stack: list[Declared]) -> None:
    assert fault in [violation.fault for violation in RULES[rule].violations(stack)]


def test_every_rule_has_an_example_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_a_violation_names_resource_rule_and_remedy() -> None:
    (violation,) = violations([declared(rules.LOG_GROUP, {"name": "logs"}, name="scale-logs")])

    assert str(violation) == "scale-logs violates logs-expire: it keeps its logs for ever. Set retention_in_days."


@pytest.mark.parametrize(
    "allowed",
    [
        policy(allow("sqs:SendMessage", ARN)),
        policy(allow("logs:PutLogEvents", "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/it:*")),
        policy({"Effect": "Deny", "Action": "*", "Resource": "*"}),
        declared(rules.PERMISSION, {"function": "f", "principal": "events.amazonaws.com"}),
        with_environment(SECRET_ARN="arn", HEADGATE_PUBLIC_KEYS="[]", MAX_TOKENS="8192"),
        item("AUTOGROUP#fast", {"env": {"MAX_TOTAL_TOKENS": "8192"}}),
        item("SCALER", {}),
    ],
)
def test_what_only_resembles_a_violation_passes(allowed: Declared) -> None:
    assert [each for rule in RESOURCE_RULES for each in rule.violations([allowed])] == []


def test_a_failed_event_may_also_go_to_a_dead_letter_queue() -> None:
    stack = [function(deadLetterConfig={"targetArn": ARN})]

    assert list(RULES["no-lost-events"].violations(stack)) == []


def test_a_value_that_is_not_known_yet_is_not_judged() -> None:
    stack = [declared(rules.LOG_GROUP, {"retentionInDays": object()}), declared(rules.TABLE_ITEM, {"item": object()})]

    assert violations(stack) == []


def test_a_capped_and_released_group_passes() -> None:
    stack = [item("SPEC", CAPPED), declared(rules.INVOCATION, {"input": '{"endpoint": "llm"}', "lifecycleScope": "CRUD"})]

    assert violations(stack) == []
