"""Vast.ai as our marketplace: what `ports.Marketplace` promises, in calls of its public API (https://docs.vast.ai/api-reference).

Quirks that are handled here and nowhere else: `success: false` under HTTP 200; a create that answers `success: false` together with
a contract id has made a contract; a start that is refused for taken GPUs stays queued; an unknown instance reads as `null`; labels
and addresses carry blanks; lists come in pages; offers ignore some filters now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from functions.adapters import vast_rows
from functions.adapters.vast_http import Call, VastHttp, refusal
from functions.core.launch_args import LaunchArgs, MalformedLaunchArgs, parse_launch_args
from functions.core.model import Autogroup, Instance, Offer
from functions.core.query import MalformedQuery, matches, parse_query
from functions.ports import Clock, InstanceGone, MarketplaceBusy, MarketplaceRefused, RentRequest

SEARCH_LIMIT: Final = 256
PAGE_SIZE: Final = 25  # the API's own maximum
PAGES_MAX: Final = 400
LOG_POLLS_MAX: Final = 30
LOG_POLL_S: Final = 0.3
LOG_BYTES_MAX: Final = 256 * 1024
_MB_PER_GB: Final = 1000
_QUEUED: Final = "resources_unavailable"


class VastMarketplace:
    """Implements `ports.Marketplace`."""

    def __init__(self, http: VastHttp, *, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    def search(self, autogroup: Autogroup) -> list[Offer]:
        """Search on demand, best benchmark per dollar first, so that a capped answer holds the ones worth having."""
        filters = _filters(autogroup)
        query = {
            **filters,
            "order": [["dlperf_per_dphtotal", "desc"]],
            "type": "on-demand",
            "limit": SEARCH_LIMIT,
            "allocated_storage": autogroup.disk_gb,
        }
        answer = self._http.send(Call(kind="search", method="POST", path="/api/v0/bundles/", body=query, repeatable=True))
        rows = [row for row in _rows(answer, "offers") if matches(row, filters)]
        return vast_rows.offers(rows, disk_gb=autogroup.disk_gb)

    def create(self, request: RentRequest) -> int:
        """Accept the offer on demand, and only if it can start now."""
        path = f"/api/v0/asks/{request.offer.offer_id}/"
        answer = self._http.send(Call(kind="create", method="PUT", path=path, body=_create_body(request)))
        contract = answer.get("new_contract")
        if isinstance(contract, int) and not isinstance(contract, bool):
            return contract  # also with success false: it exists, stopped, and bills storage
        if answer.get("success"):
            raise MarketplaceBusy("create: the answer names no contract")
        raise refusal(200, answer)

    def instances(self, label_prefix: str) -> list[Instance]:
        """List page by page. Raises MarketplaceBusy rather than return a part."""
        found: list[Instance] = []
        params = {"limit": str(PAGE_SIZE), "order_by": '[{"col":"id","dir":"asc"}]'}
        for _ in range(PAGES_MAX):
            call = Call(kind="list", method="GET", path="/api/v1/instances/", params=params, repeatable=True)
            answer = self._http.send(call)
            found += (_instance(row) for row in _rows(answer, "instances"))
            token = answer.get("next_token")
            if not token:
                return [instance for instance in found if instance.label.startswith(label_prefix)]
            params = {**params, "after_token": str(token)}
        raise MarketplaceBusy(f"list: more than {PAGES_MAX} pages")

    def instance(self, instance_id: int) -> Instance | None:
        """Show one; `null` or `no_such_instance` is the authoritative "no"."""
        call = Call(kind="show", method="GET", path=f"/api/v0/instances/{instance_id}/", params={"owner": "me"}, repeatable=True)
        try:
            answer = self._http.send(call)
        except InstanceGone:
            return None
        if "instances" not in answer:
            raise MarketplaceBusy("show: the answer holds no instance and does not say that there is none")
        row = answer["instances"]
        return None if row is None else _instance(row)

    def start(self, instance_id: int) -> bool:
        """Ask to run; False when that is queued."""
        answer = self._state(instance_id, "running")
        if answer.get("success"):
            return True
        if answer.get("error") == _QUEUED:
            return False
        raise refusal(200, answer)

    def stop(self, instance_id: int) -> None:
        """Ask to stop."""
        _succeeded(self._state(instance_id, "stopped"))

    def destroy(self, instance_id: int) -> None:
        """Destroy; everything on its disk is lost."""
        call = Call(kind="destroy", method="DELETE", path=f"/api/v0/instances/{instance_id}/", body={})
        _succeeded(self._http.send(call))

    def logs(self, instance_id: int, *, lines: int) -> str:
        """Ask for the log to be put somewhere, then read it there, without our key: the address is a stranger's."""
        path = f"/api/v0/instances/request_logs/{instance_id}/"
        answer = self._http.send(Call(kind="logs", method="PUT", path=path, body={"tail": str(lines)}))
        url = answer.get("result_url")
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise refusal(200, answer)
        for _ in range(LOG_POLLS_MAX):
            text = self._http.fetch_text(url, bytes_max=LOG_BYTES_MAX)
            if text is not None:
                return text
            self._clock.wait_s(LOG_POLL_S)
        raise MarketplaceBusy("logs: not there in time")

    def _state(self, instance_id: int, state: str) -> dict[str, Any]:
        path = f"/api/v0/instances/{instance_id}/"
        return self._http.send(Call(kind="state", method="PUT", path=path, body={"state": state}))


