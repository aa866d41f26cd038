"""A bucket for the blob stores."""

from collections.abc import Iterator

import pytest

from tests.contract.object_server import Bucket, serve


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, with every right, which the environment names."""
    with serve() as served:
        monkeypatch.setenv("AWS_ENDPOINT", served.endpoint)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "clerk")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the tests")
        yield served
