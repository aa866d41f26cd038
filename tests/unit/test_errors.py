"""The exceptions of the axis as messages from one process to another."""

import pickle

import pytest

from axis.errors import AxisError, Bilingual, ConfigurationError, OutcomeUnknown, Unavailable

MESSAGE = Bilingual("không có khóa", "there is no key")


def test_what_an_error_says_is_had_in_both_languages() -> None:
    """A message that quotes an error quotes its Vietnamese in Vietnamese, and its English where there is no other."""
    said, alone = Bilingual.of(Unavailable(MESSAGE)), Bilingual.of(OSError(2, "No such file"))
    assert (said, said.vietnamese) == (MESSAGE, MESSAGE.vietnamese)
    assert alone == alone.vietnamese == "[Errno 2] No such file"


@pytest.mark.parametrize(
    ("owner", "vietnamese"), [(Bilingual("tệp a", "file a"), "tệp a"), ("file a", "file a")]
)
def test_a_message_names_what_it_is_about_in_both_languages(owner: str, vietnamese: str) -> None:
    """The owner stands before the message, each in its language where it has two."""
    message = MESSAGE.about(owner)
    assert message == "file a: there is no key"
    assert message.vietnamese == f"{vietnamese}: không có khóa"


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
