"""No stack may leave a billed GPU behind: at destroy, the scale function releases the group before anything it needs is gone.

The provider invokes the function when the resource is created, updated and deleted, and says which under `tf.action`. What it
depends on outlives it, so the order of a destroy is: first what depends on the release (the group's schedule and the public
route, so that nobody asks for workers any more), then the release, then the function, its role, its secrets and the table. A
release that cannot be confirmed fails the destroy, which can be repeated.

The invocation at creation also proves, in the middle of `pulumi up`, that the code just deployed can run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.function import Function

LIFECYCLE: Final = "CRUD"
EVENT_KEY: Final = "tf"  # the provider's name for what it adds to the event; the scale function looks for it


def declare_release(
    endpoint: str, *, scale: Function, depends_on: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
) -> aws.lambda_.Invocation:
    """Declare the release of one endpoint group. `depends_on` is what it needs in order to work, beside the function."""
    return aws.lambda_.Invocation(
        f"release-{endpoint}",
        function_name=scale.name,
        lifecycle_scope=LIFECYCLE,
        terraform_key=EVENT_KEY,
        input=json.dumps({"endpoint": endpoint}),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[scale, *depends_on])),
    )
