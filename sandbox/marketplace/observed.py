"""What the real market looked like, as numbers: the shares and quantiles that the generator draws from and is held to.

Everything here is the public marketplace dump of November 2024 (vast-ai/vast-python `search.json`, MIT; 1,396 offers, 949 machines,
368 hosts) unless a line says otherwise: the only public picture of the *whole* market. Samples of 2026 show verified offers in
score order alone, so they set prices, models and drivers, and nothing else.

Where a machine's total is given by its number of GPUs, the classes are 1, 2 to 3, 4 to 6, and 7 or more (`size_class`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.marketplace.quantiles import Quantiles

# --- hosts ---

MACHINES_PER_HOST: Final = Quantiles(1, 1, 1, 1, 3, 8, 46)
# Of a host with five machines or more, this share has the host's most frequent model.
SAME_MODEL_SHARE: Final = 0.63
VERIFICATIONS: Final = {"verified": 45, "unverified": 42, "deverified": 13}
DEVERIFIED_CODES: Final = {8: 84, 4: 70, 10: 15, 2: 9, 12: 6}
DATACENTER_SHARE: Final = {"verified": 0.25, "unverified": 0.014, "deverified": 0.24}
COUNTRIES: Final = {
    "US": 338, "CA": 179, "NO": 89, "SE": 82, "JP": 66, "CN": 62, "GB": 48, "ES": 46, "FR": 42, "KR": 40, "TW": 40, "PL": 32,
    "IS": 31, "NL": 24, "CZ": 23, "RO": 23, "BG": 20, "AE": 17, "HK": 17, "NZ": 17, "AU": 15, "DE": 15, "VN": 9, "BR": 4,
}  # fmt: skip
PLACES: Final = {
    "US": "Texas", "CA": "Quebec", "NO": "Norway", "SE": "Sweden", "JP": "Japan", "CN": "China", "GB": "United Kingdom",
    "ES": "Spain", "FR": "France", "KR": "South Korea", "TW": "Taiwan", "PL": "Poland", "IS": "Iceland",
    "NL": "Netherlands", "CZ": "Czechia",
    "RO": "Romania", "BG": "Bulgaria", "AE": "United Arab Emirates", "HK": "Hong Kong", "NZ": "New Zealand", "AU": "Australia",
    "DE": "Germany", "VN": "Vietnam", "BR": "Brazil",
}  # fmt: skip

# --- machines ---

RELIABILITY: Final = {
    "verified": Quantiles(0.8475, 0.970, 0.9907, 0.9960, 0.9983, 0.9994, 0.9997),
    "unverified": Quantiles(0.600, 0.9336, 0.9696, 0.9893, 0.9965, 0.9989, 0.9995),
    "deverified": Quantiles(0.8583, 0.9349, 0.9864, 0.9943, 0.9963, 0.9990, 0.9996),
}
STORAGE_USD_PER_GB_MONTH: Final = Quantiles(0.003, 0.067, 0.149, 0.20, 0.213, 0.667, 1.0)
INET_UP_MBIT_S: Final = Quantiles(0, 0, 107, 551, 845, 2586, 16382)
INET_DOWN_MBIT_S: Final = Quantiles(0, 0, 280, 744, 868, 6920, 31880)
INET_UP_USD_PER_GB: Final = Quantiles(0, 0, 0.000004, 0.002344, 0.005208, 0.013021, 0.1)
INET_DOWN_USD_PER_GB: Final = Quantiles(0, 0, 0.000003, 0.001953, 0.003906, 0.013021, 0.032552)
DISK_MB_S: Final = Quantiles(18, 212, 924, 2341, 3907, 6664, 31610)
TERM_S: Final = Quantiles(89_347, 636_041, 2_155_237, 4_821_272, 9_929_716, 78_321_858, 2_371_642_795)
PCIE_GB_S: Final = Quantiles(0.1, 0.7, 6.4, 11.9, 22.6, 25.5, 54.9)
GPU_MAX_TEMP: Final = Quantiles(-5, 31, 57, 98, 98, 103, 105)
# A machine's own benchmark beside its model's median; the 5 % are those of the two most common models.
DLPERF_SPREAD: Final = Quantiles(0.05, 0.39, 0.80, 1.0, 1.07, 1.47, 2.23)
DISK_GB: Final = {
    1: Quantiles(6, 131, 334, 731, 1528, 3301, 8046),
    2: Quantiles(42, 138, 655, 772, 1475, 3230, 12829),
    4: Quantiles(76, 224, 669, 1478, 2843, 6421, 23044),
    8: Quantiles(29, 152, 853, 3002, 5942, 12926, 28460),
}
CPU_RAM_MB: Final = {
    1: Quantiles(7608, 11868, 23958, 32018, 64201, 257564, 1128711),
    2: Quantiles(7848, 15852, 32012, 64138, 127940, 257856, 1031878),
    4: Quantiles(7613, 15935, 128659, 193296, 257679, 515756, 1031871),
    8: Quantiles(3804, 15906, 128782, 483502, 515837, 1031992, 2063914),
}
CPU_CORES: Final = {
    1: Quantiles(2, 4, 8, 12, 24, 64, 384),
    2: Quantiles(4, 4, 12, 24, 32, 128, 256),
    4: Quantiles(2, 8, 32, 48, 64, 128, 256),
    8: Quantiles(2, 2, 40, 64, 128, 256, 512),
}
# Ports come in round numbers, few of them between 1,000 and 16,000; so two 95 % are lowered from 16,382.
PORTS: Final = {
    1: Quantiles(0, 18, 98, 98, 199, 998, 16383),
    2: Quantiles(0, 18, 98, 198, 458, 1500, 24597),
    4: Quantiles(18, 96, 198, 496, 997, 1998, 39871),
    8: Quantiles(0, 96, 98, 798, 998, 3000, 39992),
}
# The smallest number of GPUs that is let go at once, of machines that are wholly free; 0 is the whole machine.
UNITS: Final = {
    1: {1: 1},
    2: {0: 47, 1: 76},
    4: {0: 70, 2: 34, 1: 31},
    8: {0: 76, 4: 24, 2: 22, 1: 20},
}
STATIC_IP_SHARE: Final = 0.57
NVLINK_SHARE: Final = 0.03
NULL_SHARE: Final = 0.04
GARBAGE_SHARE: Final = 0.004
CPUS: Final = (
    "Xeon® E5-2680 v4 ",
    "AMD EPYC 7282 16-Core Processor",
    "AMD EPYC 7702 64-Core Processor",
    "AMD Ryzen 5 5600X 6-Core Processor",
)
BOARDS: Final = ("X99", "ROME2D32GM", "H12SSL", "ROMED8", "X10DRG")
DISKS: Final = ("nvme", "QEMU HARDDISK", "Corsair MP600 PRO XT", "WD_BLACK SN850X 4000GB")
SYSTEMS: Final = {"20.04": 487, "22.04": 426, "18.04": 19, "24.04": 3}
LANES: Final = {16: 614, 8: 234, 4: 53, 1: 44}
PCI_GENS: Final = {3.0: 477, 4.0: 414, 2.0: 32, 5.0: 22}
# By year; of 2026 from the search results of that year.
DRIVERS: Final[Mapping[int, Mapping[str, int]]] = {
    2024: {
        "535.183.01": 273, "560.35.03": 203, "550.90.07": 94, "550.127.05": 77, "550.120": 67, "550.107.02": 61, "555.58.02": 58,
        "535.171.04": 56, "550.76": 54, "535.154.05": 46, "535.216.01": 37, "535.129.03": 35, "535.161.07": 31, "545.29.06": 30,
    },
    2026: {
        "595.71.05": 578, "580.159.03": 374, "590.48.01": 235, "580.126.09": 221, "580.95.05": 217, "595.58.03": 171,
        "580.105.08": 146, "580.119.02": 143, "580.173.02": 90, "580.142": 80, "595.84": 77, "570.211.01": 62, "580.126.20": 61,
        "570.133.07": 54, "535.183.01": 40, "565.57.01": 52, "560.35.03": 56, "550.127.05": 52,
    },
}  # fmt: skip
CUDA_BY_DRIVER: Final = {
    "535": 12.2, "545": 12.3, "550": 12.4, "555": 12.5, "560": 12.6,
    "565": 12.7, "570": 12.8, "580": 13.0, "590": 13.1, "595": 13.2,
}  # fmt: skip

# --- offers: what a search of the whole market shows, to hold a generated market to ---

OFFERS: Final[Mapping[str, Quantiles]] = {
    "reliability": Quantiles(0.600, 0.9553, 0.9826, 0.9943, 0.9977, 0.9992, 0.9997),
    "storage_cost": STORAGE_USD_PER_GB_MONTH,
    "inet_up": INET_UP_MBIT_S,
    "inet_down": INET_DOWN_MBIT_S,
    "inet_up_cost": INET_UP_USD_PER_GB,
    "inet_down_cost": INET_DOWN_USD_PER_GB,
    "disk_bw": DISK_MB_S,
    "disk_space": Quantiles(6, 69.25, 342.9, 731.7, 1544.5, 5362.2, 23043.6),
    "direct_port_count": Quantiles(0, 18, 98, 166, 498, 2499, 39871),
    "cpu_cores_effective": Quantiles(0.17, 2, 10, 18.3, 40, 128, 512),
    "cpu_ram": Quantiles(654, 7846, 32014, 64392, 171946, 515795, 1814258),
    "duration": TERM_S,
    "pcie_bw": PCIE_GB_S,
}
# Of 2024 alone: what follows from the prices and models of a year.
OFFERS_OF_2024: Final[Mapping[str, Quantiles]] = {
    "dph_base": Quantiles(0.0173, 0.0667, 0.16, 0.40, 1.227, 5.053, 40.0),
    "min_bid": Quantiles(0.0133, 0.044, 0.12, 0.3067, 0.98, 3.467, 40.0),
    "dlperf": Quantiles(0.09, 4.65, 21.6, 57.6, 140.6, 381.7, 2534),
    "gpu_ram": Quantiles(3072, 8192, 12288, 24564, 24576, 49140, 95830),
    "dlperf_per_dphtotal": Quantiles(0.08, 18.7, 81.4, 139.7, 204.7, 306.3, 631.1),
    "score": Quantiles(0.12, 8.21, 46.0, 89.4, 135.8, 226.4, 537),
}
NUM_GPUS_SHARES: Final = {1: 0.392, 2: 0.259, 4: 0.156, 8: 0.097}
VERIFICATION_SHARES: Final = {"verified": 0.451, "unverified": 0.418, "deverified": 0.132}
OFFERS_PER_MACHINE_SHARES: Final = {1: 0.683, 2: 0.212, 3: 0.065, 4: 0.034}
DATACENTER_OFFER_SHARE: Final = 0.150
STATIC_IP_OFFER_SHARE: Final = 0.574

_CLASSES: Final = (8, 4, 2, 1)
_LEAST_GPUS: Final = {8: 7, 4: 4, 2: 2, 1: 1}


def size_class(gpus: int) -> int:
    """Return the class of a machine with so many GPUs."""
    return next(each for each in _CLASSES if gpus >= _LEAST_GPUS[each])
