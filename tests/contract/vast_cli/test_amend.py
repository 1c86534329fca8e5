"""What else can be done to an instance: rebuild it, prepay for it, look at its files, answer its host's wish for more money."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.marketplace.faults import Fate
from sandbox.marketplace.lifecycle import Phase
from sandbox.marketplace.process_port import NoProcesses
from sandbox.marketplace.shell import Command, run
from tests.contract.vast_cli.market import Market


class Files(NoProcesses):
    """Instances that all have the same files, and one line in their log."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def log_tail(self, contract_id: int, lines: int) -> str:
        """Return who asks for what."""
        return f"{contract_id} wrote {lines} lines\n"

    def execute(self, contract_id: int, command: Command) -> str:  # noqa: ARG002 - the port's signature
        """Run the command on the files."""
        return run(command, self._root)


def test_an_update_makes_the_container_anew_from_another_template(shop: Market) -> None:
    contract_id = shop.rent_running("--env", "-e A=1")
    shop.said("create template", "--name", "t", "--image", "vendor/other", "--image_tag", "2", "--env", "-e B=2", "--ssh")
    (template,) = shop.raw("search templates")

    told = shop.said("update instance", contract_id, "--template_hash_id", template["hash_id"], "--onstart", "echo hi")

    contract = shop.contract(contract_id)
    assert f"Instance {contract_id} updated successfully." in told
    assert contract.phase is Phase.RECYCLING
    assert (contract.order.image, contract.order.onstart) == ("vendor/other:2", "echo hi")
    assert dict(contract.order.flags.variables) == {"B": "2"}


def test_an_update_of_a_stopped_instance_waits_for_its_start(shop: Market) -> None:
    contract_id = shop.stopped()

    shop.said("update instance", contract_id, "--image", "vendor/other:3", "--env", '{"C": "3"}', "--args", "--x 1")

    contract = shop.contract(contract_id)
    assert (contract.phase, contract.order.image, contract.order.args) == (Phase.STOPPED, "vendor/other:3", ("--x", "1"))
    assert dict(contract.order.flags.variables) == {"C": "3"}


def test_a_prepayment_buys_time_and_a_discount(shop: Market) -> None:
    shop.act(lambda: shop.world.add_credit(10_000, shop.world.now_us / 1e6))
    contract_id = shop.rent_running()
    row = shop.raw("show instance", contract_id)
    month_usd = row["dph_total"] * 720

    told = shop.said("prepay instance", contract_id, month_usd)

    assert told.startswith(f"prepaid for 1.0 months of instance {contract_id} applying ${month_usd} credits for a discount of 20.0")
    assert shop.contract(contract_id).tariff.gpu_micro_usd_per_hour == pytest.approx(row["dph_base"] * 1e6 * 0.8, abs=1)
    assert shop.raw("show instance", contract_id)["credit_discount"] == pytest.approx(0.2)
    assert '"discount": 0.2' in shop.said("show deposit", contract_id)


def test_a_prepayment_beyond_the_credit_is_refused(shop: Market) -> None:
    told = shop.refused("prepay instance", shop.rent_running(), 1_000)

    assert told == "Failed with error 400: Insufficient credit"


def test_a_prepayment_beyond_the_end_is_refused(shop: Market) -> None:
    shop.act(lambda: shop.world.add_credit(1_000_000, shop.world.now_us / 1e6))

    told = shop.refused("prepay instance", shop.rent_running(), 900_000)

    assert "of the contract." in told


def test_logs_are_what_the_container_wrote(shop: Market, tmp_path: Path) -> None:
    shop.act(lambda: setattr(shop.server.api, "processes", Files(tmp_path)))
    contract_id = shop.rent_running()

    assert shop.said("logs", contract_id, "--tail", 7) == f"{contract_id} wrote 7 lines\n\n"


def test_execute_lists_a_stopped_instances_files(shop: Market, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("x" * 5_000)
    shop.act(lambda: setattr(shop.server.api, "processes", Files(tmp_path)))
    contract_id = shop.stopped()

    ran = shop.run("execute", contract_id, "ls -l")

    # The CLI fails after a right answer: it takes the text that it fetched for the reply.
    assert (ran.status, ran.err.strip().rsplit("\n", maxsplit=1)[-1]) == (
        *(1, "AttributeError: 'str' object has no attribute 'get'"),
    )
    assert [text for text in shop.act(lambda: list(shop.server.api.logs.values())) if "model.bin" in text] == [
        f"- {5_000:>12} model.bin\n",
    ]


@pytest.mark.parametrize("command", ["cat /etc/passwd", "rm", "ls 'open"])
def test_any_other_command_is_refused(shop: Market, command: str) -> None:
    assert shop.refused("execute", shop.stopped(), command) == "Failed with error 400: Invalid command given."


def test_a_running_instance_executes_nothing(shop: Market) -> None:
    told = shop.refused("execute", shop.rent_running(), "ls")

    assert "Execute command only avail on stopped instances." in told


def test_a_price_increase_is_listed_and_accepted(shop: Market) -> None:
    contract_id = shop.rent_running()
    shop.act(lambda: shop.world.strike(contract_id, Fate.PRICE_RAISED, shop.world.now_us / 1e6))
    (pending,) = shop.raw("show pending-price-increases")["pending_price_increases"]

    table = shop.said("show pending-price-increases")
    told = shop.said("accept price-increase", contract_id, "--yes")

    increase_id = pending["pending_price_increase_id"]
    assert f" {increase_id} " in table
    assert pending["new_gpu_costpersec"] > pending["old_gpu_costpersec"]
    assert f"Accepted pending_id={increase_id} contract_id={contract_id}" in told
    assert shop.contract(contract_id).term_ends_s == pytest.approx(pending["ask_end_date"])
    assert shop.said("show pending-price-increases") == "No pending price increases.\n"


def test_a_price_increase_is_rejected(shop: Market) -> None:
    contract_id = shop.rent_running()
    shop.act(lambda: shop.world.strike(contract_id, Fate.PRICE_RAISED, shop.world.now_us / 1e6))
    ends_s = shop.contract(contract_id).term_ends_s

    told = shop.said("reject price-increase", contract_id, "--yes")

    assert f"Rejected price increase for 1 instance(s): {contract_id}" in told
    assert shop.contract(contract_id).term_ends_s == ends_s


def test_an_increase_that_is_gone_is_stale(shop: Market) -> None:
    ran = shop.run("accept price-increase", shop.rent(), "--yes")

    assert (ran.status, "Accepted 0 / Stale 1 / Failed 0 of 1 requested." in ran.out) == (2, True)