def _filters(autogroup: Autogroup) -> dict[str, dict[str, Any]]:
    try:
        filters = parse_query(autogroup.search_params)
    except MalformedQuery as exc:
        raise MarketplaceRefused("invalid_search_params", str(exc)) from exc
    if autogroup.gpu_ram > 0:
        filters.setdefault("gpu_ram", {}).setdefault("gte", autogroup.gpu_ram * _MB_PER_GB)
    filters.setdefault("disk_space", {}).setdefault("gte", autogroup.disk_gb)
    return filters


def _create_body(request: RentRequest) -> dict[str, Any]:
    autogroup = request.autogroup
    try:
        launch = parse_launch_args(autogroup.launch_args)
    except MalformedLaunchArgs as exc:
        raise MarketplaceRefused("invalid_launch_args", str(exc)) from exc
    template = autogroup.template_hash or launch.values.get("template_hash")
    onstart = autogroup.onstart or launch.values.get("onstart")
    body: dict[str, Any] = {
        "client_id": "me",
        "image": autogroup.image or launch.values.get("image"),
        "template_hash_id": template,
        "env": {**launch.env, **request.env},
        "price": None,  # a number would make it interruptible
        "disk": autogroup.disk_gb,
        "label": request.label,
        "onstart": onstart,
        "cancel_unavail": True,  # else a contract that cannot start would be left behind, billing its disk
        **_launch_fields(launch),
    }
    runtype = launch.runtype or (None if template else "ssh_direc ssh_proxy" if onstart else "args")
    return {**body, **({"runtype": runtype} if runtype else {}), **({"args": list(launch.args)} if launch.args else {})}


def _launch_fields(launch: LaunchArgs) -> dict[str, Any]:
    return {
        "extra": launch.values.get("extra"),
        "image_login": launch.values.get("image_login"),
        "user": launch.values.get("user"),
        "jupyter_dir": launch.values.get("jupyter_dir"),
        "use_jupyter_lab": "--jupyter-lab" in launch.switches,
        "python_utf8": "--python-utf8" in launch.switches,
        "lang_utf8": "--lang-utf8" in launch.switches,
        "force": "--force" in launch.switches,
    }


def _succeeded(answer: Mapping[str, Any]) -> None:
    if not answer.get("success"):
        raise refusal(200, answer)


def _rows(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = answer.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MarketplaceBusy(f"the answer holds no list of {name}")
    return rows


def _instance(row: Mapping[str, Any]) -> Instance:
    try:
        return vast_rows.instance(row)
    except ValidationError as exc:
        raise MarketplaceBusy(f"an instance cannot be read: {exc.error_count()} fields") from exc
