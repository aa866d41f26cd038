"""What can be judged only when all submissions and receipts are known: hand-overs, repetitions, what has no fate."""

from datetime import datetime

from axis.core.digest import Digest
from axis.core.disposition import Disposition, Reason
from axis.core.expectation import BY_DIRECTORY, Difference
from axis.core.findings import FindingKind
from axis.core.history import Entry, EstablishedEnvelope, EstablishedReceipt
from axis.core.inbox_reconciliation import Due
from axis.core.receipt import Source
from axis.core.tally import AT_MOST_ONCE, ONCE, Decision, Tally, precedes, receipt_of
from axis.core.topics import RECEIPTS


def settle(tally: Tally) -> None:
    """Judge submissions and recipients' receipts, and count; to be called once, before any inbox is compared."""
    _settle_handovers(tally)
    _settle_by_earlier(tally)
    unclaimed = {receipt_of(entry).digest: entry for entry in tally.handovers}
    forwarded = frozenset(unclaimed)
    for place, entry in tally.submissions.items():
        scope = tally.scope_of(place)
        if scope.judges(place.offset):
            tally.counts.submissions += 1
            _settle_submission(tally, entry, forwarded, unclaimed)
        elif place.offset >= scope.until:
            tally.counts.waiting += place.offset >= scope.committed
            if tally.coverage.may_be_decided(place):
                tally.waiting.add(entry.value)
            if (repeated := tally.repeated(entry)) is not None:
                tally.repeat_answer(repeated, AT_MOST_ONCE)
    for digest, entry in unclaimed.items():
        if _judged(tally, digest):
            detail = "it was submitted, but decided otherwise"
            tally.note(FindingKind.RECEIPT_UNFOUNDED, entry.place, detail, entry.content)
    counted = (Disposition.ACCEPTED, Disposition.REFUSED, Disposition.QUARANTINED)
    fates = list(tally.fates.values())
    tally.counts.accepted, tally.counts.refused, tally.counts.quarantined = map(fates.count, counted)


def settle_absences(tally: Tally) -> None:
    """Judge the decisions that say that an inbox was not there by when the inboxes were opened; after the inboxes."""
    for decision, groups, kind in tally.absences:
        at = decision.receipt.occurred_at
        there = [[code for code in group if _was_open(tally, code, at)] for group in groups]
        if all(there):
            named = ", ".join(codes[0] for codes in there)
            tally.disagree(decision, Difference(kind, f"inbox-missing, but {named} had an inbox by then"))
        else:
            tally.counts.taken_as_given += 1


def _settle_handovers(tally: Tally) -> None:
    """Judge recipients' receipts by what was accepted and submitted."""
    known_from = tally.coverage.known_from()
    seen: set[str] = set()
    for entry in tally.handovers:
        receipt = receipt_of(entry)
        fault = _handover_fault(tally, receipt)
        if fault is not None:
            tally.note(FindingKind.HANDOVER_UNFOUNDED, entry.place, fault, receipt)
        key = _handover_key(receipt)
        if key in seen:
            tally.note(
                FindingKind.HANDOVER_DOUBLED,
                entry.place,
                f"{receipt.issuer} attested status {receipt.status} before",
                receipt,
            )
        seen.add(key)
        if receipt.digest not in tally.submitted and tally.appended[entry.place] > known_from:
            detail = f"{receipt.issuer} submitted it nowhere in what must be kept"
            tally.note(FindingKind.RECEIPT_UNFOUNDED, entry.place, detail, receipt)
        bounds = ONCE if _judged(tally, receipt.digest) else AT_MOST_ONCE
        tally.expect_answer(entry, receipt, Due(receipt.envelope_digest, receipt.message_id, *bounds))


def _judged(tally: Tally, digest: Digest) -> bool:
    """Tell whether a submission of a recipient's receipt is judged."""
    return any(tally.scope_of(each).judges(each.offset) for each in tally.submitted.get(digest, ()))


