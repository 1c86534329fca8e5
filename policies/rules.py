"""The rules, each a pure predicate over declared resources.

A `ResourceRule` judges one resource by itself, so that CrossGuard can refuse it before it is made. A `StackRule` needs to see the
others too. `violations` asks both kinds over a whole stack.

Every violation names the resource, the rule and the remedy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.declared import Declared, NotKnownYet

FUNCTION: Final = "aws:lambda/function:Function"
FUNCTION_URL: Final = "aws:lambda/functionUrl:FunctionUrl"
PERMISSION: Final = "aws:lambda/permission:Permission"
EVENT_CONFIG: Final = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
INVOCATION: Final = "aws:lambda/invocation:Invocation"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
TABLE: Final = "aws:dynamodb/table:Table"
TABLE_ITEM: Final = "aws:dynamodb/tableItem:TableItem"
SCHEDULE: Final = "aws:scheduler/schedule:Schedule"
SECRET_VERSION: Final = "aws:secretsmanager/secretVersion:SecretVersion"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
POLICY: Final = "aws:iam/policy:Policy"
POLICY_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"

PUBLIC_PARTS: Final = ("-route", "-report")  # the functions that authenticate their callers themselves
SECRET_LENGTH_MIN: Final = 8  # shorter values turn up by chance

_SECRET_WORDS: Final = frozenset(
    {"TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "APIKEY", "CREDENTIAL", "CREDENTIALS"}
)
_KEY_MATERIAL: Final = re.compile(
    r"""^( hf_\w{16,} | sk-[\w-]{16,} | (AKIA|ASIA)[A-Z0-9]{16} | gh[pousr]_\w{20,} | xox[abp]-[\w-]{10,} | hg_[0-9a-f]{32,}
    | [0-9a-fA-F]{40,} | [A-Za-z0-9+/_-]{43}= | eyJ[\w-]+\.[\w-]+\.[\w-]+ )$ | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY""",
    re.VERBOSE,
)
# How CloudWatch names the streams of one log group; the group itself is exact.
_LOG_STREAMS: Final = re.compile(r"arn:aws[\w-]*:logs:[^:*]+:[^:*]+:log-group:[^:*]+:\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that a resource breaks."""

    rule: str
    resource: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        """Return the violation as one line."""
        return f"{self.resource} violates {self.rule}: {self.fault}. {self.remedy}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRule:
    """A rule about resources of `types`, each by itself. `faults` yields what is wrong, and may raise NotKnownYet."""

    name: str
    description: str
    remedy: str
    types: frozenset[str]
    faults: Callable[[Declared], Iterator[str]]

    def violations(self, resources: Sequence[Declared]) -> Iterator[Violation]:
        """Yield what the resources break of this rule; one that cannot be judged yet is passed over."""
        for resource in resources:
            if resource.type in self.types:
                for fault in _decided(self.faults, resource):
                    yield Violation(rule=self.name, resource=resource.name, fault=fault, remedy=self.remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRule:
    """A rule about a stack as a whole. `faults` yields a resource's name and what is wrong, and may raise NotKnownYet."""

    name: str
    description: str
    remedy: str
    faults: Callable[[Sequence[Declared]], Iterator[tuple[str, str]]]

    def violations(self, resources: Sequence[Declared]) -> Iterator[Violation]:
        """Yield what the stack breaks of this rule; nothing while it cannot be judged."""
        for resource, fault in _decided(self.faults, resources):
            yield Violation(rule=self.name, resource=resource, fault=fault, remedy=self.remedy)


def violations(resources: Sequence[Declared]) -> list[Violation]:
    """Return everything that a stack breaks, in the order of the rules."""
    return [violation for rule in (*RESOURCE_RULES, *STACK_RULES) for violation in rule.violations(resources)]


def _decided(faults: Callable[[Any], Iterator[Any]], subject: Any) -> Iterator[Any]:
    try:
        yield from faults(subject)
    except NotKnownYet:
        return


# ---- resources by themselves


def _wildcard_faults(resource: Declared) -> Iterator[str]:
    for document in _policy_documents(resource):
        for statement in _listed(document.get("Statement")):
            yield from _statement_faults(statement)


def _policy_documents(resource: Declared) -> Iterator[Mapping[str, Any]]:
    yield resource.document("policy")
    for inline in resource.at("inlinePolicies") or ():
        yield Declared(type=resource.type, name=resource.name, props=inline).document("policy")


def _statement_faults(statement: Mapping[str, Any]) -> Iterator[str]:
    if statement.get("Effect") != "Allow":
        return
    for key in ("NotAction", "NotResource"):
        if key in statement:
            yield f"it allows everything but what {key} names"
    for action in _listed(statement.get("Action")):
        if "*" in action or "?" in action:
            yield f"it allows the action {action!r}"
    for target in _listed(statement.get("Resource")):
        if ("*" in target or "?" in target) and _LOG_STREAMS.fullmatch(target) is None:
            yield f"it allows its actions on {target!r}"


def _managed_policy_faults(resource: Declared) -> Iterator[str]:
    arns = [resource.text("policyArn")] if resource.type == POLICY_ATTACHMENT else resource.at("managedPolicyArns") or []
    for arn in arns:
        if arn.startswith("arn:aws:iam::aws:policy/"):
            yield f"{arn.rpartition('/')[2]} is AWS's, wider than needed, and changes without notice"


def _table_faults(table: Declared) -> Iterator[str]:
    if table.at("serverSideEncryption", "enabled") is not True:
        yield "it is not encrypted with a key of this account"
    if table.at("pointInTimeRecovery", "enabled") is not True:
        yield "it cannot be restored to a point in time"


def _retention_faults(group: Declared) -> Iterator[str]:
    if not group.at("retentionInDays"):
        yield "it keeps its logs for ever"


def _public_url_faults(url: Declared) -> Iterator[str]:
    function = url.text("functionName")
    if not function.endswith(PUBLIC_PARTS):
        yield f"it opens {function!r} to the internet"


def _public_permission_faults(permission: Declared) -> Iterator[str]:
    if permission.text("principal") != "*":
        return
    function = permission.text("function")
    if not function.endswith(PUBLIC_PARTS):
        yield f"it lets everybody invoke {function!r}"
    elif permission.text("functionUrlAuthType") != "NONE" and permission.at("invokedViaFunctionUrl") is not True:
        yield f"it lets everybody invoke {function!r} by another way than its URL"


def _environment_faults(function: Declared) -> Iterator[str]:
    variables = function.at("environment", "variables") or {}
    for name, value in variables.items():
        if _names_a_secret(name):
            yield f"the environment variable {name} looks like a secret by its name"
        elif isinstance(value, str) and _KEY_MATERIAL.search(value):
            yield f"the environment variable {name} looks like a secret by its value"


def _worker_environment_faults(item: Declared) -> Iterator[str]:
    if _attribute(item, "sk").startswith("AUTOGROUP#"):
        for name, value in _spec(item).get("env", {}).items():
            if _names_a_secret(name) or _KEY_MATERIAL.search(value):
                yield f"the worker's environment variable {name} looks like a secret"


def _cap_faults(item: Declared) -> Iterator[str]:
    if _attribute(item, "sk") != "SPEC":
        return
    spec = _spec(item)
    for cap in ("max_workers", "max_hourly_cost_micro_usd"):
        value = spec.get(cap)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield f"{cap} is {value!r}, which is no ceiling"
            continue
        for name, schedule in spec.get("schedules", {}).items():
            raised = schedule.get("sets", {}).get(cap)
            if raised is not None and raised > value:
                yield f"the schedule {name!r} raises {cap} to {raised!r}, above the group's own {value!r}"


def _undelivered_faults(schedule: Declared) -> Iterator[str]:
    if not schedule.text("target", "deadLetterConfig", "arn"):
        yield "an event that cannot be delivered is lost"


# ---- the stack as a whole


def _log_group_faults(resources: Sequence[Declared]) -> Iterator[tuple[str, str]]:
    declared = {group.text("name") for group in _of(resources, LOG_GROUP)}
    for function in _of(resources, FUNCTION):
        group = function.text("loggingConfig", "logGroup") or f"/aws/lambda/{function.text('name')}"
        if group not in declared:
            yield function.name, f"its log group {group!r} is not declared, so Lambda makes one that keeps logs for ever"


def _known_secret_faults(resources: Sequence[Declared]) -> Iterator[tuple[str, str]]:
    secrets = {text for version in _of(resources, SECRET_VERSION) for text in _leaves(version.text("secretString"))}
    for function in _of(resources, FUNCTION):
        variables = function.at("environment", "variables") or {}
        for name, value in variables.items():
            if isinstance(value, str) and any(secret in value for secret in secrets):
                yield function.name, f"the environment variable {name} holds a value of Secrets Manager"


def _failure_faults(resources: Sequence[Declared]) -> Iterator[tuple[str, str]]:
    public = {url.text("functionName") for url in _of(resources, FUNCTION_URL)}
    kept = {
        config.text("functionName")
        for config in _of(resources, EVENT_CONFIG)
        if config.at("destinationConfig", "onFailure") is not None
    }
    for function in _of(resources, FUNCTION):
        name = function.text("name")
        if name not in public | kept and function.at("deadLetterConfig") is None:
            yield function.name, "it is invoked asynchronously, and a failed event is lost"


def _release_faults(resources: Sequence[Declared]) -> Iterator[tuple[str, str]]:
    released = {
        invocation.document("input").get("endpoint")
        for invocation in _of(resources, INVOCATION)
        if invocation.text("lifecycleScope") == "CRUD"
    }
    for item in _of(resources, TABLE_ITEM):
        if _attribute(item, "sk") == "SPEC" and (endpoint := _attribute(item, "pk").partition("#")[2]) not in released:
            yield item.name, f"nothing destroys the instances of {endpoint!r} before the scaler is gone"


# ---- reading


def _of(resources: Sequence[Declared], type_: str) -> list[Declared]:
    return [resource for resource in resources if resource.type == type_]


def _listed(value: Any) -> list[Any]:
    """IAM writes a list of one as the one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _attribute(item: Declared, name: str) -> str:
    return str(item.document("item").get(name, {}).get("S", ""))


def _spec(item: Declared) -> Mapping[str, Any]:
    return Declared(type=item.type, name=item.name, props={"spec": _attribute(item, "spec")}).document("spec")


def _names_a_secret(name: str) -> bool:
    words = name.upper().split("_")
    return "PUBLIC" not in words and words[-1] != "ARN" and not _SECRET_WORDS.isdisjoint(words)


def _leaves(text: str) -> Iterator[str]:
    """Yield the values inside a secret that are long enough to be told from chance."""
    try:
        pending: list[Any] = [json.loads(text)]
    except ValueError:
        pending = [text]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, str) and len(value) >= SECRET_LENGTH_MIN:
            yield value


RESOURCE_RULES: Final = (
    ResourceRule(
        name="exact-permissions",
        description="No policy allows a wildcard action or resource.",
        remedy="Name the actions that the code calls, and the ARNs that it calls them on",
        types=frozenset({ROLE, ROLE_POLICY, POLICY}),
        faults=_wildcard_faults,
    ),
    ResourceRule(
        name="no-managed-policies",
        description="No role has a policy that AWS writes.",
        remedy="Write the statements that are needed into the role's own policy",
        types=frozenset({ROLE, POLICY_ATTACHMENT}),
        faults=_managed_policy_faults,
    ),
    ResourceRule(
        name="recoverable-tables",
        description="Every table is encrypted and can be restored to any point in time.",
        remedy="Enable server_side_encryption and point_in_time_recovery",
        types=frozenset({TABLE}),
        faults=_table_faults,
    ),
    ResourceRule(
        name="logs-expire",
        description="Every log group has a retention.",
        remedy="Set retention_in_days",
        types=frozenset({LOG_GROUP}),
        faults=_retention_faults,
    ),
    ResourceRule(
        name="declared-urls",
        description="Only the functions that authenticate their callers have a public URL.",
        remedy="Remove the URL: invoke the function by its ARN",
        types=frozenset({FUNCTION_URL}),
        faults=_public_url_faults,
    ),
    ResourceRule(
        name="public-by-url-alone",
        description="Everybody may invoke a function by its public URL alone.",
        remedy="Name the principal, or limit the permission to the function's URL",
        types=frozenset({PERMISSION}),
        faults=_public_permission_faults,
    ),
    ResourceRule(
        name="no-secrets-in-functions",
        description="No function has a secret in its environment, which whoever may describe the function can read.",
        remedy="Put it into Secrets Manager, and its ARN into the environment",
        types=frozenset({FUNCTION}),
        faults=_environment_faults,
    ),
    ResourceRule(
        name="no-secrets-in-workers",
        description="No autogroup has a secret in the part of its environment that is kept in the table.",
        remedy="Move it to the autogroup's secret_env, and replace it at its source",
        types=frozenset({TABLE_ITEM}),
        faults=_worker_environment_faults,
    ),
    ResourceRule(
        name="capped-groups",
        description="Every endpoint group has a ceiling for its workers and for its cost, which no schedule raises.",
        remedy="Set max_workers and max_hourly_cost_usd above zero, and in a schedule no higher than the group's own",
        types=frozenset({TABLE_ITEM}),
        faults=_cap_faults,
    ),
    ResourceRule(
        name="no-lost-schedules",
        description="Every schedule has a queue for events that cannot be delivered.",
        remedy="Give its target a dead_letter_config",
        types=frozenset({SCHEDULE}),
        faults=_undelivered_faults,
    ),
)

STACK_RULES: Final = (
    StackRule(
        name="declared-log-groups",
        description="Every function logs into a declared log group.",
        remedy="Declare the log group and name it in the function's logging_config",
        faults=_log_group_faults,
    ),
    StackRule(
        name="no-known-secrets-in-functions",
        description="No function's environment repeats a value of Secrets Manager.",
        remedy="Pass the secret's ARN",
        faults=_known_secret_faults,
    ),
    StackRule(
        name="no-lost-events",
        description="Every function that is invoked asynchronously keeps the events that failed.",
        remedy="Declare a FunctionEventInvokeConfig with an on_failure destination",
        faults=_failure_faults,
    ),
    StackRule(
        name="released-groups",
        description="Every endpoint group is released before what could release it is gone.",
        remedy="Declare an Invocation of the scale function with lifecycle_scope CRUD for it",
        faults=_release_faults,
    ),
)
