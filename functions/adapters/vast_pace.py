"""How often each kind of call may be made: we keep the documented pauses, so that the marketplace need not refuse us.

The API asks for a least time between two calls of one method on one path, per caller (https://docs.vast.ai/api-reference,
`x-rateLimit` of each page, August 2026). Keeping it costs a wait of some seconds; meeting its 429 costs a halt of renting.

The times are kept in this process. Another one with the same key, such as the scaler of another group, is not seen: a 429 may still
come, and then its advice is followed, from its `Retry-After`, its text or the documented pause, whichever is longest. The daily
search quota is another thing: no pause helps before it is renewed, so it is refused here until then, without asking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from functions.ports import Clock, MarketplaceRefused, MarketplaceThrottled

# Seconds between two calls of a kind.
INTERVAL_S: Final[Mapping[str, float]] = MappingProxyType(
    {
        "search": 2.0,
        "create": 4.5,
        "list": 1.0,
        "show": 2.0,
        "change": 1.0,  # start, stop and label are one path
        "destroy": 3.0,
        "reboot": 1.0,
        "recycle": 1.0,
        "bid": 5.5,
        "logs": 1.5,  # not documented: that of the other calls whose result is fetched
        "account": 3.0,
    }
)
# Calls travel for different times: two that leave an interval apart may arrive a little closer.
MARGIN_S: Final = 0.1
WAIT_S_MAX: Final = 8.0  # a longer one is not waited for: the next tick is there sooner
OVERSLEPT_S_MAX: Final = 5.0
DAY_S: Final = 86_400.0
QUOTA: Final = "search_quota_exceeded"
_THRESHOLD: Final = re.compile(r"threshold=(\d{1,4}(?:\.\d{1,6})?)")
_TEXT_BYTES: Final = 1024


class Pace:
    """When each kind of call may be made again. `factor` stretches the documented pauses; 0 keeps none before a 429."""

    def __init__(self, clock: Clock, *, factor: float = 1.0) -> None:
        self._clock = clock
        self._factor = factor
        self._learned_s: dict[str, float] = {}
        self._free_at_s: dict[str, float] = {}
        self._quota_until_s = 0.0

    def wait(self, kind: str) -> None:
        """Wait until this kind may be called.

        Raises MarketplaceThrottled when that is, or turns out to be, too long; MarketplaceRefused for a quota.
        """
        now_s = self._clock.now_s()
        if kind == "search" and now_s < self._quota_until_s:
            raise self._quota_refusal(now_s)
        wait_s = self._free_at_s.get(kind, 0.0) - now_s
        if wait_s > WAIT_S_MAX:
            raise MarketplaceThrottled(f"{kind}: rate limit", retry_after_s=wait_s)
        if wait_s > 0:
            self._clock.wait_s(wait_s)
            self._check_awake(kind, until_s=now_s + wait_s)
        self._free_at_s[kind] = self._clock.now_s() + self._interval_s(kind)

    def _check_awake(self, kind: str, *, until_s: float) -> None:
        """Refuse a call whose wait took far longer than asked: this process was suspended, and its right to act may be gone."""
        if self._clock.now_s() > until_s + OVERSLEPT_S_MAX:
            raise MarketplaceThrottled(f"{kind}: overslept")

    def refused(self, kind: str, headers: Mapping[str, str], body: bytes) -> MarketplaceThrottled | MarketplaceRefused:
        """Note that the marketplace has refused a call for its rate, and return the error that says what to do.

        Its text is mostly no JSON: `API requests too frequent: endpoint threshold=4.5`, in one of four shapes.
        """
        text, now_s = body[:_TEXT_BYTES].decode(errors="replace"), self._clock.now_s()
        if QUOTA in text:
            self._quota_until_s = _quota_reset_s(headers, now_s=now_s)
            return self._quota_refusal(now_s)
        named = _THRESHOLD.search(text)
        interval_s = max(float(named[1]) if named else 0.0, INTERVAL_S[kind])
        self._learned_s[kind] = interval_s + MARGIN_S
        retry_after_s = max(interval_s, _seconds(headers.get("Retry-After", "")))
        self._free_at_s[kind] = now_s + retry_after_s
        return MarketplaceThrottled(f"{kind}: rate limit", retry_after_s=retry_after_s)

    def _interval_s(self, kind: str) -> float:
        kept_s = (INTERVAL_S[kind] + MARGIN_S) * self._factor
        return max(kept_s, self._learned_s.get(kind, 0.0))

    def _quota_refusal(self, now_s: float) -> MarketplaceRefused:
        left_s = self._quota_until_s - now_s
        return MarketplaceRefused(QUOTA, f"the account's searches of this day are used up; renewed in {left_s / 60:.0f} min")


def _quota_reset_s(headers: Mapping[str, str], *, now_s: float) -> float:
    """Return when the quota is renewed: as the answer says, else at midnight UTC."""
    told_s = _seconds(headers.get("X-RateLimit-Reset", ""), most_s=now_s + 2 * DAY_S)
    return told_s if told_s > now_s else (now_s // DAY_S + 1) * DAY_S


def _seconds(text: str, *, most_s: float = DAY_S) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0  # an HTTP date, or nothing
    return seconds if 0 <= seconds < most_s else 0.0
