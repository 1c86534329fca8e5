"""Templates: named sets of create arguments, addressed by the hash of their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from sandbox.marketplace.docker_flags import parse_flag_string
from sandbox.marketplace.errors import Refused, bad_request

TEMPLATES_MAX: Final = 1_000
_FIRST_ID: Final = 180_000
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

Template = dict[str, object]


@dataclass(slots=True)
class Templates:
    """All templates of the account. Identical content is one template; an edit gives it a new hash."""

    _by_hash: dict[str, Template] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(_FIRST_ID))

    def create(self, body: Mapping[str, object]) -> tuple[Template, bool]:
        """Return the template of this content, and whether it is new. Raises Refused (400)."""
        content = _content(body)
        existing = self._by_hash.get(_hash(content))
        if existing is not None:
            return existing, False
        if len(self._by_hash) >= TEMPLATES_MAX:
            raise bad_request(f"at most {TEMPLATES_MAX} templates can be kept")
        return self._put(next(self._ids), content), True

    def edit(self, body: Mapping[str, object]) -> Template:
        """Replace fields of a template. Raises Refused (404)."""
        old = self._require(body)
        content = _content({**old, **{key: value for key, value in body.items() if key in FIELDS and value is not None}})
        del self._by_hash[str(old["hash_id"])]
        return self._put(int(str(old["id"])), content)

    def delete(self, body: Mapping[str, object]) -> None:
        """Forget a template. Raises Refused (404)."""
        del self._by_hash[str(self._require(body)["hash_id"])]

    def all(self) -> list[Template]:
        """Return every template, oldest first."""
        return list(self._by_hash.values())

    def for_create(self, body: Mapping[str, object]) -> Template | None:
        """Return the template that a create names, its `env` read; None if it names none. Raises Refused (400)."""
        if body.get("template_hash_id") is None and body.get("template_id") is None:
            return None
        template = self._find(body.get("template_hash_id"), body.get("template_id"))
        if template is None:
            raise bad_request("error 400: Invalid args: no such template")
        return {**template, "env": parse_flag_string(str(template.get("env") or ""))}

    def _put(self, template_id: int, content: Template) -> Template:
        template = {**content, "id": template_id, "hash_id": _hash(content)}
        self._by_hash[_hash(content)] = template
        return template

    def _find(self, hash_id: object, template_id: object) -> Template | None:
        if hash_id is not None:
            return self._by_hash.get(str(hash_id))
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
