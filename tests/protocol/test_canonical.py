"""One text for one value, and the strict reader of strangers' bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import JSON_DEPTH_MAX, MalformedJson, canonical_bytes, parse_object

scalars = st.one_of(st.text(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))


def test_keys_are_sorted_and_nothing_is_blank() -> None:
    assert canonical_bytes({"b": 1, "a": "x y"}) == b'{"a":"x y","b":1}'


def test_an_integral_float_is_an_integer_as_javascript_prints_it() -> None:
    assert canonical_bytes({"cost": 242.0}) == canonical_bytes({"cost": 242}) == b'{"cost":242}'


def test_a_negative_zero_is_a_zero() -> None:
    assert canonical_bytes({"cost": -0.0}) == b'{"cost":0}'


def test_text_is_utf_8() -> None:
    assert canonical_bytes({"a": "тест"}) == '{"a":"тест"}'.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_has_no_text(number: float) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_bytes({"cost": number})


@given(st.dictionaries(st.text(), scalars))
def test_the_text_reads_back_as_the_value(fields: dict[str, str | float]) -> None:
    assert json.loads(canonical_bytes(fields)) == fields


@given(st.dictionaries(st.text(), scalars))
def test_the_order_of_the_keys_makes_no_difference(fields: dict[str, str | float]) -> None:
    assert canonical_bytes(dict(reversed(fields.items()))) == canonical_bytes(fields)


@given(st.dictionaries(st.text(), scalars))
def test_reading_and_writing_again_changes_nothing(fields: dict[str, str | float]) -> None:
    once = canonical_bytes(fields)

    assert canonical_bytes(parse_object(once, size_max=len(once))) == once


MALFORMED = {
    "nothing": b"",
    "no JSON": b"{",
    "more than one object": b"{}{}",
    "a list": b"[]",
    "a text": b'"a"',
    "null": b"null",
    "no UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "a field twice": b'{"a": 1, "a": 1}',
    "a field twice further in": b'{"a": {"b": 1, "b": 2}}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus Infinity": b'{"a": [-Infinity]}',
    "too deep": b'{"a":' * (JSON_DEPTH_MAX + 1) + b"1" + b"}" * (JSON_DEPTH_MAX + 1),
    "far too deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_one_well_formed_object_is_refused(case: str) -> None:
    with pytest.raises(MalformedJson):
        parse_object(MALFORMED[case], size_max=1_000_000)


def test_a_body_of_the_very_limit_is_read() -> None:
    assert parse_object(b'{"a":1}', size_max=7) == {"a": 1}


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedJson, match="at most 6"):
        parse_object(b'{"a":1}', size_max=6)


def test_the_deepest_body_that_is_read() -> None:
    levels = JSON_DEPTH_MAX - 1

    assert parse_object(b'{"a":' * levels + b"{}" + b"}" * levels, size_max=1_000)


def test_a_refusal_never_repeats_the_body() -> None:
    with pytest.raises(MalformedJson) as raised:
        parse_object(b'{"prompt": "secret', size_max=1_000)

    assert "secret" not in str(raised.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        assert isinstance(parse_object(body, size_max=1_000), dict)
    except MalformedJson:
        return
