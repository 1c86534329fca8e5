"""For each rule the smallest stacks that break it. A stack is given as resources of `{type: props}`, named by their order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from policies import rules
from policies.declared import Declared

Props = Mapping[str, Any]


def declared(type_: str, props: Props, name: str = "it") -> Declared:
    """Return one resource."""
    return Declared(type=type_, name=name, props=props)


def policy(*statements: Props) -> Declared:
    """Return a role's policy."""
    return declared(rules.ROLE_POLICY, {"policy": json.dumps({"Version": "2012-10-17", "Statement": statements})})


def allow(action: Any, resource: Any) -> dict[str, Any]:
    """Return a statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def item(sk: str, spec: Props, name: str = "it") -> Declared:
    """Return an item of the table with the specification of an endpoint group or autogroup."""
    wire = {"pk": {"S": "ENDPOINT#llm"}, "sk": {"S": sk}, "spec": {"S": json.dumps(spec)}}
    return declared(rules.TABLE_ITEM, {"item": json.dumps(wire)}, name)


def function(**props: Any) -> Declared:
    """Return a function."""
    return declared(rules.FUNCTION, {"name": "headgate-test-scale", **props})


def with_environment(**variables: str) -> Declared:
    """Return a function with this environment."""
    return function(environment={"variables": variables})


ARN = "arn:aws:sqs:eu-west-1:123456789012:queue"
SEED = "3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
CAPPED = {"max_workers": 4, "max_hourly_cost_micro_usd": 2_500_000}

# rule, what is broken, the stack
BROKEN: list[tuple[str, str, list[Declared]]] = [
    ("exact-permissions", "it allows the action 'dynamodb:*'", [policy(allow("dynamodb:*", ARN))]),
    ("exact-permissions", "it allows the action 's3:Get?bject'", [policy(allow(["s3:Get?bject"], ARN))]),
    ("exact-permissions", "it allows its actions on '*'", [policy(allow("sqs:SendMessage", "*"))]),
    (
        "exact-permissions",
        "it allows its actions on 'arn:aws:sqs:eu-west-1:123456789012:*'",
        [policy(allow("sqs:SendMessage", [ARN, "arn:aws:sqs:eu-west-1:123456789012:*"]))],
    ),
    (
        "exact-permissions",
        "it allows its actions on 'arn:aws:logs:eu-west-1:123456789012:log-group:*:*'",
        [policy(allow("logs:PutLogEvents", "arn:aws:logs:eu-west-1:123456789012:log-group:*:*"))],
    ),
    (
        "exact-permissions",
        "it allows everything but what NotAction names",
        [policy({"Effect": "Allow", "NotAction": "iam:PassRole", "Resource": ARN})],
    ),
    (
        "exact-permissions",
        "it allows the action '*'",
        [declared(rules.ROLE, {"inlinePolicies": [{"policy": json.dumps({"Statement": allow("*", ARN)})}]})],
    ),
    (
        "no-managed-policies",
        "AmazonDynamoDBFullAccess is AWS's, wider than needed, and changes without notice",
        [declared(rules.POLICY_ATTACHMENT, {"policyArn": "arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess"})],
    ),
    (
        "no-managed-policies",
        "AWSLambdaBasicExecutionRole is AWS's, wider than needed, and changes without notice",
        [declared(rules.ROLE, {"managedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]})],
    ),
    (
        "recoverable-tables",
        "it is not encrypted with a key of this account",
        [declared(rules.TABLE, {"pointInTimeRecovery": {"enabled": True}})],
    ),
    (
        "recoverable-tables",
        "it cannot be restored to a point in time",
        [declared(rules.TABLE, {"serverSideEncryption": {"enabled": True}, "pointInTimeRecovery": {"enabled": False}})],
    ),
    ("logs-expire", "it keeps its logs for ever", [declared(rules.LOG_GROUP, {"name": "logs"})]),
    (
        "declared-urls",
        "it opens 'headgate-test-scale' to the internet",
        [declared(rules.FUNCTION_URL, {"functionName": "headgate-test-scale", "authorizationType": "NONE"})],
    ),
    (
        "public-by-url-alone",
        "it lets everybody invoke 'headgate-test-scale'",
        [declared(rules.PERMISSION, {"function": "headgate-test-scale", "principal": "*", "functionUrlAuthType": "NONE"})],
    ),
    (
        "public-by-url-alone",
        "it lets everybody invoke 'headgate-test-route' by another way than its URL",
        [declared(rules.PERMISSION, {"function": "headgate-test-route", "principal": "*", "action": "lambda:InvokeFunction"})],
    ),
    (
        "no-secrets-in-functions",
        "the environment variable MARKETPLACE_API_KEY looks like a secret by its name",
        [with_environment(MARKETPLACE_API_KEY="x")],
    ),
    ("no-secrets-in-functions", "the environment variable SEED looks like a secret by its value", [with_environment(SEED=SEED)]),
    (
        "no-secrets-in-workers",
        "the worker's environment variable HF_TOKEN looks like a secret",
        [item("AUTOGROUP#fast", {"env": {"HF_TOKEN": "x"}})],
    ),
    ("capped-groups", "max_workers is None, which is no ceiling", [item("SPEC", {"max_hourly_cost_micro_usd": 1})]),
    (
        "capped-groups",
        "the schedule 'night' raises max_workers to 5, above the group's own 4",
        [item("SPEC", {**CAPPED, "schedules": {"night": {"sets": {"max_workers": 5}}}})],
    ),
    ("capped-groups", "max_workers is 0, which is no ceiling", [item("SPEC", {**CAPPED, "max_workers": 0})]),
    (
        "capped-groups",
        "max_hourly_cost_micro_usd is True, which is no ceiling",
        [item("SPEC", {**CAPPED, "max_hourly_cost_micro_usd": True})],
    ),
    ("no-lost-schedules", "an event that cannot be delivered is lost", [declared(rules.SCHEDULE, {"target": {"arn": ARN}})]),
    (
        "declared-log-groups",
        "its log group '/aws/lambda/headgate-test-scale' is not declared, so Lambda makes one that keeps logs for ever",
        [function(), declared(rules.LOG_GROUP, {"name": "other", "retentionInDays": 1})],
    ),
    (
        "no-known-secrets-in-functions",
        "the environment variable NOTE holds a value of Secrets Manager",
        [
            declared(rules.SECRET_VERSION, {"secretString": json.dumps({"keys": [{"seed": "correct horse"}]})}),
            with_environment(NOTE="the seed is correct horse"),
        ],
    ),
    ("no-lost-events", "it is invoked asynchronously, and a failed event is lost", [function()]),
    (
        "no-lost-events",
        "it is invoked asynchronously, and a failed event is lost",
        [function(), declared(rules.EVENT_CONFIG, {"functionName": "headgate-test-scale", "maximumRetryAttempts": 0})],
    ),
    ("released-groups", "nothing destroys the instances of 'llm' before the scaler is gone", [item("SPEC", CAPPED)]),
    (
        "released-groups",
        "nothing destroys the instances of 'llm' before the scaler is gone",
        [item("SPEC", CAPPED), declared(rules.INVOCATION, {"input": '{"endpoint": "llm"}', "lifecycleScope": "CREATE_ONLY"})],
    ),
]
