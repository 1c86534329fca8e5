"""The environment a container starts with: what the create asked for, and what the marketplace adds.

Added variables follow the marketplace's documentation (docker-environment). In the sandbox an instance is a process of this
machine, so there is no port forwarding: the *host* port is the port to listen on. `VAST_TCP_PORT_3000=41234` therefore means here
both "reachable from outside at 41234", as on the real marketplace, and "listen on 41234 where you would listen on 3000".

The `SIM_*` variables do not exist on the real marketplace. They let the sandbox's inference server be as fast as its GPU:
SIM_GPU_NAME, SIM_DLPERF (of all its GPUs), SIM_PERFORMANCE (1.0, less on a machine that is slower than it says), SIM_MACHINE_ID,
SIM_IMAGE, SIM_ARGS (JSON list) and SIM_ONSTART (what an image and its start command would have been).
"""

from __future__ import annotations

import json

from sandbox.marketplace.instance import Contract
from sandbox.marketplace.machine import Machine

# All of 127.0.0.0/8 is this machine. A process that listens on 127.0.0.1 alone is not reached at the address its host moved to.
FIRST_IPADDR = 1
IPADDRS = 250


def public_ipaddr(machine: Machine) -> str:
    """Return the address at which a machine is reached now; it moves if its host's address is not static."""
    return f"127.0.0.{FIRST_IPADDR + machine.moves % IPADDRS}"


def container_environment(contract: Contract) -> dict[str, str]:
    """Return the whole environment of a contract's container, without the directory variables that only its host knows."""
    return {**dict(contract.order.flags.variables), **_vast(contract), **_ports(contract), **_sim(contract)}


def _vast(contract: Contract) -> dict[str, str]:
    return {
        "CONTAINER_ID": str(contract.contract_id),
        "CONTAINER_API_KEY": contract.instance_key,
        "CONTAINER_LABEL": f"C.{contract.contract_id}",
        "VAST_CONTAINERLABEL": f"C.{contract.contract_id}",
        "PUBLIC_IPADDR": contract.announced_ipaddr,
        "GPU_COUNT": str(contract.num_gpus),
        "JUPYTER_TOKEN": contract.jupyter_token,
    }


def _ports(contract: Contract) -> dict[str, str]:
    return {port.variable: str(contract.ports[port.key]) for port in contract.order.ports if port.key in contract.ports}


def _sim(contract: Contract) -> dict[str, str]:
    hardware = contract.machine.hardware
    return {
        "SIM_GPU_NAME": hardware.gpu.name,
        "SIM_DLPERF": f"{hardware.dlperf * contract.num_gpus:.6g}",
        "SIM_PERFORMANCE": f"{contract.performance:.6g}",
        "SIM_MACHINE_ID": str(hardware.machine_id),
        "SIM_IMAGE": contract.order.image,
        "SIM_ARGS": json.dumps(contract.order.args),
        "SIM_ONSTART": contract.order.onstart or "",
    }
