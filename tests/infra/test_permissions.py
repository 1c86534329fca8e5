"""Each function may do what its code does, and nothing else: the statements, word by word."""

from __future__ import annotations

import json
from typing import Any

from tests.infra.recording import RecordedStack

TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/headgate-test"
SCALE = "arn:aws:lambda:eu-west-1:123456789012:function:headgate-test-scale"
ROTATE = "arn:aws:lambda:eu-west-1:123456789012:function:headgate-test-rotate"
DEAD_LETTERS = "arn:aws:sqs:eu-west-1:123456789012:headgate-test-dead-letters"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:headgate/test/{}-AbCdEf"
LOGS = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/headgate-test-{}:*"


def on_table(sid: str, actions: list[str], *prefixes: str) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": [f"dynamodb:{action}" for action in actions],
        "Resource": TABLE,
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{prefix}#*" for prefix in prefixes]}},
    }


def on(sid: str, resource: str, *actions: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}


def write_logs(part: str) -> dict[str, Any]:
    return on("WriteLogs", LOGS.format(part), "logs:CreateLogStream", "logs:PutLogEvents")


def test_the_route_functions_statements(stack: RecordedStack) -> None:
    assert stack.statements("route-policy") == [
        on_table("ReadKeysGroupsAndRequests", ["GetItem"], "KEY", "ENDPOINT", "WAITING", "PUBLIC-KEYS"),
        on_table("ListWorkersRequestsAndWhatPeopleRead", ["Query"], "FLEET", "WAITING", "ENDPOINT", "DECISION"),
        on_table("AssignLoadKeepLimitsAndAskForUpdates", ["UpdateItem"], "FLEET", "LIMIT", "UPDATE"),
        on_table("RecordRequests", ["PutItem", "DeleteItem", "BatchWriteItem"], "WAITING"),
        on("ReadSigningKeys", SECRET.format("signing"), "secretsmanager:GetSecretValue"),
        on("WakeScale", SCALE, "lambda:InvokeFunction"),
        write_logs("route"),
    ]


def test_the_report_functions_statements(stack: RecordedStack) -> None:
    assert stack.statements("report-policy") == [
        on_table("RecordReports", ["UpdateItem"], "FLEET"),
        on_table("ReadPublicKeys", ["GetItem"], "PUBLIC-KEYS"),
        on_table("ForgetRequests", ["DeleteItem"], "WAITING"),
        on("ReadTokenSecret", SECRET.format("worker-token"), "secretsmanager:GetSecretValue"),
        write_logs("report"),
    ]


def test_the_scale_functions_statements(stack: RecordedStack) -> None:
    assert stack.statements("scale-policy") == [
        on_table("ReadGroups", ["Query"], "ENDPOINT", "FLEET", "WAITING", "UPDATE"),
        on_table("HoldLeases", ["UpdateItem", "ConditionCheckItem"], "ENDPOINT"),
        on_table("KeepWorkers", ["UpdateItem", "DeleteItem"], "FLEET"),
        on_table("RecordDecisions", ["PutItem"], "DECISION"),
        on("ReadTokenSecret", SECRET.format("worker-token"), "secretsmanager:GetSecretValue"),
        on("ReadMarketplaceKey", SECRET.format("marketplace"), "secretsmanager:GetSecretValue"),
        write_logs("scale"),
        on("KeepFailures", DEAD_LETTERS, "sqs:SendMessage"),
    ]


def test_the_rotate_functions_statements(stack: RecordedStack) -> None:
    assert stack.statements("rotate-policy") == [
        on("KeepSigningKeys", SECRET.format("signing"), "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"),
        on_table("ShowPublicKeys", ["PutItem"], "PUBLIC-KEYS"),
        write_logs("rotate"),
        on("KeepFailures", DEAD_LETTERS, "sqs:SendMessage"),
    ]


def test_the_signing_keys_are_read_by_two_functions_and_written_by_one(stack: RecordedStack) -> None:
    parts = ("route", "report", "scale", "rotate")
    granted = {
        (part, action.partition(":")[2])
        for part in parts
        for statement in stack.statements(f"{part}-policy")
        if statement["Resource"] == SECRET.format("signing")
        for action in statement["Action"]
    }

    assert granted == {("route", "GetSecretValue"), ("rotate", "GetSecretValue"), ("rotate", "PutSecretValue")}


def test_the_schedules_statements(stack: RecordedStack) -> None:
    assert stack.statements("schedules-policy") == [
        on("InvokeScale", SCALE, "lambda:InvokeFunction"),
        on("InvokeRotate", ROTATE, "lambda:InvokeFunction"),
        on("KeepUndelivered", DEAD_LETTERS, "sqs:SendMessage"),
    ]


def test_only_this_stacks_schedules_may_take_their_role(stack: RecordedStack) -> None:
    role = stack.one("iam/role:Role", "schedules-role")

    assert json.loads(role.inputs["assumeRolePolicy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": "123456789012",
                    "aws:SourceArn": "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/headgate-test",
                }
            },
        }
    ]


def test_every_role_has_one_policy_and_no_other(stack: RecordedStack) -> None:
    roles = sorted(role.inputs["name"] for role in stack.of("iam/role:Role"))

    policies = sorted(policy.inputs["role"] for policy in stack.of("iam/rolePolicy:RolePolicy"))

    assert policies == roles == [f"headgate-test-{part}" for part in ("report", "rotate", "route", "scale", "schedule")]
    assert not [role for role in stack.of("iam/role:Role") if role.inputs.keys() & {"managedPolicyArns", "inlinePolicies"}]


def test_the_public_urls_have_the_two_permissions_that_aws_asks_for(stack: RecordedStack) -> None:
    permissions = {permission.name: permission.inputs for permission in stack.of("lambda/permission:Permission")}

    call = {"action": "lambda:InvokeFunctionUrl", "principal": "*", "functionUrlAuthType": "NONE"}
    invoke = {"action": "lambda:InvokeFunction", "principal": "*", "invokedViaFunctionUrl": True}
    assert permissions == {
        "route-url-call": {**call, "function": "headgate-test-route"},
        "route-url-invoke": {**invoke, "function": "headgate-test-route"},
        "report-url-call": {**call, "function": "headgate-test-report"},
        "report-url-invoke": {**invoke, "function": "headgate-test-report"},
    }
