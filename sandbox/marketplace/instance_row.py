"""An instance as the API shows it: types and quirks of a real row (a public one of November 2024, and the documentation).

Quirks kept on purpose, since clients must live with them: `extra_env` is a list of pairs; addresses carry trailing blanks and
newlines; `ports` is absent unless running; before the host was heard `direct_port_start/end` and `disk_usage` are -1 and the meters
null; for instances `vram_costperhour = dph_total / gpu_totalram`, which differs from offers.
"""

from __future__ import annotations

import json

from sandbox.marketplace.environment import public_ipaddr
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.ledger import HOURS_PER_MONTH, usd
from sandbox.marketplace.meters import meters, silent
from sandbox.marketplace.offers import SCORE_FACTOR, Row, hourly

CREDIT_DISCOUNT_MAX = 0.3
_MB_PER_GB = 1_000
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what docker reports of a published port; nothing binds to it here
_SECONDS_PER_MINUTE = 60


def instance_row(contract: Contract, now_us: int) -> Row:
    """Return the full row at `now_us`."""
    return {
        **_identity(contract),
        **_state(contract, now_us),
        **_network(contract),
        **_hardware(contract),
        **_usage(contract, now_us),
        **_prices(contract),
    }


def row_json(contract: Contract, now_us: int) -> str:
    """Return the full row at `now_us` as JSON; what seldom changes is encoded once and kept with the contract."""
    of = (
        *(contract.order, contract.label, contract.tariff, contract.min_bid_micro_usd_per_hour),
        *(contract.machine.moves, contract.ports_shown, len(contract.ports), contract.deposit_micro_usd, contract.discount),
    )
    if contract.lasting is None or contract.lasting[0] != of:
        lasting = {**_identity(contract), **_network(contract), **_hardware(contract), **_prices(contract)}
        contract.lasting = of, json.dumps(lasting, separators=(",", ":"))
    passing = json.dumps({**_state(contract, now_us), **_usage(contract, now_us)}, separators=(",", ":"))
    return f"{passing[:-1]},{contract.lasting[1][1:]}"


def _identity(contract: Contract) -> Row:
    hardware, order = contract.machine.hardware, contract.order
    template = order.template or {}
    return {
        "id": contract.contract_id,
        "machine_id": hardware.machine_id,
        "host_id": hardware.host.host_id,
        "bundle_id": hardware.machine_id * 31,
        "label": contract.label,
        "template_id": template.get("id"),
        "template_hash_id": template.get("hash_id"),
        "template_name": template.get("name"),
        "image_uuid": order.image,
        "image_args": list(order.args),
        "image_runtype": order.runtype,
        "extra_env": [list(pair) for pair in order.flags.given],
        "onstart": order.onstart,
        "jupyter_token": contract.jupyter_token,
        "external": False,
        "hosting_type": int(hardware.host.datacenter),
        "logo": "/static/logos/vastai_small2.png",
        "webpage": None,
        "country_code": hardware.host.geolocation[-2:],
        "volume_info": [],
        "geolocation": hardware.host.geolocation,
        "verification": hardware.host.verification,
        "reliability2": hardware.reliability,
        "rentable": True,
    }


def _state(contract: Contract, now_us: int) -> Row:
    view, since_us = contract.view, contract.running_since_us
    return {
        "actual_status": contract.actual_status,
        "intended_status": view.intended,
        "cur_state": view.current,
        "next_state": view.following,
        "status_msg": contract.message(now_us),
        "start_date": to_s(contract.created_us),
        "end_date": contract.term_ends_s,
        "duration": to_s(now_us - contract.created_us),
        "uptime_mins": None if since_us is None else to_s(now_us - since_us) / _SECONDS_PER_MINUTE,
        "time_remaining": "",
        "time_remaining_isbid": "",
        "is_bid": contract.is_bid,
        "client_run_time": 1.1,
        "host_run_time": 2_592_000.0,
    }


