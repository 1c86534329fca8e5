"""Stack files are read the way the Pulumi CLI reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox.aws.errors import SettingsInvalid
from sandbox.aws.settings import StackSettings, read_settings

PROJECT = """
name: shop
main: program
config:
  shop:items: {type: object}
  size: {type: integer, default: 3}
  shop:key: {type: string, secret: true, default: hidden}
  aws:region: {value: eu-west-1}
  aws:profile: none
"""
STACK = """
config:
  shop:items: {a: [1, 2.5, true]}
  size: 5
  shop:ratio: 0.5
  shop:on: true
  shop:word: plain
"""

Read = Callable[..., StackSettings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(project: str = PROJECT, stack: str = STACK, *, secrets: Mapping[str, str] | None = None) -> StackSettings:
        (tmp_path / "Pulumi.yaml").write_text(project)
        (tmp_path / "Pulumi.dev.yaml").write_text(stack)
        return read_settings(tmp_path, "dev", secrets=secrets)

    return write_and_read


def test_project_and_stack_are_named(read: Read) -> None:
    settings = read()

    assert (settings.project, settings.stack) == ("shop", "dev")


def test_relative_paths_start_at_the_programs_folder(read: Read, tmp_path: Path) -> None:
    assert read().program_dir == tmp_path / "program"


def test_a_key_without_namespace_belongs_to_the_project(read: Read) -> None:
    assert read().config["shop:size"] == "5"


def test_objects_numbers_and_booleans_are_json_text(read: Read) -> None:
    config = read().config

    assert [config[f"shop:{key}"] for key in ("items", "ratio", "on")] == ['{"a": [1, 2.5, true]}', "0.5", "true"]


def test_text_stays_as_it_is(read: Read) -> None:
    assert read().config["shop:word"] == "plain"


def test_a_default_fills_what_the_stack_leaves_out(read: Read) -> None:
    assert read(stack="config: {shop:items: {}}").config["shop:size"] == "3"


def test_the_project_sets_values_of_other_namespaces(read: Read) -> None:
    config = read().config

    assert (config["aws:region"], config["aws:profile"]) == ("eu-west-1", "none")


def test_a_key_declared_as_secret_is_one(read: Read) -> None:
    assert read().secret_keys == {"shop:key"}


def test_a_secret_given_by_the_caller_is_one_and_wins(read: Read) -> None:
    settings = read(secrets={"word": "mine"})

    assert (settings.config["shop:word"], "shop:word" in settings.secret_keys) == ("mine", True)


def test_a_missing_value_is_named(read: Read) -> None:
    with pytest.raises(SettingsInvalid, match="no value for shop:items"):
        read(stack="config: {}")


def test_an_encrypted_value_is_refused(read: Read) -> None:
    with pytest.raises(SettingsInvalid, match="`shop:word` is encrypted"):
        read(stack="config: {shop:items: {}, shop:word: {secure: v1:abc}}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"Pulumi\.yaml"):
        read_settings(tmp_path, "dev")


def test_a_file_that_is_no_mapping_is_refused(read: Read) -> None:
    with pytest.raises(SettingsInvalid, match="not a mapping"):
        read(stack="- one")


def test_no_repr_shows_the_configuration(read: Read) -> None:
    assert "hidden" not in repr(read())
