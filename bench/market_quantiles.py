"""Set a generated market beside the real one: `python -m bench.market_quantiles [--year 2024|2026] [--seed N] [--real FILE]`.

Without `--real` the real side is what `sandbox.marketplace.observed` and the catalogue of the year hold. With it, a file of real
offers: an answer of the search API (a list, or an object with `offers`), or a CSV with the API's column names; either may be
gzipped.
Ratios are generated over real at the three quartiles, which is where a market is alike or not; its extremes are garbage anyway.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sandbox.marketplace import observed
from sandbox.marketplace.gpus import MODELS, YEAR_DEFAULT, YEARS
from sandbox.marketplace.ledger import usd
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.offers import Pricing
from sandbox.marketplace.quantiles import AT, Quantiles
from sandbox.marketplace.world import World, WorldOptions

NOW_S: Final = 1_790_000_000.0
MACHINES: Final = 1_900
MODELS_SHOWN: Final = 12
Row = Mapping[str, Any]
# Of every offer, and per GPU of a model: how a column is read from a row.
PER_GPU: Final[Mapping[str, Callable[[Row], float]]] = {
    "price": lambda row: float(row["dph_base"]) / int(row["num_gpus"]),
    "min_bid": lambda row: float(row["min_bid"]) / int(row["num_gpus"]),
}
SHARES: Final[Mapping[str, Callable[[Row], object]]] = {
    "num_gpus": lambda row: int(row["num_gpus"]),
    "verification": lambda row: row["verification"],
    "datacenter": lambda row: int(row["hosting_type"] or 0) == 1,
    "static_ip": lambda row: bool(row["static_ip"]),
}


def generated_offers(*, year: int, seed: int, machines: int = MACHINES) -> list[Row]:
    """Return every offer of a new market, as a search would show it."""
    options = WorldOptions(market=MarketOptions(machines=machines, year=year))
    world = World(options, rng=random.Random(seed), now_s=NOW_S)
    return [{**offer.row(Pricing()), "duration": offer.term_ends_s - NOW_S} for offer in world.book]


def real_offers(path: Path) -> list[Row]:
    """Read a file of real offers."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    if ".csv" in path.suffixes:
        return list(csv.DictReader(text.splitlines()))
    parsed = json.loads(text)
    rows: list[Row] = parsed["offers"] if isinstance(parsed, dict) else parsed
    return rows


def quantiles(values: Iterable[float]) -> Quantiles:
    """Return the seven quantiles of some values. Raises ValueError when there are none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return Quantiles(*(ordered[round(share * (len(ordered) - 1))] for share in AT))


def column(rows: Sequence[Row], name: str) -> Quantiles:
    """Return the quantiles of one column over all offers, nulls left out."""
    return quantiles(float(row[name]) for row in rows if row[name] not in {None, ""})


def per_gpu(rows: Sequence[Row], model: str, name: str) -> Quantiles:
    """Return the quantiles of a price per GPU of one model, one value a machine: its median."""
    machines: dict[object, list[float]] = {}
    for row in rows:
        if row["gpu_name"] == model:
            machines.setdefault(row["machine_id"], []).append(PER_GPU[name](row))
    return quantiles(sorted(values)[len(values) // 2] for values in machines.values())


def shares(rows: Sequence[Row], name: str) -> dict[object, float]:
    """Return how common each value of a column is among the offers, most common first."""
    counts = Counter(SHARES[name](row) for row in rows)
    return {value: count / len(rows) for value, count in counts.most_common()}


def offers_per_machine(rows: Sequence[Row]) -> dict[int, float]:
    """Return the share of machines with one offer, two, and so on."""
    counts = Counter(Counter(row["machine_id"] for row in rows).values())
    total = sum(counts.values())
    return {number: count / total for number, count in sorted(counts.items())}


def machines_per_host(rows: Sequence[Row]) -> Quantiles:
    """Return how many machines a host has."""
    pairs = {(row["host_id"], row["machine_id"]) for row in rows}
    return quantiles(Counter(host for host, _ in pairs).values())


def built_in(year: int) -> dict[str, Quantiles]:
    """Return what the generator knows of the real market's offers in that year."""
    return {**observed.OFFERS, **(observed.OFFERS_OF_2024 if year == YEARS[0] else {})}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m bench.market_quantiles", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--year", type=int, choices=YEARS, default=YEAR_DEFAULT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--machines", type=int, default=MACHINES)
    parser.add_argument("--real", type=Path, metavar="FILE", help="real offers to compare with, in place of the built-in model")
    args = parser.parse_args(argv)
    made = generated_offers(year=args.year, seed=args.seed, machines=args.machines)
    real = None if args.real is None else real_offers(args.real)
    print("\n".join(report(made, real, year=args.year)))


