"""How much a client may send: a budget of requests and a budget of load, each refilled steadily.

*Rule.* A budget is one number, the moment up to which it has been spent (the generic cell rate algorithm, ITU-T I.371; a token
bucket said with a clock). A request may pass if that moment is not in the future, and moves it on by its price: one divided by the
limit for requests, its load divided by the limit for load. A budget left alone saves up BURST_S and no more. So a request dearer
than any saving passes too, and is paid for afterwards, and in any span of t seconds at most `limit * (t + BURST_S)` passes, and
one request.

*Shares.* One write for every request would make a limit cost as much as a route, and end at what one item can take (about a
thousand writes a second). So an execution environment takes what it lately needed for half of SHARE_LIFE_S at once, at most
SHARE_S of the budget, and hands it out by itself; what it has not handed out after SHARE_LIFE_S is lost. That lets a span of t
seconds pass at most `limit * (t + BURST_S + SHARE_S + SHARE_LIFE_S)` and one request, whatever the number of environments: what is
handed out was taken before, at most SHARE_LIFE_S ago. The other way, at most one share an environment is lost in every
SHARE_LIFE_S; since a share is what its environment has lately used, that is little (simulated, 1 to 400 environments, offered up to
20 times the limit: the client gets its limit and the burst, to the percent). Clocks that differ by d between
environments add d to BURST_S.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from functions.core.model import ApiKey

BURST_S: Final = 2.0
SHARE_S: Final = 0.5
SHARE_LIFE_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Up to which moment each of a client's budgets has been spent, in epoch seconds."""

    requests_until_s: float = 0.0
    load_until_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What is taken of each budget, in seconds of it; 0 where there is no limit."""

    requests_s: float = 0.0
    load_s: float = 0.0


def is_limited(key: ApiKey) -> bool:
    """Tell whether the client has a limit at all; nothing is written for one that has none."""
    return key.requests_per_s is not None or key.load_per_s is not None


def price(key: ApiKey, *, requests: int, load: float) -> Price:
    """Return what these requests, of this load together, take of the client's budgets."""
    return Price(
        requests_s=requests / key.requests_per_s if key.requests_per_s else 0.0,
        load_s=load / key.load_per_s if key.load_per_s else 0.0,
    )


def overdrawn_s(budgets: Budgets, asked: Price, *, now_s: float) -> float:
    """Return for how many seconds a budget that is asked for is still spent; 0 if the request may pass."""
    requests_s = budgets.requests_until_s - now_s if asked.requests_s else 0.0
    load_s = budgets.load_until_s - now_s if asked.load_s else 0.0
    return max(0.0, requests_s, load_s)


def spent(budgets: Budgets, asked: Price, *, now_s: float) -> Budgets:
    """Return the budgets once `asked` has been taken."""
    return Budgets(
        requests_until_s=_spent(budgets.requests_until_s, asked.requests_s, now_s),
        load_until_s=_spent(budgets.load_until_s, asked.load_s, now_s),
    )


def share(key: ApiKey, *, usual: float, cost: float, usual_cost: float) -> int:
    """Return for how many requests to take at once: the `usual` number, as far as SHARE_S of each budget pays for it."""
    most = usual
    if key.requests_per_s:
        most = min(most, key.requests_per_s * SHARE_S)
    if key.load_per_s and usual_cost:
        most = min(most, 1 + (key.load_per_s * SHARE_S - cost) / usual_cost)
    return max(1, int(most))


def told(key: ApiKey) -> str:
    """Return the client's limits in words."""
    requests = f"{key.requests_per_s:g} requests per second" if key.requests_per_s else ""
    load = f"{key.load_per_s:g} load per second" if key.load_per_s else ""
    return " and ".join(filter(None, (requests, load)))


def _spent(until_s: float, taken_s: float, now_s: float) -> float:
    return max(until_s, now_s - BURST_S) + taken_s if taken_s else until_s
