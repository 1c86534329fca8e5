"""Where events go that nobody could handle, so that an alarm sees them and a person can read them."""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_aws as aws

RETENTION_S: Final = 14 * 24 * 3600  # SQS's longest: a fault of a Friday evening is still there after the holidays


class DeadLetters(pulumi.ComponentResource):
    """The queue of failed asynchronous invocations and of schedule events that could not be delivered."""

    def __init__(self, prefix: str, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:DeadLetters", "dead-letters", opts=opts)
        queue = aws.sqs.Queue(
            "queue",
            name=f"{prefix}-dead-letters",
            message_retention_seconds=RETENTION_S,
            sqs_managed_sse_enabled=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name: pulumi.Output[str] = queue.name
        self.arn: pulumi.Output[str] = queue.arn
        self.register_outputs({"name": self.name, "arn": self.arn})
