"""What an autogroup's `env` and `secret_env` may hold.

`env` is readable by whoever can read the table, the marketplace's console or a log, so what looks like a secret is refused there
and belongs in `secret_env`, which goes to Secrets Manager and is merged in at the rent. What the scaler or the marketplace sets
for every worker may not be set by either.

Source of the limits: the marketplace's create call, `env` of at most 256 characters a key and a value.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr

from infra.config_faults import refusal

ENV_LENGTH_MAX: Final = 256

RESERVED: Final = frozenset(
    {"HEADGATE_WORKER_ID", "HEADGATE_ENDPOINT", "REPORT_ADDR", "MASTER_TOKEN", "WORKER_PORT", "CONTAINER_ID", "PUBLIC_IPADDR"}
)
_RESERVED_PREFIX: Final = "VAST_TCP_PORT_"
_SECRET_WORDS: Final = frozenset(
    {"TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "APIKEY", "CREDENTIAL", "CREDENTIALS"}
)
# Published forms of Hugging Face, OpenAI, AWS, GitHub and Slack credentials, of Headgate's API keys, and of private keys.
_SECRET_VALUE: Final = re.compile(
    r"""^(hf_\w{16,} | sk-[\w-]{16,} | (AKIA|ASIA)[A-Z0-9]{16} | gh[pousr]_\w{20,} | xox[abp]-[\w-]{10,} | hg_[0-9a-f]{32,})$
    | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY""",
    re.VERBOSE,
)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def looks_secret(name: str) -> bool:
    """Return whether a variable's name says that it holds a secret: HF_TOKEN does, MAX_TOTAL_TOKENS and PUBLIC_KEY do not."""
    words = name.upper().split("_")
    return "PUBLIC" not in words and not _SECRET_WORDS.isdisjoint(words)


def _settable(name: str) -> str:
    if name in RESERVED or name.startswith(_RESERVED_PREFIX):
        raise refusal("is set by Headgate or the marketplace for every worker", "Remove it")
    if len(name) > ENV_LENGTH_MAX:
        raise refusal(f"is longer than the marketplace's {ENV_LENGTH_MAX} characters", "Shorten it")
    return name


def _plain_name(name: str) -> str:
    if name.startswith("-"):  # a flag of `docker run`, as the marketplace takes them: "-p 8000:8000": "1"
        return _settable(name)
    if looks_secret(name):
        raise refusal("looks like a secret, and 'env' is not secret", _move_to_secret_env(name))
    return _variable(name)


def _variable(name: str) -> str:
    if _VARIABLE.fullmatch(name) is None:
        raise refusal("is no name of an environment variable", "Use letters, digits and underscores, not beginning with a digit")
    return _settable(name)


def _plain_value(value: str) -> str:
    if _SECRET_VALUE.search(value):
        raise refusal("holds what looks like a credential, and 'env' is not secret", _move_to_secret_env("NAME"))
    return _fitting(value)


def _fitting(value: str) -> str:
    if len(value) > ENV_LENGTH_MAX:
        raise refusal(
            f"is longer than the marketplace's {ENV_LENGTH_MAX} characters", "Put it in the image, or let 'onstart' fetch it"
        )
    return value


def _secret_value(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise refusal("is empty", "Set it with `pulumi config set --secret --path`, or remove the variable")
    _fitting(value.get_secret_value())
    return value


def _move_to_secret_env(name: str) -> str:
    return f"Move it to 'secret_env' with `pulumi config set --secret --path 'headgate:endpoints.….secret_env.{name}'`"


PlainEnv = dict[Annotated[str, AfterValidator(_plain_name)], Annotated[str, AfterValidator(_plain_value)]]
SecretEnv = dict[Annotated[str, AfterValidator(_variable)], Annotated[SecretStr, AfterValidator(_secret_value)]]
