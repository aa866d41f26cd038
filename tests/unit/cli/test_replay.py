"""What `axis replay` takes as a range of offsets."""

import pytest

from axis.cli.replay import parse_offsets
from axis.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("3:1200", (3, (1200, None))), ("0:5-5", (0, (5, 5))), ("11:0-1300", (11, (0, 1300)))],
)
def test_a_range_is_a_partition_and_offsets(text: str, meaning: tuple[int, tuple[int, int | None]]) -> None:
    """The last offset is optional, and may be the first."""
    assert parse_offsets(text) == meaning


@pytest.mark.parametrize("text", ["", "3", "3:", "3:a", "-1:5", "3:5-", "3:5-4", "3:5-4-3"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """Also one that ends before it begins: it would read as if there were no history."""
    with pytest.raises(ConfigurationError, match="--from-offset"):
        parse_offsets(text)
