"""The environment of the route function, as `pulumi up` and the Lambda runtime set it."""

from __future__ import annotations

import os
from collections.abc import Mapping


def route_environment(aws_url: str) -> Mapping[str, str]:
    """Return the variables, with AWS at this URL. A session token has the length of a real one: it is signed and sent each time."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLEEXAMPLE00",
        "AWS_SECRET_ACCESS_KEY": "x" * 40,
        "AWS_SESSION_TOKEN": "t" * 900,
        "AWS_ENDPOINT_URL": aws_url,
        "HEADGATE_STACK": "bench",
        "HEADGATE_TABLE": "headgate-bench",
        "HEADGATE_SIGNING_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:bench",
        "HEADGATE_SCALE_FUNCTION": "headgate-bench-scale",
        "POWERTOOLS_SERVICE_NAME": "headgate-route",
        "POWERTOOLS_METRICS_NAMESPACE": "Headgate/bench",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
