"""Whatever correct behaviour leaves behind holds, and no change of it does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core.history import (
    Entry,
    Unestablished,
)
from tests.unit.core.falsifications import moved
from tests.unit.core.history_model import LANES, SENDERS, History, Model, digest

SENDER = st.sampled_from(SENDERS)
NUMBER = st.integers(0, 99)


@st.composite
def models(draw: st.DrawFn, *, late: bool = False) -> Model:
    """Draw a history of correct behaviour; `late`: inboxes may be missing at first."""
    model = Model(draw(st.sets(SENDER)) if late else ())
    for _ in range(draw(st.integers(1, 14))):
        match draw(
            st.sampled_from(
                ["accept", "accept", "refuse", "repeat", "conflict", "garbage", "hand_over", "open_inbox"]
            )
        ):
            case "accept":
                sender = draw(SENDER)
                others = [code for code in SENDERS if code != sender]
                recipients = draw(st.sets(st.sampled_from(others), min_size=1))
                model.accept(sender, tuple(sorted(recipients)), draw(st.sampled_from(LANES)))
            case "refuse":
                model.refuse(draw(SENDER), draw(st.sampled_from(["recipients-empty", "blob-missing"])))
            case "garbage":
                model.garbage(draw(SENDER))
            case "open_inbox":
                model.open_inbox(draw(SENDER))
            case "hand_over":
                model.hand_over(draw(NUMBER), draw(st.sampled_from(["01", "06"])))
            case name:
                getattr(model, name)(draw(NUMBER))
    return model


@given(models(late=True))
@settings(max_examples=100, deadline=None)
def test_correct_behaviour_always_holds(model: Model) -> None:
    """Whatever is submitted in whatever order, what a correct router makes of it holds, and all counts agree."""
    report = model.history.judged()
    assert report.findings == ()
    counts = report.counts
    fates = ("accepted", "refused", "quarantined", "duplicates", "forwarded")
    assert counts["submissions"] == sum(counts[fate] for fate in fates) == len(model.history.submissions)
    assert (counts["delivered"], counts["answered"]) == (counts["consigned"], counts["answers_due"])


@given(models(late=True), st.data())
@settings(max_examples=100, deadline=None)
def test_a_history_that_goes_on_while_it_is_read_holds(model: Model, data: st.DataObject) -> None:
    """What follows from undecided submissions may be there or not, in each topic on its own, and nothing is lost."""
    history, written = model.history, model.written
    if not written:
        return
    cut = data.draw(st.integers(0, len(written) - 1), "first undecided submission")
    committed: dict[tuple[str, int], int] = {}
    for each in reversed(written[cut:]):
        committed[each.submission.place.topic, each.submission.place.partition] = each.submission.place.offset
    seen = [written[data.draw(st.integers(cut, len(written)), "read up to") - 1] for _ in range(5)]
    if cut == 0:
        seen = [written[-1]] * 5
    inboxes = {
        code: history.inboxes[code][: each.inboxes[code]]
        for code, each in zip(SENDERS, seen, strict=False)
        if code in each.inboxes
    }
    partly = History(
        history.submissions,
        history.receipts[: seen[3].receipts],
        history.quarantine[: seen[4].quarantine],
        inboxes,
        history.appended,
    )
    report = partly.judged(committed)
    assert report.findings == ()
    assert report.counts["waiting"] == len(written) - cut


def drop(entries: list[Any], at: int) -> None:
    """Remove one record."""
    del entries[at]


def double(entries: list[Any], at: int) -> None:
    """Append one record once more."""
    entries.append(moved(entries[at]) if isinstance(entries[at], Entry) else entries[at])


def alter(entries: list[Any], at: int) -> None:
    """Change a record's bytes so that its signature still holds, as unsigned bytes can be changed."""
    entries[at] = replace(entries[at], value=digest("altered"))


def strip(entries: list[Any], at: int) -> None:
    """Change a record's bytes so that its signature no longer holds."""
    if isinstance(entries[at], Entry):
        entries[at] = replace(entries[at], value=digest("broken"), content=Unestablished("signature-invalid"))
    else:
        entries[at] = replace(entries[at], value=digest("broken"))


@given(models(), st.sampled_from([drop, double, alter, strip]), st.data())
@settings(max_examples=200, deadline=None)
def test_any_single_change_of_an_output_is_found(
    model: Model, mutate: Callable[[list[Any], int], None], data: st.DataObject
) -> None:
    """Drop, double, alter or break any one receipt, quarantine record or inbox entry: the history holds no more."""
    history = model.history.copy()
    # The statement that opens an inbox proves its beginning; nothing else is lost with it.
    targets: list[tuple[list[Any], int]] = [
        (entries, at) for entries in history.inboxes.values() for at in range(1, len(entries))
    ]
    targets += [
        (entries, at) for entries in (history.receipts, history.quarantine) for at in range(len(entries))
    ]
    if not targets:
        return
    mutate(*data.draw(st.sampled_from(targets), "target"))
    assert history.judged().findings != ()
