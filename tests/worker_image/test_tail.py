"""Following a log through everything that happens to log files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyworker.tail import READ_BYTES_MAX, LogTail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "model.log"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_file_that_does_not_exist_yet_has_no_lines(log: Path) -> None:
    assert LogTail(log).read() == []


def test_a_file_is_read_from_its_beginning(log: Path) -> None:
    append(log, "one\ntwo\n")

    assert LogTail(log).read() == ["one", "two"]


def test_only_what_is_new_is_read(log: Path) -> None:
    append(log, "one\n")
    tail = LogTail(log)
    tail.read()
    append(log, "two\n")

    assert tail.read() == ["two"]


def test_a_line_is_read_when_it_is_whole(log: Path) -> None:
    tail = LogTail(log)
    append(log, "half")
    first = tail.read()
    append(log, " and half\n")

    assert (first, tail.read()) == ([], ["half and half"])


def test_a_truncated_file_is_read_from_its_beginning(log: Path) -> None:
    append(log, "a long line before\n")
    tail = LogTail(log)
    tail.read()
    log.write_text("new\n")

    assert tail.read() == ["new"]


def test_a_rotated_file_is_read_to_its_end_and_then_its_successor(log: Path) -> None:
    append(log, "old\n")
    tail = LogTail(log)
    tail.read()
    append(log, "last words\n")
    log.rename(log.with_suffix(".1"))
    append(log, "new\n")

    assert [line for _ in range(3) for line in tail.read()] == ["last words", "new"]


def test_a_file_that_vanishes_and_comes_back_is_followed(log: Path) -> None:
    append(log, "old\n")
    tail = LogTail(log)
    tail.read()
    log.rename(log.with_suffix(".1"))
    meanwhile = tail.read()
    append(log, "new\n")

    assert [*meanwhile, *tail.read(), *tail.read()] == ["new"]


def test_one_read_is_bounded(log: Path) -> None:
    append(log, "x" * 99 + "\n")
    append(log, ("y" * 99 + "\n") * (2 * READ_BYTES_MAX // 100))

    assert len(LogTail(log).read()) <= READ_BYTES_MAX // 100


def test_at_the_end_everything_left_is_read_with_the_unfinished_line(log: Path) -> None:
    append(log, ("y" * 99 + "\n") * (2 * READ_BYTES_MAX // 100) + "Error: ShardCannotStart")

    assert LogTail(log).finish()[-1] == "Error: ShardCannotStart"
