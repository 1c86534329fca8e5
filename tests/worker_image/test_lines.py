"""Bytes into lines, whatever programs write."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyworker.lines import LINE_BYTES_MAX, LineSplitter


def lines_of(*pieces: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.flush()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"  5%|#\r 50%|###\r100%|######\n", ["5%|#", "50%|###", "100%|######"]),
        (b"\x1b[32mINFO\x1b[0m ready\n", ["INFO ready"]),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x07 text\n", ["link text"]),
        (b"caf\xc3\xa9 \xff\xfe\n", ["café ��"]),
        (b"took 686.203\xc2\xb5s\n", ["took 686.203µs"]),
        (b"bell\x07 null\x00\n", ["bell null"]),
        (b"\n\n  \n", []),
        (b"no end", ["no end"]),
    ],
)
def test_a_log_becomes_readable_lines(data: bytes, lines: list[str]) -> None:
    assert lines_of(data) == lines


def test_a_line_longer_than_the_limit_is_cut_there() -> None:
    assert lines_of(b"x" * (LINE_BYTES_MAX + 500) + b"\nnext\n") == ["x" * LINE_BYTES_MAX, "next"]


def test_the_rest_of_a_cut_line_is_not_a_line() -> None:
    assert lines_of(b"x" * (LINE_BYTES_MAX + 1), b"more of it", b" and the end\nnext\n") == ["x" * LINE_BYTES_MAX, "next"]


TEXT = st.text(alphabet=st.sampled_from("ab é\n\r"), max_size=60).map(str.encode)


@given(TEXT, st.lists(st.integers(0, 60), max_size=6))
def test_it_does_not_matter_how_the_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    """Also when a character, or the pair of CR and LF, is cut in two."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]

    assert lines_of(*pieces) == lines_of(data)
