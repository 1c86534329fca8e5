"""What Vast's own workers tell, in every form that is in use, as one typed message: what it says, and what it does not say.

| reported `version` | worker | what a message holds |
|---|---|---|
| `1.0.0`, `1.1.0` | vastai-sdk 0.3 to vastai 1.9.1 | everything, every time |
| none, `message` absent | pyworkers of September 2024 to 2025 | everything but the load in flight |
| none, `mtoken` in the body | pyworkers of July 2024 | a part; whatever is not said still holds |
| `0` | the start-up script of any of them | an error before the worker has begun |

What is taken, and what is not:

* *Gauges, no sums.* `new_load`, `cur_perf` and `rej_load` are amounts since the last report that got through, so a report that is
  lost, or sent again after its answer was lost, would corrupt a total for ever. What is in flight is said anew each time, and a
  router needs nothing else (`core.routing`).
* `cur_load` is a gauge only where the version is 1.x. In September 2024 it was a rate, later the amount since the last report. The
  workers of July 2024 call the gauge `cur_capacity`, and send it with their `data update` alone.
* *Ready* is a measured performance without an error. `loadtime` would say less: some repeat it, some say it once and then 0.
* Ready, said the worker, and measured nothing: that is an error, since nothing can be routed by a performance of 0.
* An error stays until the process restarts; the workers repeat it, or fall silent after it.
* Ids are numbers or texts. Whose report it is, the credential tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from protocol.report import COUNTER_MAX, ERROR_LENGTH_MAX, TEXT_LENGTH_MAX, MalformedReport, Phase
from protocol.vast_signature import VERSION_NONE, is_vast

VERSION_SCRIPT: Final = "0"
VERSION_LENGTH_MAX: Final = 32
NOTHING_MEASURED: Final = "the worker says that it is loaded, and measured no performance"
_DATA_UPDATE: Final = "data update"
_LOADING_UPDATE: Final = "loading update"


@dataclass(frozen=True, slots=True, kw_only=True)
class VastReport:
    """One message. Every field that is None was not said. Names and units are those of the control plane's record of a worker."""

    version: str
    phase: Phase | None = None
    url: str | None = None
    perf: float | None = None
    loadtime_s: float | None = None
    in_flight: int | None = None
    in_flight_load: float | None = None
    finished_requests: int | None = None
    error: str | None = None

    @classmethod
    def parse(cls, wire: Mapping[str, Any]) -> Self:
        """Read a message of any generation. Raises MalformedReport naming the first bad field."""
        version = _version(wire)
        perf, error = _amount(wire, "max_perf"), _sentence(wire, "error_msg")
        loadtime_s = _amount(wire, "loadtime")
        if perf == 0 and loadtime_s and not error:
            error = NOTHING_MEASURED
        in_flight = _count(wire, "num_requests_working")
        return cls(
            version=version,
            phase=_phase(wire, perf=perf, error=error),
            url=_url(wire),
            perf=perf,
            loadtime_s=loadtime_s or None,
            in_flight=in_flight,
            in_flight_load=_load_in_flight(wire, version),
            finished_requests=_finished(wire, in_flight),
            error=error,
        )


def is_ours(wire: Mapping[str, Any]) -> bool:
    """Tell whether a report is one of Headgate's own worker, by its version or the name that only ours has."""
    return "worker_id" in wire or not is_vast(str(wire.get("version", VERSION_NONE)))


def _version(wire: Mapping[str, Any]) -> str:
    version = wire.get("version", VERSION_NONE)
    if not isinstance(version, str) or len(version) > VERSION_LENGTH_MAX or not version.isprintable():
        raise MalformedReport("version", f"a text of at most {VERSION_LENGTH_MAX} printable characters is needed, or none")
    return VERSION_NONE if version == VERSION_SCRIPT else version


def _phase(wire: Mapping[str, Any], *, perf: float | None, error: str | None) -> Phase | None:
    if error or wire.get("error") is True:
        return Phase.ERROR
    if perf is None:
        return Phase.LOADING if wire.get("message") == _LOADING_UPDATE else None
    return Phase.READY if perf > 0 else Phase.LOADING


def _load_in_flight(wire: Mapping[str, Any], version: str) -> float | None:
    if version != VERSION_NONE:
        return _amount(wire, "cur_load")
    return _amount(wire, "cur_capacity") if wire.get("message") == _DATA_UPDATE else None


def _finished(wire: Mapping[str, Any], in_flight: int | None) -> int | None:
    received = _count(wire, "num_requests_recieved")
    return None if received is None or in_flight is None else max(0, received - in_flight)


def _url(wire: Mapping[str, Any]) -> str | None:
    url = wire.get("url")
    if url is None or url == "":
        return None
    if not isinstance(url, str) or len(url) > TEXT_LENGTH_MAX or not url.isprintable() or not _is_address(url):
        raise MalformedReport("url", "an address such as http://203.0.113.7:40123 is needed, without a path")
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    beside = parts.username or parts.password or parts.query or parts.fragment or parts.path not in {"", "/"}
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0 and not beside


def _sentence(wire: Mapping[str, Any], name: str) -> str | None:
    value = wire.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedReport(name, "a text is needed")
    # Whatever a crashing server printed: half a surrogate pair is replaced, since no store would take it.
    return value[:ERROR_LENGTH_MAX].encode(errors="replace").decode()


def _amount(wire: Mapping[str, Any], name: str) -> float | None:
    value = wire.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= COUNTER_MAX:  # false for NaN too
        raise MalformedReport(name, "a number from 0 to 2**53 is needed")
    return float(value)


def _count(wire: Mapping[str, Any], name: str) -> int | None:
    value = _amount(wire, name)
    if value is not None and not value.is_integer():
        raise MalformedReport(name, "a whole number is needed")
    return None if value is None else int(value)
