"""SNS: topics and who is told."""

from __future__ import annotations

from typing import Final

import pulumi_aws as aws

from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, names, tag_list

_ATTRIBUTES: Final = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId", "policy": "Policy"}


def _create_topic(creation: Creation) -> Made:
    name = creation.physical_name()
    attributes = {api: str(value) for api, value in creation.picked(_ATTRIBUTES).items()}
    client = creation.cloud.client("sns")
    arn = client.create_topic(Name=name, Attributes=attributes, Tags=tag_list(creation.tags))["TopicArn"]
    return Made(arn, {"name": name, "arn": arn, "owner": creation.cloud.account_id})


def _delete_topic(deletion: Deletion) -> None:
    deletion.cloud.client("sns").delete_topic(TopicArn=deletion.resource.id)


def _create_subscription(creation: Creation) -> Made:
    inputs = creation.inputs
    arn = creation.cloud.client("sns").subscribe(
        TopicArn=inputs["topic"], Protocol=inputs["protocol"], Endpoint=inputs["endpoint"], ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    return Made(arn, {"arn": arn, "ownerId": creation.cloud.account_id, "pendingConfirmation": False})


def _delete_subscription(deletion: Deletion) -> None:
    deletion.cloud.client("sns").unsubscribe(SubscriptionArn=deletion.resource.id)


KINDS: Final = (
    Kind(
        resource=aws.sns.Topic,
        args=aws.sns.TopicArgs,
        honoured=frozenset(_ATTRIBUTES) | names("name namePrefix tags"),
        create=_create_topic,
        delete=_delete_topic,
    ),
    Kind(
        resource=aws.sns.TopicSubscription,
        args=aws.sns.TopicSubscriptionArgs,
        honoured=names("endpoint protocol topic"),
        create=_create_subscription,
        delete=_delete_subscription,
    ),
)
