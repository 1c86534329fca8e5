"""The public address of a function that authenticates its callers itself: API keys on route, workers' tokens on report."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.function import Function


class PublicUrl(pulumi.ComponentResource):
    """A Function URL, with the two permissions that AWS asks for (since October 2025) before it lets the public in.

    `depends_on` names what must outlive the address: at destroy it goes before they do. Source of the two permissions:
    https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    """

    def __init__(
        self, part: str, function: Function, *, depends_on: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("headgate:index:PublicUrl", f"{part}-url", opts=opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=list(depends_on))
        url = aws.lambda_.FunctionUrl(f"{part}-url", function_name=function.name, authorization_type="NONE", opts=child)
        aws.lambda_.Permission(
            f"{part}-url-call",
            function=function.name,
            action="lambda:InvokeFunctionUrl",
            principal="*",
            function_url_auth_type="NONE",
            opts=child,
        )
        aws.lambda_.Permission(
            f"{part}-url-invoke",
            function=function.name,
            action="lambda:InvokeFunction",
            principal="*",
            invoked_via_function_url=True,
            opts=child,
        )
        # Workers append a path to it, and `//worker_status/` is another path.
        self.url: pulumi.Output[str] = url.function_url.apply(lambda text: text.rstrip("/"))
        self.register_outputs({"url": self.url})
