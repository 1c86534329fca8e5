"""SQS: queues, dead-letter queues among them, and who may write to them."""

from __future__ import annotations

from typing import Any, Final

import pulumi_aws as aws

from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, name_of_arn, names

_ATTRIBUTES: Final = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "delaySeconds": "DelaySeconds",
    "fifoQueue": "FifoQueue",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}


def _create_queue(creation: Creation) -> Made:
    client = creation.cloud.client("sqs")
    name = creation.physical_name()
    attributes = {api: _text(value) for api, value in creation.picked(_ATTRIBUTES).items()}
    url = client.create_queue(QueueName=name, Attributes=attributes, tags=dict(creation.tags))["QueueUrl"]
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = answer["Attributes"]["QueueArn"]
    return Made(url, {"name": name_of_arn(arn), "url": url, "arn": arn})


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _delete_queue(deletion: Deletion) -> None:
    deletion.cloud.client("sqs").delete_queue(QueueUrl=deletion.resource.id)


def _create_policy(creation: Creation) -> Made:
    url = creation.inputs["queueUrl"]
    policy = creation.json_document("policy")
    creation.cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return Made(url, {})


def _delete_policy(deletion: Deletion) -> None:
    client = deletion.cloud.client("sqs")
    client.set_queue_attributes(QueueUrl=deletion.resource.id, Attributes={"Policy": ""})


KINDS: Final = (
    Kind(
        resource=aws.sqs.Queue,
        args=aws.sqs.QueueArgs,
        honoured=frozenset(_ATTRIBUTES) | names("name namePrefix tags"),
        create=_create_queue,
        delete=_delete_queue,
    ),
    Kind(
        resource=aws.sqs.QueuePolicy,
        args=aws.sqs.QueuePolicyArgs,
        honoured=names("policy queueUrl"),
        create=_create_policy,
        delete=_delete_policy,
    ),
)
