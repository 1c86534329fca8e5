"""Draw up a contract: the terms that an accept locks, and what will become of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from sandbox.marketplace.environment import public_ipaddr
from sandbox.marketplace.fault_plan import FaultPlan
from sandbox.marketplace.faults import Fate, trust_of
from sandbox.marketplace.instance import Contract, to_s, to_us
from sandbox.marketplace.ledger import Tariff
from sandbox.marketplace.offers import Offer
from sandbox.marketplace.order import Order

FIRST_CONTRACT_ID: Final = 13_500_000
CONTRACT_ID_STEP_MAX: Final = 60
_SHORT_TERMED: Final = frozenset({Fate.TERM_ENDS, Fate.PRICE_RAISED})


@dataclass(slots=True, kw_only=True)
class Drafts:
    """Makes contracts. Ids grow and are never used twice; keys and tokens come from `names`."""

    names: random.Random
    plan: FaultPlan
    last_contract_id: int = FIRST_CONTRACT_ID

    def draw_up(self, offer: Offer, order: Order, now_us: int, *, fate: Fate | None = None) -> Contract:
        """Return a contract that holds nothing yet. `fate` overrides what is drawn for it."""
        contract = self._terms(offer, order, now_us)
        self._draw_life(contract, fate, now_us)
        return contract

    def _terms(self, offer: Offer, order: Order, now_us: int) -> Contract:
        hardware = offer.hardware
        self.last_contract_id += self.names.randint(1, CONTRACT_ID_STEP_MAX)
        bid = order.bid_micro_usd_per_hour
        return Contract(
            contract_id=self.last_contract_id,
            order=order,
            machine=offer.machine,
            num_gpus=len(offer.gpu_ids),
            min_bid_micro_usd_per_hour=offer.min_bid_micro_usd_per_hour,
            tariff=Tariff(
                gpu_micro_usd_per_hour=offer.price_micro_usd_per_hour if bid is None else bid,
                storage_micro_usd_per_gb_month=hardware.storage_micro_usd_per_gb_month,
                disk_mb=order.disk_mb,
                up_micro_usd_per_gb=hardware.network.up_micro_usd_per_gb,
                down_micro_usd_per_gb=hardware.network.down_micro_usd_per_gb,
            ),
            created_us=now_us,
            term_ends_s=offer.machine.term_ends_s,
            instance_key=f"{self.names.getrandbits(256):064x}",
            jupyter_token=f"{self.names.getrandbits(256):064x}",
            announced_ipaddr=public_ipaddr(offer.machine),
            label=order.label,
        )

    def _draw_life(self, contract: Contract, fate: Fate | None, now_us: int) -> None:
        hardware, options = contract.machine.hardware, self.plan.options
        trust = trust_of(verified=hardware.verified, reliability=hardware.reliability)
        drawn = self.plan.draw_fate(hardware.machine_id, trust)
        contract.fate = fate or self.plan.fate_of_image(contract.order.image) or drawn
        contract.performance = options.slow_factor if contract.fate is Fate.SLOW else 1.0
        contract.listed_from_us = now_us + to_us(self.plan.draw_list_lag_s())
        if contract.fate in _SHORT_TERMED:
            short_s = options.short_term.draw_s(self.plan.rng)
            contract.term_ends_s = min(contract.term_ends_s, to_s(now_us) + short_s)