def _network(contract: Contract) -> Row:
    network, allotted = contract.machine.hardware.network, bool(contract.ports)
    row: Row = {
        "public_ipaddr": f"{public_ipaddr(contract.machine)}\n",
        "local_ipaddrs": "172.17.0.1 \n",
        "ssh_host": f"ssh{contract.contract_id % 9 + 1}.vast.ai",
        "ssh_idx": str(contract.contract_id % 9 + 1),
        "ssh_port": 10_000 + contract.contract_id % 30_000,
        "machine_dir_ssh_port": 24_800,
        "direct_port_count": network.ports,
        "direct_port_start": min(contract.ports.values()) if allotted else -1,
        "direct_port_end": max(contract.ports.values()) if allotted else -1,
        "static_ip": network.static_ip,
        "inet_up": network.up_mbit_s,
        "inet_down": network.down_mbit_s,
    }
    if contract.ports_shown:
        row["ports"] = {
            _shown_key(key, port): [{"HostIp": _ANY_ADDRESS, "HostPort": str(port)}] for key, port in contract.ports.items()
        }
    return row


def _shown_key(key: str, host_port: int) -> str:
    """An identity port is shown by the number it got."""
    number, protocol = key.split("/")
    return f"{host_port}/{protocol}" if int(number) > 65_535 else key


def _hardware(contract: Contract) -> Row:
    hardware, board, gpu = contract.machine.hardware, contract.machine.hardware.board, contract.machine.hardware.gpu
    share = contract.num_gpus / len(hardware.gpu_ids)
    return {
        "num_gpus": contract.num_gpus,
        "gpu_name": gpu.name,
        "gpu_ram": gpu.ram_mb,
        "gpu_totalram": gpu.ram_mb * contract.num_gpus,
        "gpu_arch": "nvidia",
        "gpu_frac": share,
        "gpu_lanes": board.lanes,
        "gpu_mem_bw": hardware.bandwidth_gb_s,
        "gpu_display_active": False,
        "bw_nvlink": board.nvlink_gb_s,
        "compute_cap": gpu.compute_cap,
        "cuda_max_good": hardware.cuda_max_good,
        "driver_version": hardware.driver_version,
        "cpu_name": board.cpu_name,
        "cpu_arch": "amd64",
        "cpu_cores": board.cpu_cores,
        "cpu_cores_effective": board.cpu_cores * share,
        "cpu_ram": int(board.cpu_ram_mb * share),
        "has_avx": 1,
        "mobo_name": board.mobo_name,
        "os_version": board.os_version,
        "pci_gen": board.pci_gen,
        "pcie_bw": board.pcie_gb_s,
        "disk_name": board.disk_name,
        "disk_bw": board.disk_mb_s,
        "disk_space": contract.tariff.disk_mb / _MB_PER_GB,
    }


def _usage(contract: Contract, now_us: int) -> Row:
    return meters(contract, now_us) if contract.actual_status == "running" else silent()


def _prices(contract: Contract) -> Row:
    hardware, tariff = contract.machine.hardware, contract.tariff
    base, storage_cost = usd(tariff.gpu_micro_usd_per_hour), usd(tariff.storage_micro_usd_per_gb_month)
    storage = storage_cost * (tariff.disk_mb / _MB_PER_GB) / HOURS_PER_MONTH
    total = base + storage
    dlperf, flops = hardware.dlperf * contract.num_gpus, hardware.tflops * contract.num_gpus
    return {
        "dph_base": base,
        "dph_total": total,
        "storage_cost": storage_cost,
        "storage_total_cost": storage,
        "inet_up_cost": usd(tariff.up_micro_usd_per_gb),
        "inet_down_cost": usd(tariff.down_micro_usd_per_gb),
        "internet_up_cost_per_tb": 1024 * usd(tariff.up_micro_usd_per_gb),
        "internet_down_cost_per_tb": 1024 * usd(tariff.down_micro_usd_per_gb),
        "min_bid": usd(contract.min_bid_micro_usd_per_hour),
        "dlperf": dlperf,
        "total_flops": flops,
        "dlperf_per_dphtotal": dlperf / total,
        "flops_per_dphtotal": flops / total,
        "score": SCORE_FACTOR * dlperf / total / (1 + 10 * (1 - hardware.reliability)),
        "vram_costperhour": total / (hardware.gpu.ram_mb * contract.num_gpus),
        "credit_balance": usd(contract.deposit_micro_usd) if contract.deposit_micro_usd else None,
        "credit_discount": contract.discount or None,
        "credit_discount_max": CREDIT_DISCOUNT_MAX,
        "search": hourly(gpu=base, disk=storage),
        "instance": hourly(gpu=0, disk=storage),
    }
