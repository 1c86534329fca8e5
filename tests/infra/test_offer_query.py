"""An offer query is refused where the marketplace would silently search for something else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.query import MalformedQuery, parse_order, parse_query
from infra.offer_query import order_faults, query_faults, query_fields, without


@pytest.mark.parametrize(
    "text",
    [
        "gpu_name=RTX_4090",
        "gpu_name in [RTX_4090,RTX_3090] geolocation notin [CN,VN] driver_version>=525.60.13 duration>1",
        'gpu_name="RTX 4090" num_gpus == 1',
        "gpu_ram >= 23 num_gpus=1 verified=True rentable=True rented=False",
        "verified=any reliability2 gte 0.99 dph lt 0.5",
        "geolocation not in [CN] cuda_vers neq 11.8",
        "column_of_next_year=1",
        "gpu_ram>=23.5 cpu_ram>64",
    ],
)
def test_a_query_of_the_language_has_no_faults(text: str) -> None:
    assert query_faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "gpu_name RTX_4090",
            "cannot be read from 'gpu_name RTX_4090' on: write field, operator and value, and quote a value with blanks",
        ),
        ("num_gpus=1 and", "cannot be read from 'and' on: write field, operator and value, and quote a value with blanks"),
        ("gpu_name=RTX 4090", "cannot be read from '4090' on: write field, operator and value, and quote a value with blanks"),
        ("num_gpus=>1", "has no operator '=>': use one of = != > >= < <= in notin"),
        ("gpu_nmae=RTX_4090", "filters on 'gpu_nmae', which offers do not have ('gpu_name' is meant?)"),
        ("geolocation in [CN,,VN]", "has an empty value for 'geolocation'"),
        ("verified!=any", "compares 'verified' with 'any', which only '=' can"),
        ("driver_version>=535.86", "needs a version like 535.86.05 for 'driver_version', not '535.86'"),
        ("gpu_ram in [24,many]", "needs a number for 'gpu_ram', not 'many'"),
        ("gpu_ram>=24GB", "needs a number for 'gpu_ram', not '24GB'"),
    ],
)
def test_a_fault_says_what_is_wrong(text: str, fault: str) -> None:
    assert query_faults(text) == [fault]


FIELDS = st.sampled_from(["gpu_name", "gpu_ram", "duration", "driver_version", "geolocation", "verified", "x_1"])
OPERATORS = st.sampled_from(["=", "==", "!=", ">=", "=>", " in ", " notin ", " not in ", " not  eq ", " gt ", " like ", " in", ""])
VALUES = st.sampled_from(
    ["1", "1.5", "a", '"a b"', "[a,b]", "[1, 2]", "[,]", "[]", "any", '"any"', "*", "535.86.05", "5.3", "1,", '""', "[1"]
)
QUERIES = st.lists(st.tuples(FIELDS, OPERATORS, VALUES).map("".join), min_size=1, max_size=3).map(" ".join)


@given(QUERIES | st.text(alphabet='ab1_=<>![]",. \n', max_size=20))
def test_the_scaler_can_read_every_query_without_faults(text: str) -> None:
    if not query_faults(text):
        parse_query(text)


def test_every_fault_of_a_query_is_named() -> None:
    assert len(query_faults("gpu_nmae=X num_gpus=>1 gpu_ram>=lots the rest")) == 4


def test_a_query_of_any_length_is_read_in_bounded_steps() -> None:
    assert len(query_faults("num_gpus=1 " * 1000)) == 1


def test_the_fields_of_a_query() -> None:
    assert query_fields("gpu_name=RTX_4090 machine_id notin [1,2]") == {"gpu_name", "machine_id"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"num_gpus": 1}', 'has no operator for \'num_gpus\': write {"num_gpus": {"eq": …}}'),
        ('{"num_gpus": {"is": 1}}', "has no operator 'is': use one of eq gt gte in lt lte neq notin"),
        ('{"num_gpus": {"in": 1}}', "needs a list of values for 'num_gpus' with 'in'"),
        ('{"num_gpus": {"eq": [1]}}', "needs one value for 'num_gpus' with 'eq'"),
        ('{"gpu_nmae": {"eq": "X"}}', "filters on 'gpu_nmae', which offers do not have ('gpu_name' is meant?)"),
        ('{"type": "bid"}', "holds 'type', which is no filter: set 'rental_type' instead"),
        ('{"num_gpus": {"eq": 1}', "begins with '{' and is no JSON"),
    ],
)
def test_a_fault_of_a_filter_in_json_says_what_is_wrong(text: str, fault: str) -> None:
    assert query_faults(text) == [fault]


CONDITIONS = st.dictionaries(st.sampled_from(["eq", "in", "gte", "is"]), st.integers() | st.lists(st.text(max_size=2)) | st.none())
OBJECTS = st.dictionaries(FIELDS | st.sampled_from(["order", "type"]), CONDITIONS | st.integers()).map(json.dumps)


@given(OBJECTS | st.text(alphabet='{}":,1a[] ', max_size=12).map("{".__add__))
def test_the_scaler_can_read_every_filter_in_json_without_faults(text: str) -> None:
    if not query_faults(text):
        parse_query(text)


@pytest.mark.parametrize("text", ["", "dph_total", "-score, num_gpus", "dlperf_usd-"])
def test_an_order_of_columns_has_no_faults(text: str) -> None:
    assert order_faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("dph total", "orders by 'dph total', which is no column"),
        ("dhp_total", "orders by 'dhp_total', which offers do not have ('dph_total' is meant?)"),
        (",".join(["dph"] * 9), "names more than 8 columns"),
    ],
)
def test_a_fault_of_an_order_says_what_is_wrong(text: str, fault: str) -> None:
    assert order_faults(text) == [fault]


@given(st.text(alphabet="dph_total-+, ;", max_size=12))
def test_the_scaler_can_read_every_order_without_faults(text: str) -> None:
    try:
        parse_order(text)
    except MalformedQuery:
        assert order_faults(text)


def test_machines_are_left_out_in_either_spelling() -> None:
    assert without("num_gpus=1", machine_id=(7, 9)) == "num_gpus=1 machine_id notin [7,9]"
    assert json.loads(without('{"num_gpus": {"eq": 1}}', machine_id=(7,))) == {"num_gpus": {"eq": 1}, "machine_id": {"notin": [7]}}
    assert without("num_gpus=1", machine_id=(), host_id=(3,)) == "num_gpus=1 host_id notin [3]"
    assert without("num_gpus=1", machine_id=()) == "num_gpus=1"


def test_the_fields_of_a_filter_in_json() -> None:
    assert query_fields('{"gpu_name": {"eq": "X"}, "machine_id": {"notin": [1]}}') == {"gpu_name", "machine_id"}
