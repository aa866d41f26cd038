"""What is encoded by hand is what the general encoder writes."""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from fastavro import schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from axis.schemas import binary


def _general(schema: Any, value: object) -> bytes:  # noqa: ANN401 - Avro as JSON
    buffer = BytesIO()
    schemaless_writer(buffer, schema, value)
    return buffer.getvalue()


@given(st.integers(-(2**63), 2**63 - 1))
def test_long(value: int) -> None:
    """Every long, also the negative ones."""
    assert binary.long(value) == _general("long", value)


@given(st.binary())
def test_content(value: bytes) -> None:
    """Every length."""
    assert binary.content(value) == _general("bytes", value)


@given(st.text())
def test_string(value: str) -> None:
    """Every text, new or seen before."""
    assert binary.string(value) == binary.name(value) == _general("string", value)


@given(st.none() | st.text())
def test_optional_string(value: str | None) -> None:
    """Nothing is not the empty text."""
    assert binary.optional_string(value) == _general(["null", "string"], value)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_timestamp(value: datetime) -> None:
    """Before and after 1970, cut to the millisecond."""
    assert binary.timestamp(value) == _general({"type": "long", "logicalType": "timestamp-millis"}, value)
