"""What a host's heartbeat says about use: GPU, processor, memory, disk and traffic of one instance.

A running instance is as busy as it was last said to be (`Contract.busy`, 0 to 1, by the simulation or through the control API); one
of which nobody has said anything is as busy as people make it over a day, a wave with a phase of its own. Around that every meter
flickers from heartbeat to heartbeat, by numbers that follow from the instance's id and the time alone: reading a meter changes
nothing and draws nothing.

Memory fills while the model loads, in the first WARM_UP_S of a run; the GPU's temperature follows its use with THERMAL_S; the disk
holds the image and what was downloaded. Before the first heartbeat, and while the container does not run, meters read null or -1.
"""

from __future__ import annotations

import math
from typing import Final

from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.offers import Row

HEARTBEAT_S: Final = 10
WARM_UP_S: Final = 120.0
THERMAL_S: Final = 60.0
_DAY_S: Final = 86_400.0
_BYTES_PER_GB: Final = 1e9
_MB_PER_GB: Final = 1_000
_MB_PER_GIB: Final = 1_024
_IDLE_C: Final = 36.0
_BUSY_C: Final = 42.0
_VRAM_SHARE: Final = 0.88
_GOLDEN: Final = 0.618033988749895
_FLICKER: Final = 0.08


def silent() -> Row:
    """Return the meters of an instance that nothing was heard of."""
    return {
        "gpu_util": None,
        "gpu_temp": None,
        "cpu_util": 0.0,
        "mem_usage": None,
        "mem_limit": None,
        "vmem_usage": None,
        "disk_usage": -1,
        "disk_util": -1,
        "inet_up_billed": None,
        "inet_down_billed": None,
    }


def meters(contract: Contract, now_us: int) -> Row:
    """Return the meters of a running instance; traffic in GB, memory in GiB, use in percent."""
    heard_s = to_s(now_us) // HEARTBEAT_S * HEARTBEAT_S
    ran_s = max(0.0, heard_s - to_s(contract.running_since_us or now_us))
    busy = min(1.0, max(0.0, _busy(contract, heard_s) + _flicker(contract, heard_s)))
    warm, hot = min(1.0, ran_s / WARM_UP_S), 1.0 - math.exp(-ran_s / THERMAL_S)
    memory_gib = contract.machine.hardware.board.cpu_ram_mb / _MB_PER_GIB
    disk_gb = min(contract.disk_used_gb, contract.tariff.disk_mb / _MB_PER_GB)
    return {
        "gpu_util": round(100 * busy * warm, 1),
        "gpu_temp": round(_IDLE_C + _BUSY_C * busy * hot, 1),
        "cpu_util": round(3 + 30 * busy, 2),
        "mem_usage": round(min(0.9 * memory_gib, 0.5 + 6 * warm + busy), 3),
        "mem_limit": memory_gib,
        "vmem_usage": round(_VRAM_SHARE * warm * contract.machine.hardware.gpu.ram_mb * contract.num_gpus / _MB_PER_GIB, 3),
        "disk_usage": round(disk_gb, 3),
        "disk_util": round(disk_gb * _MB_PER_GB / contract.tariff.disk_mb, 4),
        "inet_up_billed": contract.up_bytes / _BYTES_PER_GB,
        "inet_down_billed": contract.down_bytes / _BYTES_PER_GB,
    }


def _busy(contract: Contract, heard_s: float) -> float:
    if contract.busy is not None:
        return contract.busy
    phase = contract.contract_id * _GOLDEN % 1.0
    return 0.45 + 0.35 * math.sin(2 * math.pi * (heard_s / _DAY_S + phase))


def _flicker(contract: Contract, heard_s: float) -> float:
    """Return a number between -_FLICKER and _FLICKER that looks like noise and is none."""
    share = math.sin(contract.contract_id * 12.9898 + heard_s * 78.233) * 43_758.5453 % 1.0
    return _FLICKER * (2 * share - 1) if contract.busy != 0 else 0.0
