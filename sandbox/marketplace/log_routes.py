"""What an instance wrote, or a command on it prints: requested by id, fetched without a key from an address nobody can guess."""

from __future__ import annotations

from typing import Final

from sandbox.marketplace.api import LOG_RESULTS_MAX, TEXT_TYPE, Call, Reply
from sandbox.marketplace.errors import bad_request
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.lifecycle import Phase
from sandbox.marketplace.shell import read_command

LOG_LINES_DEFAULT: Final = 1_000
LOG_LINES_MAX: Final = 10_000
LOG_FILTER_CHARS_MAX: Final = 256


def request_logs(call: Call) -> object:
    """`PUT /instances/request_logs/{id}/`: puts the log's end where `result_url` says; fetching that needs no key."""
    contract = call.live()
    lines = _log_lines(call.body.get("tail"))
    daemon = str(call.body.get("daemon_logs")).lower() == "true"
    text = _daemon_log(contract, lines) if daemon else call.api.processes.log_tail(contract.contract_id, lines)
    url = _put(call, contract, _filtered(text, call.body.get("filter")))
    return {"success": True, "result_url": url, "msg": "Logs requested, wait a few seconds and then view the result_url"}


def execute(call: Call) -> object:
    """`PUT /instances/command/{id}/`: ls, du or rm on the files of a stopped instance."""
    contract, command = call.live(), read_command(call.body.get("command"))
    if contract.phase is not Phase.STOPPED:
        raise bad_request("Execute command only avail on stopped instances. Use ssh to connect to running instances.")
    if not contract.container_made:
        raise bad_request("Container not ready")
    url = _put(call, contract, call.api.processes.execute(contract.contract_id, command))
    msg = "Command is executing, wait a few seconds and then view the result_url"
    return {"success": True, "writeable_path": "/", "result_url": url, "msg": msg}


def fetch_log(call: Call) -> object:
    """`GET /instance_logs/{token}.log`: needs no key, the token is unguessable; 404 when there is no such log."""
    token = call.request.path.rstrip("/").rsplit("/", maxsplit=1)[-1].removesuffix(".log")
    text = call.api.logs.get(token)
    if text is None:
        return Reply(status=404, body=b"not found", content_type=TEXT_TYPE)
    return Reply(body=text.encode(), content_type=TEXT_TYPE)


def _put(call: Call, contract: Contract, text: str) -> str:
    """Keep a text where it can be fetched; returns its address."""
    token = f"C.{contract.contract_id}-{call.world.plan.rng.getrandbits(128):032x}"
    call.api.logs[token] = text
    while len(call.api.logs) > LOG_RESULTS_MAX:
        del call.api.logs[next(iter(call.api.logs))]
    return f"http://{call.request.host}/instance_logs/{token}.log"


def _log_lines(tail: object) -> int:
    try:
        return min(max(int(str(tail)), 0), LOG_LINES_MAX) if tail else LOG_LINES_DEFAULT
    except ValueError as exc:
        raise bad_request("tail must be a number of lines") from exc


def _daemon_log(contract: Contract, lines: int) -> str:
    """The host's side of the story: when the container showed what."""
    told = [f"{to_s(moment.at_us):.3f} C.{contract.contract_id} {moment.phase} ({moment.status})" for moment in contract.history]
    return "\n".join(told[-lines:] if lines else []) + "\n"


def _filtered(text: str, pattern: object) -> str:
    """Keep the lines that contain what is asked for, as plain text: a caller's regular expression could run for ever."""
    if not pattern:
        return text
    wanted = str(pattern)[:LOG_FILTER_CHARS_MAX]
    return "".join(line for line in text.splitlines(keepends=True) if wanted in line)
