"""Establish, for an auditor, what a record is: every signature verified anew, at the time the broker took the record."""

from sys import intern

from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.digest import sha256
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import is_message_id
from axis.core.history import (
    Content,
    EstablishedEnvelope,
    EstablishedReceipt,
    QuarantineEntry,
    Unestablished,
)
from axis.core.receipt import Source
from axis.errors import Refused
from axis.ports import Record
from axis.schemas import avro


def place_of(record: Record) -> Source:
    """Return where a record stands."""
    return Source(intern(record.topic), record.partition, record.offset)


def establish(record: Record, verifier: Verifier, directory: Directory) -> Content:
    """Verify a record of the receipts or of an inbox, and return what of it an oracle compares."""
    return content_of(verify(record, verifier, directory))


def content_of(verified: VerifiedEnvelope | VerifiedReceipt | Refused) -> Content:
    """Return what of a verified record an oracle compares."""
    match verified:
        case VerifiedEnvelope(header=header):
            message_id = (
                header.message_id if header is not None and is_message_id(header.message_id) else None
            )
            return EstablishedEnvelope(
                intern(verified.signer), verified.digest, message_id, intact=verified.fault is None
            )
        case VerifiedReceipt(receipt=receipt):
            return EstablishedReceipt.of(verified.digest, receipt)
        case Refused(reason=reason):
            return Unestablished(intern(str(reason)))


def verify(
    record: Record, verifier: Verifier, directory: Directory
) -> VerifiedEnvelope | VerifiedReceipt | Refused:
    """Verify a record, and return the refusal where nobody is established: for an auditor that is a fact as well."""
    try:
        return verifier.verify(record.value, directory, record.appended_at)
    except Refused as refusal:
        return refusal
    except Exception as error:  # noqa: BLE001 - one record must not hide all that follow; it is reported
        return Refused(Reason.INTERNAL_ERROR, f"{type(error).__name__} while verifying the record")


def quarantine_entry(record: Record) -> QuarantineEntry:
    """Read a record of the quarantine.

    Raises:
        Refused: it is none.
    """
    parked = avro.decode(record.value or b"")
    if not isinstance(parked, avro.QuarantineRecord):
        raise Refused(Reason.SCHEMA_UNKNOWN, "not a quarantine record")
    value = None if parked.value is None else sha256(parked.value)
    return QuarantineEntry(place_of(record), parked.source, value, str(parked.reason), parked.key)
