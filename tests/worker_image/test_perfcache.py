"""A measurement is kept for a restart of the same worker, and for nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pyworker.perfcache import AGE_MAX_S, FILE_NAME, Kept, cache_key, engine_flags, keep, load_kept

KEY = {"model_id": "words", "slots": 8}
FOUND = Kept(perf=123.5, half_width=20, slots=8, prompt_weight=0.3, flags=("imprecise",))


def test_a_restart_finds_what_was_kept(tmp_path: Path) -> None:
    keep(tmp_path, KEY, FOUND, now_s=1000)

    assert load_kept(tmp_path, KEY, now_s=2000) == FOUND


def test_another_model_is_measured_anew(tmp_path: Path) -> None:
    keep(tmp_path, KEY, FOUND, now_s=1000)

    assert load_kept(tmp_path, {**KEY, "model_id": "other"}, now_s=2000) is None


@pytest.mark.parametrize("now_s", [1000 + AGE_MAX_S + 1, 999])
def test_an_old_measurement_or_one_of_the_future_is_not_relied_on(tmp_path: Path, now_s: float) -> None:
    keep(tmp_path, KEY, FOUND, now_s=1000)

    assert load_kept(tmp_path, KEY, now_s=now_s) is None


def test_a_measurement_of_a_bad_moment_is_not_kept(tmp_path: Path) -> None:
    keep(tmp_path, KEY, dataclasses.replace(FOUND, flags=("throttling",)), now_s=1000)

    assert load_kept(tmp_path, KEY, now_s=1001) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key":{},"perf":"fast","slots":1,"flags":[],"measured_at_s":0}'])
def test_a_broken_file_means_to_measure(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)

    assert load_kept(tmp_path, KEY, now_s=0) is None


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    keep(tmp_path / "missing", KEY, FOUND, now_s=1000)

    assert load_kept(tmp_path / "missing", KEY, now_s=1000) is None


def test_the_key_names_the_gpus() -> None:
    assert "gpus" in cache_key(KEY)


@pytest.mark.parametrize(
    ("name", "is_flag"), [("VLLM_ARGS", True), ("MODEL_ID", True), ("VLLM_USE_V1", True), ("MODEL_LOG", False), ("PATH", False)]
)
def test_what_changes_how_the_server_runs_is_part_of_the_key(name: str, *, is_flag: bool) -> None:
    one, other = (engine_flags({name: value}, "vllm") for value in ("a", "b"))

    assert (one != other) is is_flag
