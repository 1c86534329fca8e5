"""Templates: named sets of create arguments, addressed by the hash of their content.

An edit makes a new version with a new hash under the same id; whoever holds an older hash can still create instances from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from sandbox.marketplace.account import USER_ID
from sandbox.marketplace.docker_flags import parse_flag_string
from sandbox.marketplace.errors import Refused, bad_request
from sandbox.marketplace.query import Kind, compile_conditions

TEMPLATES_MAX: Final = 1_000
_FIRST_ID: Final = 180_000
OWNED: Final = ("id", "creator_id", "created_at", "count_created", "recent_create_date")
FIELDS: Final = (
    *(
        "name",
        "image",
        "tag",
        "href",
        "repo",
        "env",
        "onstart",
        "jup_direct",
        "ssh_direct",
        "use_jupyter_lab",
        "runtype",
        "use_ssh",
    ),
    *("jupyter_dir", "docker_login_repo", "extra_filters", "recommended_disk_space", "readme", "readme_visible", "desc", "private"),
    *("args_str", "volume_info"),
)

# What a list of templates can be filtered by.
COLUMNS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("id", "creator_id", "created_at", "count_created", "recent_create_date"), Kind.NUMBER),
    "recommended_disk_space": Kind.NUMBER,
    **dict.fromkeys(("hash_id", "name", "image", "tag", "default_tag", "docker_login_repo", "runtype", "href", "repo"), Kind.TEXT),
    **dict.fromkeys(
        ("jup_direct", "ssh_direct", "use_ssh", "use_jupyter_lab", "private", "recommended", "readme_visible"), Kind.FLAG
    ),
}

Template = dict[str, object]


@dataclass(slots=True)
class Templates:
    """All templates of the account. Identical content is one template."""

    _by_hash: dict[str, Template] = field(default_factory=dict)
    _former: dict[str, Template] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(_FIRST_ID))

    def create(self, body: Mapping[str, object], now_s: float) -> tuple[Template, bool]:
        """Return the template of this content, and whether it is new. Raises Refused (400)."""
        content = _content(body)
        existing = self._by_hash.get(_hash(content))
        if existing is not None:
            return existing, False
        if len(self._by_hash) >= TEMPLATES_MAX:
            raise bad_request(f"at most {TEMPLATES_MAX} templates can be kept")
        owned = {"id": next(self._ids), "creator_id": USER_ID, "created_at": now_s, "count_created": 0, "recent_create_date": None}
        return self._put(owned, content), True

    def edit(self, body: Mapping[str, object]) -> Template:
        """Replace fields of a template. Raises Refused (404)."""
        old = self._require(body)
        content = _content({**old, **{key: value for key, value in body.items() if key in FIELDS and value is not None}})
        if len(self._former) >= TEMPLATES_MAX:
            del self._former[next(iter(self._former))]
        self._former[str(old["hash_id"])] = self._by_hash.pop(str(old["hash_id"]))
        return self._put({name: old[name] for name in OWNED}, content)

    def delete(self, body: Mapping[str, object]) -> None:
        """Forget a template. Raises Refused (404)."""
        del self._by_hash[str(self._require(body)["hash_id"])]

    def matching(self, filters: object) -> list[Template]:
        """Return the templates that match, oldest first. Raises Refused (400) for what is no filter."""
        tests = compile_conditions(filters, COLUMNS)
        return [each for each in self._by_hash.values() if all(test(each) for test in tests)]

    def used(self, template: Mapping[str, object], now_s: float) -> None:
        """Count that an instance was created from a template."""
        current = next((each for each in self._by_hash.values() if each["id"] == template["id"]), None)
        if current is not None:
            current.update(count_created=int(str(current["count_created"])) + 1, recent_create_date=now_s)

    def for_create(self, body: Mapping[str, object]) -> Template | None:
        """Return the template that a create names, its `env` read; None if it names none. Raises Refused (400)."""
        if body.get("template_hash_id") is None and body.get("template_id") is None:
            return None
        template = self._find(body.get("template_hash_id"), body.get("template_id"), former=True)
        if template is None:
            raise bad_request("error 400: Invalid args: no such template")
        return {**template, "env": parse_flag_string(str(template.get("env") or ""))}

    def _put(self, owned: Mapping[str, object], content: Template) -> Template:
        derived = {"hash_id": _hash(content), "default_tag": content["tag"], "recommended": False}
        template = {**content, **owned, **derived}
        self._by_hash[_hash(content)] = template
        return template

    def _find(self, hash_id: object, template_id: object, *, former: bool = False) -> Template | None:
        if hash_id is not None:
            return self._by_hash.get(str(hash_id)) or (self._former.get(str(hash_id)) if former else None)
        return next((each for each in self._by_hash.values() if each["id"] == template_id), None)

    def _require(self, body: Mapping[str, object]) -> Template:
        template = self._find(body.get("hash_id"), body.get("template_id", body.get("id")))
        if template is None:
            raise Refused(404, "not_found", "Template not found.")
        return template


def _content(body: Mapping[str, object]) -> Template:
    parse_flag_string(str(body.get("env") or ""))
    return {key: body.get(key) for key in FIELDS}


def _hash(content: Template) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
