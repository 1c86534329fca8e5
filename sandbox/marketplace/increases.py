"""A host that raises its price asks those who rent from it; who accepts stays longer, and pays more from then on.

A raised price touches no contract: each keeps its price until its `end_date`. Its owner finds a pending increase, with the new
price and the host's later date. *Accepting* moves the contract's end to that date, and the new price holds from the old end on.
*Rejecting*, or doing nothing, lets the contract end when it would have. One increase is pending for a contract at most, the latest.

Bidders are not asked: their price is their own bid. Shapes, and the 404 for an increase that is gone, follow the official client.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from sandbox.marketplace.agenda import Agenda, PriceRises, TermEnds
from sandbox.marketplace.contracts import Contracts
from sandbox.marketplace.errors import Refused
from sandbox.marketplace.instance import Contract, to_s, to_us
from sandbox.marketplace.ledger import Tariff, usd
from sandbox.marketplace.machine import Machine

FIRST_INCREASE_ID: Final = 7_001
_S_PER_HOUR: Final = 3_600
# The marketplace's own clients turn a price per second into one per month of 30 days.
_S_PER_MONTH: Final = 30 * 24 * _S_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """What a host asks of one contract."""

    increase_id: int
    contract: Contract
    tariff: Tariff
    ends_s: float
    created_us: int

    def row(self) -> dict[str, object]:
        """Return it as the API lists it: prices per second and GPU, null where nothing changes."""
        old, gpus = self.contract.tariff, self.contract.num_gpus
        return {
            "pending_price_increase_id": self.increase_id,
            "contract_id": self.contract.contract_id,
            "host_id": self.contract.machine.hardware.host.host_id,
            "new_gpu_costpersec": usd(self.tariff.gpu_micro_usd_per_hour) / gpus / _S_PER_HOUR,
            "new_disk_ram_costpersec": None,
            "new_bwu_cost": None,
            "new_bwd_cost": None,
            "new_platform_fee": None,
            "old_gpu_costpersec": usd(old.gpu_micro_usd_per_hour) / gpus / _S_PER_HOUR,
            "old_disk_ram_costpersec": usd(old.storage_micro_usd_per_gb_month) / _S_PER_MONTH,
            "old_bwu_cost": usd(old.up_micro_usd_per_gb),
            "old_bwd_cost": usd(old.down_micro_usd_per_gb),
            "old_platform_fee": 0.0,
            "contract_end_date": self.contract.term_ends_s,
            "ask_end_date": self.ends_s,
            "created_at": to_s(self.created_us),
        }


@dataclass(slots=True, kw_only=True)
class PriceIncreases:
    """The increases that wait for an answer, by id."""

    agenda: Agenda
    contracts: Contracts
    _pending: dict[int, Increase] = field(default_factory=dict)
    _last_id: int = FIRST_INCREASE_ID

    def ask(self, machine: Machine, now_us: int) -> None:
        """Ask everyone who rents from this machine on demand for less than it costs now."""
        for contract in self.contracts.on(machine):
            price = machine.price_micro_usd_per_hour * contract.num_gpus
            if not contract.is_bid and price > contract.tariff.gpu_micro_usd_per_hour:
                self._ask(contract, replace(contract.tariff, gpu_micro_usd_per_hour=price), machine.term_ends_s, now_us)

    def pending(self, now_us: int) -> list[Increase]:
        """Return what can still be answered, oldest first."""
        self._pending = {
            key: each for key, each in self._pending.items() if each.contract.alive and to_us(each.contract.term_ends_s) > now_us
        }
        return list(self._pending.values())

    def accept(self, increase_id: int, now_us: int) -> Increase:
        """Extend the contract, at the new price from its old end on. Raises Refused (404) if the increase is gone."""
        increase = self._take(increase_id, now_us)
        contract = increase.contract
        self.agenda.put(to_us(contract.term_ends_s), PriceRises(contract.contract_id, increase.tariff))
        contract.term_ends_s = increase.ends_s
        self.agenda.put(to_us(increase.ends_s), TermEnds(contract.contract_id))
        return increase

    def reject(self, increase_id: int, now_us: int) -> Increase:
        """Let the contract end when it would have. Raises Refused (404) if the increase is gone."""
        return self._take(increase_id, now_us)

    def _ask(self, contract: Contract, tariff: Tariff, ends_s: float, now_us: int) -> None:
        replaced = [key for key, each in self._pending.items() if each.contract is contract]
        for key in replaced:
            del self._pending[key]
        self._last_id += 1
        self._pending[self._last_id] = Increase(
            increase_id=self._last_id,
            contract=contract,
            tariff=tariff,
            ends_s=max(ends_s, contract.term_ends_s),
            created_us=now_us,
        )

    def _take(self, increase_id: int, now_us: int) -> Increase:
        self.pending(now_us)
        increase = self._pending.pop(increase_id, None)
        if increase is None:
            raise Refused(404, "no_pending_price_increase", f"No pending price increase {increase_id}.")
        return increase
