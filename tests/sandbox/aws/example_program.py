"""A small Pulumi program with one of every resource type that the sandbox knows."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws
import pulumi_random as random_provider

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": ["lambda.amazonaws.com", "scheduler.amazonaws.com"]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)

# Answers over its URL with what it saw, counts in the table, and writes down what it was invoked with.
HANDLER = """
import json, os
from botocore.session import Session
from layered import greeting
session = Session()
table, queue = session.create_client("dynamodb"), session.create_client("sqs")

def handler(event, context):
    print("invoked", context.aws_request_id)
    if event.get("fail") or event.get("tf", {}).get("action") == os.environ.get("FAIL_ON"):
        raise RuntimeError("refused by the test")
    if "tf" in event:
        queue.send_message(QueueUrl=os.environ["OUTBOX"], MessageBody=json.dumps(event))
        return {"noted": True}
    table.update_item(
        TableName=os.environ["TABLE"], Key={"pk": {"S": "hits"}, "sk": {"S": "hits"}},
        UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}},
    )
    seen = {"greeting": greeting, "path": event.get("rawPath"), "body": event.get("body")}
    return {"statusCode": 201, "headers": {"x-answer": "yes"}, "body": json.dumps(seen)}
"""


class Service(pulumi.ComponentResource):
    """The function and everything that it needs."""

    def __init__(self, table: aws.dynamodb.Table, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("example:index:Service", "service", None, opts)
        self.failed = aws.sqs.Queue("failed", message_retention_seconds=3600, opts=self.child())
        self.role = self._role(table)
        self.function = self._function(table)
        self.url = self._url()
        self.register_outputs({"url": self.url.function_url})

    def child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        """Give the options of a resource inside of this one."""
        return pulumi.ResourceOptions(parent=self, depends_on=list(depends_on))

    def _role(self, table: aws.dynamodb.Table) -> aws.iam.Role:
        role = aws.iam.Role("service", assume_role_policy=TRUST, opts=self.child())
        statements = [
            {"Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": table.arn},
            {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"},
        ]
        document = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})
        self.policy = aws.iam.RolePolicy("service", role=role.name, policy=document, opts=self.child())
        basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        self.basic = aws.iam.RolePolicyAttachment("basic", role=role.name, policy_arn=basic, opts=self.child())
        return role

    def _function(self, table: aws.dynamodb.Table) -> aws.lambda_.Function:
        config = pulumi.Config()
        logs = aws.cloudwatch.LogGroup("service", retention_in_days=7, opts=self.child())
        layered = pulumi.AssetArchive({"python/layered.py": pulumi.StringAsset("greeting = 'hello'")})
        layer = aws.lambda_.LayerVersion("layered", layer_name="layered", code=layered, opts=self.child())
        function = aws.lambda_.Function(
            "service",
            role=self.role.arn,
            runtime="python3.13",
            architectures=["arm64"],
            handler="main.handler",
            code=pulumi.AssetArchive({"main.py": pulumi.StringAsset(HANDLER)}),
            layers=[layer.arn],
            timeout=20,
            memory_size=256,
            environment={
                "variables": {
                    "TABLE": table.name,
                    "OUTBOX": config.require("outbox"),
                    "FAIL_ON": config.get("failOn") or "never",
                }
            },
            logging_config={"log_format": "Text", "log_group": logs.name},
            opts=self.child(self.policy, self.basic),
        )
        aws.lambda_.FunctionEventInvokeConfig(
            "service",
            function_name=function.name,
            maximum_retry_attempts=0,
            destination_config={"on_failure": {"destination": self.failed.arn}},
            opts=self.child(),
        )
        return function

    def _url(self) -> aws.lambda_.FunctionUrl:
        url = aws.lambda_.FunctionUrl("service", function_name=self.function.name, authorization_type="NONE", opts=self.child())
        aws.lambda_.Permission(
            "public",
            function=self.function.name,
            action="lambda:InvokeFunctionUrl",
            principal="*",
            function_url_auth_type="NONE",
            opts=self.child(),
        )
        return url


def declare_table() -> aws.dynamodb.Table:
    table = aws.dynamodb.Table(
        "state",
        billing_mode="PAY_PER_REQUEST",
        hash_key="pk",
        range_key="sk",
        attributes=[{"name": "pk", "type": "S"}, {"name": "sk", "type": "S"}],
        ttl={"attribute_name": "ttl", "enabled": True},
        point_in_time_recovery={"enabled": True},
        server_side_encryption={"enabled": True},
        deletion_protection_enabled=True,
        opts=pulumi.ResourceOptions(protect=True),
    )
    item = json.dumps({"pk": {"S": "greeting"}, "sk": {"S": "en"}, "text": {"S": "hello"}, "raw": {"B": "AAE="}})
    aws.dynamodb.TableItem("greeting", table_name=table.name, hash_key="pk", range_key="sk", item=item)
    return table


def declare_secrets() -> None:
    seed = random_provider.RandomBytes("seed", length=32)
    password = random_provider.RandomPassword("password", length=20, special=False, min_numeric=3)
    token = random_provider.RandomId("token", byte_length=8, prefix="t-")
    secret = aws.secretsmanager.Secret("signing", recovery_window_in_days=0)
    value = pulumi.Output.json_dumps({"seed": seed.base64, "password": password.result})
    aws.secretsmanager.SecretVersion("signing", secret_id=secret.id, secret_string=value)
    pulumi.export("seed_hex", seed.hex)
    pulumi.export("password", password.result)
    pulumi.export("token", token.hex)
    pulumi.export("secret_arn", secret.arn)


def declare_schedule(service: Service) -> None:
    group = aws.scheduler.ScheduleGroup("ticks")
    aws.scheduler.Schedule(
        "tick",
        group_name=group.name,
        schedule_expression="rate(1 minute)",
        flexible_time_window={"mode": "OFF"},
        target={
            "arn": service.function.arn,
            "role_arn": service.role.arn,
            "input": json.dumps({"endpoint": "llm"}),
            "retry_policy": {"maximum_retry_attempts": 0, "maximum_event_age_in_seconds": 60},
        },
    )


def declare_watching(service: Service) -> None:
    topic = aws.sns.Topic("alarms")
    aws.sns.TopicSubscription("alarms", topic=topic.arn, protocol="email", endpoint="nobody@example.com")
    aws.cloudwatch.MetricAlarm(
        "errors",
        comparison_operator="GreaterThanThreshold",
        evaluation_periods=1,
        threshold=0.5,
        metric_name="Errors",
        namespace="AWS/Lambda",
        period=60,
        statistic="Sum",
        dimensions={"FunctionName": service.function.name},
        alarm_actions=[topic.arn],
    )
    aws.cloudwatch.MetricAlarm(
        "silence",
        comparison_operator="LessThanThreshold",
        evaluation_periods=3,
        threshold=1,
        metric_queries=[
            {
                "id": "runs",
                "return_data": True,
                "metric": {
                    "metric_name": "Invocations",
                    "namespace": "AWS/Lambda",
                    "period": 60,
                    "stat": "Sum",
                    "dimensions": {"FunctionName": service.function.name},
                },
            }
        ],
    )
    aws.cloudwatch.Dashboard(
        "overview", dashboard_name=f"overview-{pulumi.get_stack()}", dashboard_body=json.dumps({"widgets": []})
    )


def declare_queue_policy(service: Service) -> None:
    queue = aws.sqs.Queue(
        "work",
        visibility_timeout_seconds=60,
        redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": service.failed.arn, "maxReceiveCount": 3}),
        tags={"team": "inference"},
    )
    events = aws.iam.GetPolicyDocumentStatementPrincipalArgs(type="Service", identifiers=["events.amazonaws.com"])
    statement = aws.iam.GetPolicyDocumentStatementArgs(actions=["sqs:SendMessage"], resources=["*"], principals=[events])
    document = aws.iam.get_policy_document_output(statements=[statement])
    aws.sqs.QueuePolicy("work", queue_url=queue.url, policy=document.json)
    pulumi.export("work_url", queue.url)


def main() -> None:
    table = declare_table()
    service = Service(table)
    needs = pulumi.ResourceOptions(depends_on=[service, table])
    release = aws.lambda_.Invocation(
        "release",
        function_name=service.function.name,
        input=json.dumps({"endpoint": "llm"}),
        lifecycle_scope="CRUD",
        opts=needs,
    )
    declare_secrets()
    declare_schedule(service)
    declare_watching(service)
    declare_queue_policy(service)
    account = aws.get_caller_identity()
    region = aws.get_region()
    pulumi.export("place", f"{aws.get_partition().partition}/{region.region}/{account.account_id}")
    pulumi.export("table", table.name)
    pulumi.export("function", service.function.name)
    pulumi.export("role", service.role.name)
    pulumi.export("failed_url", service.failed.url)
    pulumi.export("url", service.url.function_url)
    pulumi.export("released", release.result)
    pulumi.export("api_key", pulumi.Config().require_secret("apiKey"))
