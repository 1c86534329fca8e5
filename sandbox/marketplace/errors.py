"""Refusals, in the words and with the HTTP statuses of the marketplace.

One exception carries what the wire carries (`status`, `error`, `msg`); the functions below are the vocabulary, so that a text
stands in one place. Statuses and texts follow the public API documentation of August 2026; where it contradicts itself the
more surprising variant is left to `faults`.
"""

from __future__ import annotations


class Refused(Exception):
    """The marketplace says no. `status` is the HTTP status, `error` its code (None where the API sends none)."""

    def __init__(self, status: int, error: str | None, msg: str) -> None:
        super().__init__(f"{status} {error}: {msg}")
        self.status = status
        self.error = error
        self.msg = msg
        self.facts: dict[str, object] = {}

    def about(self, **facts: object) -> Refused:
        """Return itself, with these keys added to what the wire carries."""
        self.facts.update(facts)
        return self

    def wire(self) -> dict[str, object]:
        """Return the JSON object of the answer; a refusal without a code has no `error` key, as in the API."""
        told: dict[str, object] = {"success": False}
        if self.error is not None:
            told["error"] = self.error
        told["msg"] = self.msg
        return {**told, **self.facts}


def bad_key() -> Refused:
    """No key, or a wrong one."""
    return Refused(401, "auth_error", "Invalid user key")


def bad_request(msg: str) -> Refused:
    """Arguments that can never succeed."""
    return Refused(400, "invalid_args", msg)


def bad_query(msg: str) -> Refused:
    """A search or filter that the API cannot read; it sends no code."""
    return Refused(400, None, msg)


def no_such_ask(ask_id: int) -> Refused:
    """The offer was accepted by someone, or never existed."""
    return Refused(404, "no_such_ask", f"error 404/3603: no_such_ask Instance type by id {ask_id} is not available.")


def ask_unavailable(ask_id: int) -> Refused:
    """The offer is known, but its GPUs are taken now."""
    return Refused(410, "no_such_ask", f"error 410/3907: no_such_ask Instance type {ask_id} is no longer available.")


def ask_gone_as_400(ask_id: int) -> Refused:
    """The form that third-party clients have met: the same refusal under status 400, the code only in the text."""
    return Refused(400, "invalid_args", f"error 400/3603: no_such_ask Instance type by id {ask_id} is not available.")


def no_such_instance(contract_id: int) -> Refused:
    """The instance is destroyed, someone else's, or never existed."""
    return Refused(404, "no_such_instance", f"Instance {contract_id} not found.")


def missing_billing() -> Refused:
    """The account's credit is used up."""
    return Refused(400, "missing_billing", "You lack credit, see the billing page.")


def insufficient_credit() -> Refused:
    """The same, as a change of several instances says it."""
    return Refused(400, "insufficient_credit", "You lack credit.")


def no_ssh_key_for_vm() -> Refused:
    """A virtual machine can only be entered by ssh, and the account has no key."""
    return Refused(400, "no_ssh_key_for_vm", "Please add an ssh key to your account before you create a VM instance.")


def invalid_id() -> Refused:
    """A path in which a word stands where a number should."""
    return bad_request("invalid instance_id")


def resources_unavailable() -> Refused:
    """The GPUs are taken; the start stays queued. Status 200, which is the trap."""
    return Refused(200, "resources_unavailable", "Required resources are currently unavailable, state change queued.")


def not_started() -> Refused:
    """A reboot or recycle of an instance whose container does not run. Status 200 as well."""
    return Refused(200, "invalid_id", "Invalid instance id. Is the container started?")


def not_found(path: str) -> Refused:
    """No such route."""
    return Refused(404, "not_found", f"No such route: {path[:128]}")
