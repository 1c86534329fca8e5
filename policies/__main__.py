"""The pack as `pulumi up --policy-pack policies` runs it: every rule, mandatory.

CrossGuard asks about a resource before it is made, and about the stack as a whole once it stands.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

# Pulumi runs this folder as a program; the package `policies` starts one level up.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policies.declared import Declared
from policies.rules import RESOURCE_RULES, STACK_RULES, ResourceRule, StackRule


def plain(value: Any) -> Any:
    """Copy CrossGuard's view of a value into plain maps and lists; what is unknown in a preview becomes an opaque object."""
    if isinstance(value, Mapping):
        return {key: _read(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_read(value, index) for index in range(len(value))]
    return value


def _read(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return object()


def _resource_policy(rule: ResourceRule) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Declared(type=args.resource_type, name=args.name, props=plain(args.props))
        for violation in rule.violations([resource]):
            report(f"{violation.fault}. {violation.remedy}.", args.urn)

    return ResourceValidationPolicy(name=rule.name, description=rule.description, validate=validate)


def _stack_policy(rule: StackRule) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [Declared(type=each.resource_type, name=each.name, props=plain(each.props)) for each in args.resources]
        for violation in rule.violations(resources):
            report(str(violation), None)

    return StackValidationPolicy(name=rule.name, description=rule.description, validate=validate)


PolicyPack(
    name="headgate",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[*map(_resource_policy, RESOURCE_RULES), *map(_stack_policy, STACK_RULES)],
)
