"""What the Python runtime of Lambda ships, shown to functions as a folder of links.

Functions need not bring boto3, and should not: unpacked into every execution environment it costs
50 MB and a second. They see these packages of this environment and none of the others, so that a
dependency missing from the code asset is missed here as it would be on AWS. What a function brings
itself comes first.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from sandbox.aws.errors import EmulatorFailed

# https://docs.aws.amazon.com/lambda/latest/dg/python-package.html, "Runtime search path in Python"
RUNTIME_PACKAGES: Final = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")


def link_runtime_packages(folder: Path) -> None:
    """Make the folder, with a link to each package; raises `EmulatorFailed` if one is not installed."""
    folder.mkdir()
    for package in RUNTIME_PACKAGES:
        source = _source_of(package)
        (folder / source.name).symlink_to(source)


def _source_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EmulatorFailed(f"{package} is not installed: run `make setup`")
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin
