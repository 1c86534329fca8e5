"""One Lambda function with everything that belongs to it: role, log group, code, and where its failed events go.

The log group exists before the function, or Lambda would make one of its own that keeps logs for ever; the role's policy exists
before it too, or its first invocation would be refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.config import StackSettings
from infra.permissions import Statement, policy_document, trust

RUNTIME: Final = "python3.13"
ARCHITECTURE: Final = "arm64"
# The schedule comes every minute: an event that is older, or that failed, is overtaken by the next one.
EVENT_AGE_MAX_S: Final = 60
EVENT_RETRIES: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What every function of a stack shares. `code` is the one asset that all of them run."""

    stack: str
    settings: StackSettings
    code: pulumi.Archive
    table_name: pulumi.Output[str]
    opts: pulumi.ResourceOptions

    @property
    def prefix(self) -> str:
        """What the physical names of the stack's resources begin with."""
        return f"headgate-{self.stack}"

    @property
    def metrics_namespace(self) -> str:
        """Where the functions' own metrics are: one namespace a stack, so that no alarm hears of another stack's trouble."""
        return f"Headgate/{self.stack}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionShape:
    """What one function has of its own. `failures_arn` is the queue for failed asynchronous events, None if it gets none."""

    part: str
    description: str
    memory_mb: int
    timeout_s: int
    environment: Mapping[str, pulumi.Input[str]]
    statements: tuple[Statement, ...]
    failures_arn: pulumi.Output[str] | None = None


class Function(pulumi.ComponentResource):
    """A deployed function: `name` and `arn` are known once it can be invoked."""

    def __init__(self, foundation: Foundation, shape: FunctionShape) -> None:
        super().__init__("headgate:index:Function", shape.part, opts=foundation.opts)
        self._physical_name = f"{foundation.prefix}-{shape.part}"
        self._shape = shape
        self._logs = self._log_group(foundation.settings.log_retention_days)
        self._role = self._execution_role()
        policy = self._policy()
        self._function = self._lambda(foundation, ready=[policy])
        if shape.failures_arn is not None:
            self._keep_failed_events(shape.failures_arn)
        self.name: pulumi.Output[str] = self._function.name
        self.arn: pulumi.Output[str] = self._function.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def _log_group(self, retention_days: int) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            f"{self._shape.part}-logs",
            name=f"/aws/lambda/{self._physical_name}",
            retention_in_days=retention_days,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _execution_role(self) -> aws.iam.Role:
        return aws.iam.Role(
            f"{self._shape.part}-role",
            name=self._physical_name,
            description=f"What {self._physical_name} runs as",
            assume_role_policy=trust("lambda.amazonaws.com"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _policy(self) -> aws.iam.RolePolicy:
        return aws.iam.RolePolicy(
            f"{self._shape.part}-policy",
            name="exact",
            role=self._role.name,
            policy=policy_document([*self._shape.statements, *self._own_statements()]),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _own_statements(self) -> tuple[Statement, ...]:
        # Streams of the own group: the suffix is how CloudWatch names them, and the group itself cannot be made anew.
        streams = pulumi.Output.concat(self._logs.arn, ":*")
        write_logs = Statement(sid="WriteLogs", actions=("logs:CreateLogStream", "logs:PutLogEvents"), resource=streams)
        if self._shape.failures_arn is None:
            return (write_logs,)
        return (write_logs, Statement(sid="KeepFailures", actions=("sqs:SendMessage",), resource=self._shape.failures_arn))

    def _lambda(self, foundation: Foundation, *, ready: list[pulumi.Resource]) -> aws.lambda_.Function:
        return aws.lambda_.Function(
            f"{self._shape.part}-function",
            name=self._physical_name,
            description=self._shape.description,
            runtime=RUNTIME,
            architectures=[ARCHITECTURE],
            handler=f"functions.{self._shape.part}.handler.handler",
            code=foundation.code,
            role=self._role.arn,
            memory_size=self._shape.memory_mb,
            timeout=self._shape.timeout_s,
            environment=aws.lambda_.FunctionEnvironmentArgs(variables=self._environment(foundation)),
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=self._logs.name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready),
        )

    def _environment(self, foundation: Foundation) -> dict[str, pulumi.Input[str]]:
        return {
            "HEADGATE_STACK": foundation.stack,
            "HEADGATE_TABLE": foundation.table_name,
            "POWERTOOLS_SERVICE_NAME": f"headgate-{self._shape.part}",
            "POWERTOOLS_METRICS_NAMESPACE": foundation.metrics_namespace,
            "POWERTOOLS_LOG_LEVEL": foundation.settings.log_level,
            **self._shape.environment,
        }

    def _keep_failed_events(self, queue_arn: pulumi.Output[str]) -> None:
        on_failure = aws.lambda_.FunctionEventInvokeConfigDestinationConfigOnFailureArgs(destination=queue_arn)
        aws.lambda_.FunctionEventInvokeConfig(
            f"{self._shape.part}-events",
            function_name=self._function.name,
            maximum_event_age_in_seconds=EVENT_AGE_MAX_S,
            maximum_retry_attempts=EVENT_RETRIES,
            destination_config=aws.lambda_.FunctionEventInvokeConfigDestinationConfigArgs(on_failure=on_failure),
            opts=pulumi.ResourceOptions(parent=self),
        )
