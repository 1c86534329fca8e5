"""What can go wrong in the AWS half of the sandbox, named for what the caller does next.

SandboxFault
├── EmulatorFailed        end, and show the message: it carries the end of the emulator's log
│   └── PortTaken         choose another port, or none
├── SettingsInvalid       correct Pulumi.yaml or the stack file
├── UnsupportedResource   take the resource or input out of the program, or teach it to the sandbox
├── InvalidInputs         correct the program: the real provider would refuse these inputs too
├── StackRefused          change the stack: a policy forbids it, and nothing was created
├── DeploymentFailed      the message names the resource; destroy what `partial` holds
├── ResourceProtected     destroy with `unprotect=True` if that is really meant
└── DestroyStopped        remove the cause and call `destroy` again: it goes on where it stopped
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.aws.deployment import Deployment


class SandboxFault(Exception):
    """Anything that keeps the AWS half of the sandbox from doing its work."""


class EmulatorFailed(SandboxFault):
    """The emulator did not start in time, or ended by itself."""


class PortTaken(EmulatorFailed):
    """Somebody else listens on the port that was asked for."""


class SettingsInvalid(SandboxFault):
    """Pulumi.yaml or the stack file cannot be used."""


class UnsupportedResource(SandboxFault):
    """The program uses a resource type, an input or a data source that the sandbox does not know."""


class InvalidInputs(SandboxFault):
    """The inputs of a resource are not ones that its provider takes."""


class StackRefused(SandboxFault):
    """A policy forbids the stack."""

    def __init__(self, violations: Sequence[str]) -> None:
        super().__init__("the stack breaks a policy:\n" + "\n".join(f"  - {violation}" for violation in violations))
        self.violations = tuple(violations)


class DeploymentFailed(SandboxFault):
    """The update stopped part of the way; `partial` holds what exists."""

    def __init__(self, message: str, *, partial: Deployment) -> None:
        super().__init__(message)
        self.partial = partial


class ResourceProtected(SandboxFault):
    """A resource has the option `protect`, and nobody said that the stack is being torn down."""


class DestroyStopped(SandboxFault):
    """A deletion failed; what it would have taken down after it still stands."""
