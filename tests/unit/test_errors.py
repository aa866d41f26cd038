"""The exceptions of the axis as messages from one process to another."""

import pickle

import pytest

from axis.errors import AxisError, Bilingual, ConfigurationError, OutcomeUnknown, Unavailable

MESSAGE = Bilingual("không có khóa", "there is no key")


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError(MESSAGE, "plain"),
        Unavailable(MESSAGE, fault="timeout"),
        OutcomeUnknown("no answer", fault="unreachable"),
    ],
)
def test_an_error_leaves_its_process_as_it_is(error: AxisError) -> None:
    """Kind, faults, and both languages of every message arrive."""
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))
    texts = [each for each in (*arrived.args, *getattr(arrived, "faults", ())) if isinstance(each, Bilingual)]
    assert all(each.vietnamese == MESSAGE.vietnamese for each in texts)
    assert len(texts) == (0 if type(error) is OutcomeUnknown else 1)
