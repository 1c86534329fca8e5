"""IAM: roles, what they may do, and who may take them on."""

from __future__ import annotations

import json
from typing import Any, Final

import pulumi_aws as aws

from sandbox.aws.errors import InvalidInputs
from sandbox.aws.resources.kind import Cloud, Creation, Deletion, Kind, Made, name_of_arn, names, tag_list


def require_trust(cloud: Cloud, role_arn: str, service: str, *, urn: str) -> None:
    """Raise `InvalidInputs` unless the service may take on the role, which AWS checks and the emulator does not."""
    role = cloud.client("iam").get_role(RoleName=name_of_arn(role_arn))["Role"]
    if not any(_trusts(statement, service) for statement in _statements(role["AssumeRolePolicyDocument"])):
        raise InvalidInputs(f"{urn}: the role {role_arn} cannot be assumed by {service}")


def _statements(document: Any) -> list[dict[str, Any]]:
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _trusts(statement: dict[str, Any], service: str) -> bool:
    principal = statement.get("Principal", {})
    services = principal.get("Service", []) if isinstance(principal, dict) else []
    allowed = [services] if isinstance(services, str) else services
    return statement.get("Effect") == "Allow" and service in allowed


def _create_role(creation: Creation) -> Made:
    name = creation.physical_name()
    client = creation.cloud.client("iam")
    options = creation.picked(
        {
            "description": "Description",
            "maxSessionDuration": "MaxSessionDuration",
            "path": "Path",
            "permissionsBoundary": "PermissionsBoundary",
        }
    )
    document = creation.json_document("assumeRolePolicy")
    role = client.create_role(RoleName=name, AssumeRolePolicyDocument=document, Tags=tag_list(creation.tags), **options)["Role"]
    for policy in creation.inputs.get("inlinePolicies", []):
        client.put_role_policy(RoleName=name, PolicyName=policy["name"], PolicyDocument=policy["policy"])
    for arn in creation.inputs.get("managedPolicyArns", []):
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
    outputs = {
        "arn": role["Arn"],
        "name": name,
        "uniqueId": role["RoleId"],
        "createDate": role["CreateDate"].isoformat(),
        "path": role["Path"],
    }
    return Made(name, outputs)


def _delete_role(deletion: Deletion) -> None:
    client = deletion.cloud.client("iam")
    role = deletion.resource
    for policy in role.inputs.get("inlinePolicies", []):
        client.delete_role_policy(RoleName=role.id, PolicyName=policy["name"])
    for arn in role.inputs.get("managedPolicyArns", []):
        client.detach_role_policy(RoleName=role.id, PolicyArn=arn)
    client.delete_role(RoleName=role.id)


def _create_role_policy(creation: Creation) -> Made:
    role, name = creation.inputs["role"], creation.physical_name()
    document = creation.json_document("policy")
    creation.cloud.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
    return Made(f"{role}:{name}", {"name": name})


def _delete_role_policy(deletion: Deletion) -> None:
    role, _, name = deletion.resource.id.partition(":")
    deletion.cloud.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


def _create_attachment(creation: Creation) -> Made:
    role, arn = creation.inputs["role"], creation.inputs["policyArn"]
    creation.cloud.client("iam").attach_role_policy(RoleName=role, PolicyArn=arn)
    return Made(f"{role}/{arn}", {})


def _delete_attachment(deletion: Deletion) -> None:
    inputs = deletion.resource.inputs
    deletion.cloud.client("iam").detach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])


KINDS: Final = (
    Kind(
        resource=aws.iam.Role,
        args=aws.iam.RoleArgs,
        honoured=names(
            "assumeRolePolicy description inlinePolicies managedPolicyArns maxSessionDuration name namePrefix path "
            "permissionsBoundary tags"
        ),
        create=_create_role,
        delete=_delete_role,
    ),
    Kind(
        resource=aws.iam.RolePolicy,
        args=aws.iam.RolePolicyArgs,
        honoured=names("name namePrefix policy role"),
        create=_create_role_policy,
        delete=_delete_role_policy,
    ),
    Kind(
        resource=aws.iam.RolePolicyAttachment,
        args=aws.iam.RolePolicyAttachmentArgs,
        honoured=names("policyArn role"),
        create=_create_attachment,
        delete=_delete_attachment,
    ),
)
