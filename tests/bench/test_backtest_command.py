"""What the backtest's command says to whom it cannot serve: the file or word, and what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.backtest.__main__ import main
from bench.backtest.stack_file import UnreadableStack, read_group

GROUP = "config: {'headgate:endpoints': {llm: {max_workers: 7, max_hourly_cost_usd: 3, target_queue_time: 4}}}"


def a_stack(folder: Path, text: str) -> Path:
    path = folder / "Pulumi.x.yaml"
    path.write_text(text)
    return path


def refused(monkeypatch: pytest.MonkeyPatch, *words: str) -> SystemExit:
    """Run the command, which must end at once."""
    monkeypatch.setattr("sys.argv", ["bench.backtest", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value


def test_a_groups_parameters_are_those_of_the_stack_file(tmp_path: Path) -> None:
    group = read_group(a_stack(tmp_path, GROUP), None)

    assert (group.endpoint, group.max_workers, group.max_hourly_cost_micro_usd, group.target_queue_time) == ("llm", 7, 3_000_000, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no endpoint groups; they stand under config, headgate:endpoints"),
        ("config: {}", "has no endpoint groups"),
        ("config: {'headgate:endpoints': {}}", "has no endpoint groups"),
        ("a: [1", "is no YAML"),
        ("config: {'headgate:endpoints': {llm: 7}}", "endpoint group llm"),
        ("config: {'headgate:endpoints': {llm: {max_workers: many, max_hourly_cost_usd: 3}}}", "max_workers"),
    ],
)
def test_a_stack_file_that_has_no_such_group_is_told_what_it_needs(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UnreadableStack, match=said):
        read_group(a_stack(tmp_path, text), None)


def test_a_group_that_is_not_there_is_told_which_are(tmp_path: Path) -> None:
    with pytest.raises(UnreadableStack, match="no endpoint group 'chat'; name one of llm"):
        read_group(a_stack(tmp_path, GROUP), "chat")


def test_the_command_says_what_is_wrong_with_a_stack_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no endpoint groups" in str(refused(monkeypatch, "--stack", str(a_stack(tmp_path, ""))))


def test_a_directory_without_a_trace_is_no_empty_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "holds no trace" in str(refused(monkeypatch, "--all", str(tmp_path)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--usd-per-hour", "cheap"), "'cheap' is no price"),
        (("--stopped-usd-per-hour", "-1"), "'-1' is no price"),
        (("--usd-per-hour", "nan"), "'nan' is no price"),
        (("--picture", "week.bmp"), "must end with .png or .svg"),
        (("--all", ".", "--picture", "week.png"), "give it with --trace"),
        (("--all", ".", "--before", "old.yaml"), "give it with --trace"),
    ],
)
def test_a_word_that_means_nothing_is_refused_before_anything_is_played(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert refused(monkeypatch, *words).code == 2
    assert said in capsys.readouterr().err
