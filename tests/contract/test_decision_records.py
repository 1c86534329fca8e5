"""Decision records in DynamoDB: plain while small, packed when large, and never too large for the table."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from functions.adapters.dynamodb_items import decision_key, decision_part_key, parts_pk
from functions.adapters.dynamodb_scale import RECORD_PLAIN_BYTES_MAX, TOO_LARGE, read_record
from functions.core.record import DecisionRecord
from functions.ports import UnreadableItem
from tests.contract.stores import ENDPOINT, Stores, dynamo_stores
from tests.core.builders import NOW_S


@pytest.fixture
def stores(dynamodb: Any, table_name: str) -> Stores:
    """Return an empty table of DynamoDB."""
    return dynamo_stores(dynamodb, table_name)


@pytest.fixture
def put(stores: Stores, dynamodb: Any, table_name: str) -> Any:
    """Return a function that stores a record with a text in its snapshot, and returns its item."""

    def put_record(text: str) -> Any:
        record = DecisionRecord(
            endpoint=ENDPOINT, decided_at_s=NOW_S, epoch=1, sentences=("Hold.",), actions=(), facts={}, snapshot={"text": text}
        )
        stores.scale.put_decision(stores.lease(), record, expires_at_s=NOW_S + 60)
        return dynamodb.get_item(TableName=table_name, Key=decision_key(ENDPOINT, decided_at_s=NOW_S, epoch=1))["Item"]

    return put_record


def noise(size: int) -> str:
    """Return text that cannot be packed to less than half."""
    return random.Random(1).randbytes(size // 2).hex()


def test_a_small_record_can_be_read_by_people(put: Any) -> None:
    assert '"sentences":["Hold."]' in put("small")["record"]["S"]


def test_a_record_goes_when_its_time_is_over(put: Any) -> None:
    assert put("small")["ttl"] == {"N": str(int(NOW_S + 60))}


def test_a_large_record_is_packed_and_reads_back(stores: Stores, put: Any) -> None:
    text = noise(4 * RECORD_PLAIN_BYTES_MAX)
    item = put(text)

    assert len(item["record_gz"]["B"]) < len(text)
    assert [record["snapshot"] for record in stores.pulumi.decisions(ENDPOINT)] == [{"text": text}]


def test_a_record_beyond_any_item_is_kept_in_parts_and_reads_back(stores: Stores, put: Any) -> None:
    text = noise(2_000_000)
    item = put(text)

    assert int(item["parts"]["N"]) > 1
    assert [record["snapshot"] for record in stores.pulumi.decisions(ENDPOINT)] == [{"text": text}]


def test_parts_go_when_the_time_of_their_record_is_over(put: Any, dynamodb: Any, table_name: str) -> None:
    item = put(noise(2_000_000))
    key = decision_part_key(item, 1)

    assert dynamodb.get_item(TableName=table_name, Key=key)["Item"]["ttl"] == {"N": str(int(NOW_S + 60))}


def test_a_record_whose_parts_are_missing_names_where_they_are(put: Any) -> None:
    item = put(noise(2_000_000))

    with pytest.raises(UnreadableItem, match=re.escape(parts_pk(item))):
        read_record(item)


def test_a_record_of_too_many_parts_is_kept_without_its_snapshot_and_says_so(
    stores: Stores, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.adapters.dynamodb_scale.PARTS_MAX", 1)
    put(noise(2_000_000))

    assert [(each["snapshot"], each["sentences"]) for each in stores.pulumi.decisions(ENDPOINT)] == [({}, ["Hold.", TOO_LARGE])]


def test_the_sentences_can_be_read_without_unpacking(put: Any) -> None:
    assert put(noise(4 * RECORD_PLAIN_BYTES_MAX))["sentences"] == {"L": [{"S": "Hold."}]}