def report(made: Sequence[Row], real: Sequence[Row] | None, *, year: int) -> list[str]:
    """Return the lines of the comparison."""
    side = "the built-in model" if real is None else f"{len(real)} real offers"
    lines = [f"{len(made)} generated offers beside {side}", "", _heading("column")]
    for name, known in built_in(year).items():
        if real is None:
            lines += _pair(name, known, column(made, name))
        elif name in real[0]:
            lines += _pair(name, column(real, name), column(made, name))
    return [*lines, "", _heading("$ per GPU and hour"), *_model_lines(made, real, year=year), "", *_share_lines(made, real)]


def _model_lines(made: Sequence[Row], real: Sequence[Row] | None, *, year: int) -> list[str]:
    present = {row["gpu_name"] for row in made} & ({row["gpu_name"] for row in real} if real else {m.name for m in MODELS[year]})
    lines = []
    for model in [each for each in MODELS[year] if each.name in present][:MODELS_SHOWN]:
        known = Quantiles(*(usd(price) for price in model.price_micro_usd_per_hour))
        lines += _pair(model.name, per_gpu(real, model.name, "price") if real else known, per_gpu(made, model.name, "price"))
        if real:
            lines += _pair(f"{model.name} bid", per_gpu(real, model.name, "min_bid"), per_gpu(made, model.name, "min_bid"))
    return lines


def _share_lines(made: Sequence[Row], real: Sequence[Row] | None) -> list[str]:
    known: dict[str, Mapping[Any, float]] = {
        "num_gpus": observed.NUM_GPUS_SHARES,
        "verification": observed.VERIFICATION_SHARES,
        "datacenter": {True: observed.DATACENTER_OFFER_SHARE},
        "static_ip": {True: observed.STATIC_IP_OFFER_SHARE},
    }
    lines = []
    for name in SHARES:
        if real is None or name in real[0] or (name == "datacenter" and "hosting_type" in real[0]):
            lines += _shares_of(name, known[name] if real is None else shares(real, name), shares(made, name))
    per_machine = observed.OFFERS_PER_MACHINE_SHARES if real is None else offers_per_machine(real)
    hosts = observed.MACHINES_PER_HOST if real is None else machines_per_host(real)
    return [*lines, *_shares_of("offers per machine", per_machine, offers_per_machine(made)), "", *_hosts(hosts, made)]


def _hosts(known: Quantiles, made: Sequence[Row]) -> list[str]:
    return [_heading("machines of a host"), *_pair("", known, machines_per_host(made))]


def _shares_of(name: str, real: Mapping[Any, float], made: Mapping[Any, float]) -> list[str]:
    told = ", ".join(f"{value}: {share:.3f} / {made.get(value, 0.0):.3f}" for value, share in list(real.items())[:6])
    return [f"{name}, real / generated: {told}"]


def _heading(title: str) -> str:
    return f"{title:24} {'':9}" + "".join(f"{share:>11.0%}" for share in AT) + "   ratio at 25, 50, 75 %"


def _pair(name: str, real: Quantiles, made: Quantiles) -> list[str]:
    ratios = " ".join(f"{made[at] / real[at]:.2f}" if real[at] else "-" for at in (2, 3, 4))
    return [
        f"{name:24} {'real':9}" + "".join(f"{value:11.4g}" for value in real),
        f"{'':24} {'generated':9}" + "".join(f"{value:11.4g}" for value in made) + f"   {ratios}",
    ]


if __name__ == "__main__":
    main()