def _handover_fault(tally: Tally, receipt: EstablishedReceipt) -> str | None:
    accepted = tally.decision(receipt.sender, receipt.message_id)
    if accepted is None or not accepted.accepted:
        return f"{receipt.issuer} attests the hand-over of what was never accepted"
    if accepted.digest != receipt.envelope_digest:
        return f"{receipt.issuer} attests the hand-over of another envelope than the accepted one"
    if receipt.issuer not in accepted.consigned:
        return f"{receipt.issuer} attests the hand-over of what was not consigned to it"
    return None


def _settle_by_earlier(tally: Tally) -> None:
    """Judge the refusals that rest on what was decided before about the same message id."""
    complete = not any(topic == RECEIPTS for topic, _ in tally.coverage.shortened)
    for decision in tally.by_earlier:
        source = decision.submission.place
        # What was decided while the receipts were read may rest on one that was not read.
        known = complete and source.offset < tally.scope_of(source).committed
        founded = _founded(tally, decision) if known else None
        if founded is None:
            tally.counts.taken_as_given += 1
        elif not founded:
            detail = f"refused as {decision.receipt.reason}, which nothing decided before bears out"
            tally.disagree(decision, Difference(FindingKind.REFUSAL_UNFOUNDED, detail))


def _founded(tally: Tally, decision: Decision) -> bool | None:
    """Tell whether an earlier decision bears out a refusal; None where that cannot be told."""
    submitted, receipt = decision.submission.content, decision.receipt
    place = decision.submission.place
    if not isinstance(submitted, EstablishedReceipt):
        prior = tally.decision(receipt.sender, receipt.message_id)
        if prior is None or precedes(place, prior.source):
            return False
        return prior.digest != receipt.envelope_digest
    if receipt.reason == Reason.MESSAGE_ID_CONFLICT:
        others = (receipt_of(each) for each in tally.handovers)
        return any(
            _handover_key(each) == _handover_key(submitted)
            and each.digest != submitted.digest
            and not _submitted_behind(tally, place, each.digest)
            for each in others
        )
    if receipt.reason != Reason.RECEIPT_NOT_ALLOWED:
        return None
    if _handover_fault(tally, submitted) is not None:
        return True
    accepted = tally.decision(submitted.sender, submitted.message_id)
    # Of different partitions nobody knows which was decided first.
    earlier = accepted is not None and precedes(accepted.source, place)
    return False if earlier else None


def _submitted_behind(tally: Tally, place: Source, digest: Digest) -> bool:
    """Tell whether a recipient's receipt was submitted behind a place only."""
    places = tally.submitted.get(digest)
    return places is not None and all(precedes(place, each) for each in places)


def _settle_submission(
    tally: Tally, entry: Entry, forwarded: frozenset[Digest], unclaimed: dict[Digest, Entry]
) -> None:
    if entry.place in tally.fates:
        return
    match entry.content:
        case EstablishedEnvelope() if (prior := tally.repeated(entry)) is not None:
            tally.counts.duplicates += 1
            tally.repeat_answer(prior, ONCE)
        case EstablishedReceipt(digest=digest) if unclaimed.pop(digest, None) is not None:
            tally.counts.forwarded += 1
            _check_forwarded(tally, entry)
        case EstablishedReceipt(digest=digest) if digest in forwarded:
            tally.counts.duplicates += 1
        case _:
            tally.note(
                FindingKind.SUBMISSION_LOST,
                entry.place,
                "it was decided, but there is no receipt about it and no quarantine record, and it repeats nothing",
                entry.content,
            )


def _check_forwarded(tally: Tally, entry: Entry) -> None:
    """A recipient's receipt that breaks a rule is not forwarded; what names no directory is not judged by one."""
    reason = entry.expected.reason if entry.expected is not None else None
    if reason is not None and reason not in BY_DIRECTORY:
        detail = f"it was forwarded, expected its refusal as {reason}"
        tally.note(FindingKind.HANDOVER_UNFOUNDED, entry.place, detail, entry.content)


def _was_open(tally: Tally, code: str, at: datetime) -> bool:
    open_from = tally.open_from.get(code)
    return open_from is not None and open_from < at


def _handover_key(receipt: EstablishedReceipt) -> str:
    """Return what a recipient attests once only: each status of a document."""
    return f"{receipt.issuer}/{receipt.sender}/{receipt.message_id}/{receipt.status}"
