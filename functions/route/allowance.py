"""What one execution environment may let pass of a client's limit before it has to ask the table again: see `core.rate_limit`."""

from __future__ import annotations

import math
from typing import Final

from functions.core.model import ApiKey
from functions.core.rate_limit import SHARE_LIFE_S, Budgets, overdrawn_s, price, share
from functions.ports import BudgetSpent, RouteStore

# Who was refused is refused without a write until the budget is due; but a limit that is raised must be live soon.
REFUSED_FOR_S_MAX: Final = 5.0
# What passed counts for the usual rate by an e-th less after each of these: two gaps that happen to be short are no sign of haste.
REMEMBERED_S: Final = 2.0


class Allowance:
    """One client's share in this environment. Mutable: handed out request by request, and forgotten with the environment."""

    def __init__(self) -> None:
        self._requests = 0
        self._load = 0.0
        self._taken_at_s = -math.inf
        self._passed = 0.0
        self._passed_load = 0.0
        self._passed_at_s = -math.inf
        self._known = Budgets()
        self._refused_until_s = -math.inf

    def admit(self, key: ApiKey, *, cost: float, now_s: float, store: RouteStore) -> float:
        """Let a request pass and return 0; or return in how many seconds its client may try again.

        No write while the share lasts or the budget is known to be spent, else one, rarely two. Raises StoreUnavailable.
        """
        if not self._covers(key, cost, now_s=now_s):
            if now_s < self._refused_until_s:
                return self._refused_until_s - now_s
            if wait_s := self._take(key, cost, now_s=now_s, store=store):
                return wait_s
        self._requests -= 1
        self._load -= cost
        self._note(cost, now_s=now_s)
        return 0.0

    def _covers(self, key: ApiKey, cost: float, *, now_s: float) -> bool:
        lives = now_s - self._taken_at_s < SHARE_LIFE_S
        return lives and self._requests > 0 and (key.load_per_s is None or self._load >= cost)

    def _take(self, key: ApiKey, cost: float, *, now_s: float, store: RouteStore) -> float:
        """Take a new share; what is left of the old one is lost. Return 0, or in how many seconds the budget is due."""
        usual_cost = self._passed_load / self._passed if self._passed else cost
        usual = self._passed * self._left(now_s) / REMEMBERED_S * SHARE_LIFE_S / 2
        requests = share(key, usual=usual, cost=cost, usual_cost=usual_cost)
        load = cost + (requests - 1) * usual_cost
        asked = price(key, requests=requests, load=load)
        try:
            self._known = store.spend(key.label, asked, now_s=now_s, known=self._known)
        except BudgetSpent as exc:
            self._known = exc.found
            wait_s = min(REFUSED_FOR_S_MAX, overdrawn_s(exc.found, asked, now_s=now_s))
            self._refused_until_s = now_s + wait_s
            return wait_s
        self._requests, self._load, self._taken_at_s = requests, load, now_s
        return 0.0

    def _note(self, cost: float, *, now_s: float) -> None:
        left = self._left(now_s)
        self._passed, self._passed_load, self._passed_at_s = self._passed * left + 1, self._passed_load * left + cost, now_s

    def _left(self, now_s: float) -> float:
        """Return how much of what was counted until the last request still counts."""
        return math.exp((self._passed_at_s - now_s) / REMEMBERED_S)
