"""An autogroup, one machine configuration that can serve a group, as a stack file describes it.

Parameter names are Vast's where it has them; how a machine is rented (`rental_type`, `bid_factor`, `max_bid_usd`), `search_order`,
`download_gb`, `traffic_gb_per_hour`, `image_login`, `backend`, `secret_env` and the units in `disk_gb` and `boot_timeout_s` are
Headgate's own. Defaults are those of the functions' model, where the units and meanings are defined too; a test compares the two.
A description completes the sentence "Set …", since it is the remedy of a faulty value.
"""

from __future__ import annotations

import json
import shlex
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from infra.config_faults import STRICT, refusal
from infra.launch_flags import launch_faults
from infra.offer_query import order_faults, query_faults
from infra.worker_environment import PlainEnv, SecretEnv

MICRO_USD: Final = 1_000_000
BID_USD_MAX: Final = 128  # the marketplace's own limit, per machine and hour


def _as_text(query: object) -> object:
    # The flat filter as a map, as the marketplace's SDK takes it, is kept as its JSON.
    return json.dumps(query) if isinstance(query, dict) else query


def _query(text: str) -> str:
    if faults := query_faults(text):
        raise refusal("; ".join(faults), "Write it as for `vastai search offers`: 'gpu_name=RTX_4090 num_gpus=1 verified=true'")
    return text


def _order(text: str) -> str:
    if faults := order_faults(text):
        raise refusal("; ".join(faults), "Write it as for `vastai search offers --order`: 'dph_total' or 'score-,num_gpus'")
    return text


def _launch_args(text: str) -> str:
    if faults := launch_faults(text):
        raise refusal("; ".join(faults), "Write flags of `vastai create instance`, as one text")
    return text


def _login(login: SecretStr) -> SecretStr:
    try:
        words = shlex.split(login.get_secret_value())
    except ValueError:
        words = []
    if len(words) not in {4, 5} or not {"-u", "-p"} <= set(words[:4:2]):
        raise refusal("is no login", "Write it as for `docker login`: '-u USER -p TOKEN registry.example.com'")
    return login


class AutogroupSettings(BaseModel):
    """One machine configuration that can serve the group."""

    model_config = STRICT

    search_params: Annotated[str, BeforeValidator(_as_text), Field(min_length=1), AfterValidator(_query)] = Field(
        description="which offers may be rented, in Vast's query language: 'gpu_name=RTX_4090 num_gpus=1 verified=true'"
    )
    search_order: Annotated[str, AfterValidator(_order)] = Field(
        default="", description="which offers to ask for first where there are more than the marketplace tells: 'dph_total'"
    )
    rental_type: Literal["on-demand", "interruptible", "reserved"] = Field(
        default="on-demand", description="on-demand, interruptible (by a bid) or reserved (offers that can be prepaid)"
    )
    bid_factor: float = Field(default=1.1, ge=1, le=10, description="how many times the least bid to bid, 1 to 10")
    max_bid_usd: Decimal | None = Field(
        default=None,
        gt=0,
        le=BID_USD_MAX,
        decimal_places=6,
        description=f"the most to bid for a machine, in dollars an hour, above 0 and at most {BID_USD_MAX}",
    )
    on_demand_fallback: bool = Field(
        default=False, description="true to rent on demand where no bid can be had, or bids are lost one after the other"
    )
    image: str | None = Field(
        default=None, min_length=1, max_length=1024, pattern=r"^\S+$", description="the worker image to run, with its tag"
    )
    image_login: Annotated[SecretStr, AfterValidator(_login)] | None = Field(
        default=None, description="the login of a private image's registry, as a secret: '-u USER -p TOKEN registry.example.com'"
    )
    template_hash: str | None = Field(
        default=None, pattern=r"^[0-9A-Za-z]+$", description="the hash of a marketplace template, in place of 'image'"
    )
    backend: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]+$", description="which of pyworker's backends fits the inference server, such as tgi"
    )
    env: PlainEnv = Field(default_factory=dict, description="the worker's environment as a map of text to text, without secrets")
    secret_env: SecretEnv = Field(default_factory=dict, description="the secret part of the worker's environment")
    onstart: str | None = Field(default=None, max_length=4096, description="commands to run when an instance starts")
    launch_args: Annotated[str, AfterValidator(_launch_args)] = Field(
        default="", description="further flags of Vast's `create instance`, as one text"
    )
    gpu_ram: float = Field(default=0.0, ge=0, description="the GPU memory that the model needs, in GB")
    disk_gb: float = Field(default=16.0, ge=8, le=65_536, description="the disk of an instance in GB, at least the marketplace's 8")
    download_gb: float | None = Field(
        default=None,
        ge=0,
        le=65_536,
        description="how many GB a new machine downloads, which some hosts bill for (left out: half of 'disk_gb')",
    )
    traffic_gb_per_hour: float = Field(
        default=0.0, ge=0, le=100_000, description="what a serving machine sends in an hour, in GB, which some hosts bill for"
    )
    boot_timeout_s: float = Field(
        default=900.0, ge=30, le=7200, description="after how many seconds (30 to 7200) a worker that is not ready counts as failed"
    )
    report_addr_token: bool = Field(
        default=False,
        description="true to put the worker's token into REPORT_ADDR, for workers of Vast's from before 2025 that send none",
    )

    @property
    def max_bid_micro_usd(self) -> int:
        """The most to bid in the unit that everything inside reckons in, 0 where nothing is bid. Exact: it has six decimals."""
        return int((self.max_bid_usd or 0) * MICRO_USD)

    @field_validator("max_bid_usd")
    @classmethod
    def _with_bids_alone(cls, most_usd: Decimal | None, info: ValidationInfo) -> Decimal | None:
        bids = info.data.get("rental_type") == "interruptible"
        if bids and most_usd is None:
            raise refusal(
                "is required where 'rental_type' is interruptible", "Set the most to bid for a machine, in dollars an hour"
            )
        if most_usd is not None and not bids and "rental_type" in info.data:
            raise refusal("is set although nothing is bid", "Set 'rental_type' to interruptible, or remove it")
        return most_usd

    @field_validator("on_demand_fallback")
    @classmethod
    def _of_bids_alone(cls, fallback: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic calls it so
        if fallback and info.data.get("rental_type", "interruptible") != "interruptible":
            raise refusal("is set although nothing is bid", "Set 'rental_type' to interruptible, or remove it")
        return fallback

    @field_validator("template_hash")
    @classmethod
    def _one_source(cls, template_hash: str | None, info: ValidationInfo) -> str | None:
        if "image" not in info.data:  # faulty itself, and reported
            return template_hash
        if (info.data["image"] is None) == (template_hash is None):
            both = "both 'image' and 'template_hash' are set" if template_hash else "neither 'image' nor 'template_hash' is set"
            raise refusal(both, "Set exactly one of them")
        return template_hash

    @field_validator("env")
    @classmethod
    def _one_backend(cls, env: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if "BACKEND" in env and info.data.get("backend") is not None:
            raise refusal("BACKEND is set although 'backend' is", "Remove one of them")
        return env
