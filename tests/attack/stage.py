"""The stage of the attacks: one real site with a router, raw producers, and eyes on every topic."""

import json
import select
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from axis.apps import site, wiring
from axis.clock import SystemClock
from axis.connection import librdkafka_options
from axis.consumers.verify import VerifiedReceipt, Verifier
from axis.core.addressing import LOCAL_TIME
from axis.core.envelope import Envelope
from axis.core.partitioning import partition_of
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Receipt, SignedReceipt, Source
from axis.core.topics import PREFIX, QUARANTINE, RECEIPTS, SUBMISSIONS_STANDARD, inbox_topic
from axis.crypto.authority import Credential, issue_signing
from axis.crypto.keys import SigningIdentity, load_identity
from axis.crypto.signing import CmsSigner
from axis.errors import Refused
from axis.schemas import avro
from axis.schemas.avro import QuarantineRecord
from axis.settings import Settings
from axis.storage.blobs import BlobStore
from axis.testing.broker import ADMIN_NAME, EmbeddedBroker
from axis.testing.pki import DevelopmentPki
from tests.attack.forge import ENVIRONMENT, Forger
from tests.attack.planted import Planted, fingerprint
from tests.configuration import LANE_PARTITIONS, copy_configuration

_T = TypeVar("_T")
DEADLINE_SECONDS = 60.0
AGE = timedelta(days=120)
CHOSEN_BY_LIBRARY = -1

OFFICE, WARD, OTHER_WARD = "H56", "H56.14812", "H56.14818"
SUSPENDED, ENDED, WITHOUT_INBOX = "H56.90001", "H56.90002", "H56.90003"
REPOSITORY = Path(__file__).parents[2]


class RunningRouter:
    """A router in a process of its own."""

    def __init__(self, settings: Settings, planted: Planted, log: Path) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.attack.router_child", str(settings.folder), *planted.traps],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert self._process.stdout is not None
        select.select([self._process.stdout], [], [], DEADLINE_SECONDS)
        self._port = int(self._process.stdout.readline())

    @property
    def metrics(self) -> str:
        """What /metrics says now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        """Let it finish what it has in hand."""
        self._process.terminate()
        # Waited for with its input open: the process takes a closed one for the end of these tests.
        status = self._process.wait(DEADLINE_SECONDS)
        self._process.communicate()
        assert status == 0


@dataclass(slots=True)
class Tail:
    """Everything committed in the topics behind the router, read once and kept."""

    consumer: Consumer
    messages: list[Message] = field(default_factory=list)

    def until(self, found: Callable[[], _T | None]) -> _T:
        """Read on until there is a result."""
        end = time.monotonic() + DEADLINE_SECONDS
        while (result := found()) is None:
            assert time.monotonic() < end, "not seen within the deadline"
            fresh = self.consumer.consume(500, timeout=0.1)
            self.messages += [message for message in fresh if message.error() is None]
        return result

    def of(self, topic: str) -> list[Message]:
        """What was read of a topic so far, in order."""
        return [message for message in self.messages if message.topic() == topic]


@dataclass(slots=True)
class Stage:
    """The site with everything that attacks need; a context manager that takes it down."""

    folder: Path
    running: site.Site
    planted: Planted
    verifier: Verifier
    log: Path
    tail: Tail
    producers: dict[str, Producer] = field(default_factory=dict)
    router: RunningRouter = field(init=False)

    def __post_init__(self) -> None:
        self.router = self._started()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.router.stop()
        self.tail.consumer.close()
        # Producers that are still there would complain about every refused connection.
        self.producers.clear()
        if isinstance(self.running.broker, EmbeddedBroker):
            self.running.broker.kill(1)
        self.running.broker.stop()

    @property
    def settings(self) -> Settings:
        """The site's settings."""
        return self.running.settings

    @property
    def blobs(self) -> BlobStore:
        """The site's store of large parts."""
        return wiring.blobs(self.settings)

    def identity(self, code: str) -> SigningIdentity:
        """The enrolled key of an organisation."""
        return load_identity(self.settings.signatures.key(code).read_bytes())

    def forger(self, code: str, *, signed_by: SigningIdentity | Credential | str | None = None) -> Forger:
        """Somebody who writes as `code` and signs with that organisation's key, or another one."""
        match signed_by:
            case Credential():
                identity = SigningIdentity(signed_by.key, signed_by.certificate)
            case SigningIdentity():
                identity = signed_by
            case _:
                identity = self.identity(signed_by or code)
        return Forger(code, CmsSigner(identity))

    def put(
        self,
        value: bytes | None,
        *,
        sender: str,
        topic: str = SUBMISSIONS_STANDARD,
        partition: int | None = None,
        compression: str = "none",
    ) -> Source:
        """Write a raw record where the sender's records go, or elsewhere, and return its place.

        Args:
            value: the record's value.
            sender: the record's key.
            topic: a lane, unless it is to go elsewhere.
            partition: where to; `CHOSEN_BY_LIBRARY` leaves it to the client library, None takes the sender's own.
            compression: of the batch.
        """
        if compression not in self.producers:
            self.producers[compression] = Producer(
                {
                    **librdkafka_options(ADMIN_NAME, self.settings.broker),
                    "message.max.bytes": 20_000_000,
                    "compression.type": compression,
                    "linger.ms": 0,
                }
            )
        producer = self.producers[compression]
        done: Future[Message] = Future()
        place = partition_of(sender, LANE_PARTITIONS) if partition is None else partition

        def delivered(error: object, message: Message) -> None:
            if error is not None:
                done.set_exception(AssertionError(f"the broker did not take the record: {error}"))
            else:
                done.set_result(message)

        producer.produce(topic, value, sender.encode(), partition=place, on_delivery=delivered)
        producer.flush(DEADLINE_SECONDS)
        message = done.result(0)
        return Source(topic, int(message.partition() or 0), int(message.offset() or 0))

    def end_of_lane(self, sender: str) -> int:
        """The offset after the last record of a sender's partition in the standard lane."""
        place = TopicPartition(SUBMISSIONS_STANDARD, partition_of(sender, LANE_PARTITIONS))
        return int(self.tail.consumer.get_watermark_offsets(place, timeout=DEADLINE_SECONDS)[1])

    def put_into_inbox(self, value: bytes, *, owner: str) -> Source:
        """Write a raw record straight into an inbox, as somebody with the broker in his hands."""
        return self.put(value, sender=owner, topic=inbox_topic(owner), partition=0)

    def receipts(self) -> list[tuple[Message, Receipt]]:
        """Every receipt of the legal record read so far."""
        found = []
        for message in self.tail.of(RECEIPTS):
            signed = avro.decode(message.value() or b"")
            assert isinstance(signed, SignedReceipt)
            found.append((message, avro.decode_receipt(signed.statement)))
        return found

    def receipt_for(self, source: Source) -> tuple[bytes, Receipt]:
        """Wait for the axis's receipt about a record, and return its bytes with its verified statement."""

        def found() -> Message | None:
            return next((message for message, receipt in self.receipts() if receipt.source == source), None)

        message = self.tail.until(found)
        value = message.value() or b""
        return value, self.verified(message).receipt

    def in_inbox(self, owner: str, value: bytes) -> list[Message]:
        """Wait until a record is in an inbox, and return each copy of it read so far."""

        def found() -> list[Message] | None:
            return [each for each in self.tail.of(inbox_topic(owner)) if each.value() == value] or None

        return self.tail.until(found)

    def documents(self, owner: str, envelope: Envelope) -> list[bytes]:
        """The copies of an envelope read in an inbox so far, in whatever encoding."""
        values = [message.value() or b"" for message in self.tail.of(inbox_topic(owner))]
        return [value for value in values if _is_copy(value, envelope)]

    def quarantined(self, source: Source) -> QuarantineRecord:
        """Wait for the quarantine record about a record."""

        def found() -> QuarantineRecord | None:
            for message in self.tail.of(QUARANTINE):
                decoded = avro.decode(message.value() or b"")
                if isinstance(decoded, QuarantineRecord) and decoded.source == source:
                    return decoded
            return None

        return self.tail.until(found)

    def verified(self, message: Message) -> VerifiedReceipt:
        """Verify a receipt as any node would."""
        at = datetime.fromtimestamp(message.timestamp()[1] / 1000, LOCAL_TIME)
        verified = self.verifier.verify(message.value(), wiring.directory(self.settings).current(), at)
        assert isinstance(verified, VerifiedReceipt)
        return verified

    def settled(self, sender: str = OFFICE) -> None:
        """Return when everything written before for a sender is routed and read: a document to all goes after it."""
        recipients = (OFFICE, WARD, OTHER_WARD)
        letter = self.forger(sender).letter(OFFICE, SystemClock().now(), recipients=recipients)
        value = avro.encode_envelope(letter)
        answer, receipt = self.receipt_for(self.put(value, sender=sender))
        assert receipt.event is Event.SUBMISSION_ACCEPTANCE
        self.in_inbox(sender, answer)
        for recipient in recipients:
            self.in_inbox(recipient, value)

    def restart_router(self, *, without_store: bool) -> None:
        """Stop the router and start it again, with or without what it had on its disk."""
        self.router.stop()
        if without_store:
            shutil.rmtree(self.settings.folder / "router-0")
        self.router = self._started()

    def _started(self) -> RunningRouter:
        return RunningRouter(self.settings, self.planted, self.log)


def set_up(folder: Path) -> Stage:
    """Start a site whose directory has the organisations that attacks need, and a router with the planted checker."""
    # The authority is as old as what it has issued.
    DevelopmentPki.create_or_open(folder / "site" / "pki", now=SystemClock().now() - AGE)
    running = site.start(
        folder / "site",
        _configuration(folder / "config"),
        lambda _: None,
        environment=ENVIRONMENT,
        telemetry_port=0,
        short_lived=True,
    )
    try:
        settings = running.settings
        pki = DevelopmentPki.create_or_open(settings.folder / "pki", now=SystemClock().now())
        # Enrolled and in the directory, but nobody has applied the topics since.
        (settings.directory.folder / "late.toml").write_text(_organisation(WITHOUT_INBOX), "utf-8")
        pki.signing(WITHOUT_INBOX, "Ủy ban nhân dân xã Mới Lập")
        verifier = wiring.verifier(settings, AcceptancePolicy())
        return Stage(folder, running, _plant(settings), verifier, folder / "router.log", _tail(settings))
    except BaseException:
        running.broker.stop()
        raise


def _is_copy(value: bytes, envelope: Envelope) -> bool:
    try:
        decoded = avro.decode(value)
    except Refused:
        return False  # an intruder of another test
    return isinstance(decoded, Envelope) and decoded.digest == envelope.digest


def authority_of(settings: Settings) -> Credential:
    """The site's certificate authority, in the attacker's hands."""
    pki = settings.folder / "pki"
    held = load_identity((pki / "ca.key.pem").read_bytes() + (pki / "ca.pem").read_bytes())
    return Credential(held.key, held.certificate)


def _configuration(folder: Path) -> Path:
    copy_configuration(folder)
    ended = SystemClock().now().astimezone(LOCAL_TIME).date() - timedelta(days=30)
    (folder / "directory" / "attack.toml").write_text(
        _organisation(SUSPENDED, "suspended = true") + _organisation(ENDED, f"valid_to = {ended}"), "utf-8"
    )
    return folder


def _organisation(code: str, *lines: str) -> str:
    own = (
        f'code = "{code}"',
        f'name = "Ủy ban nhân dân xã {code[-1]}"',
        'level = "commune"',
        'parent = "H56"',
    )
    return "\n".join(("[[organisation]]", *own, "valid_from = 2025-07-01", *lines, ""))


def _plant(settings: Settings) -> Planted:
    """Issue and enrol the planted certificates of the ward, all of them valid."""
    authority, then = authority_of(settings), SystemClock().now() - AGE
    planted = Planted(*(issue_signing(authority, WARD, "thử", then) for _ in range(3)))
    path = settings.directory.enrolment
    enrolment = json.loads(path.read_bytes())
    for credential in (planted.revoked, planted.explosive, planted.old):
        certificate = credential.certificate
        enrolment[fingerprint(credential)] = {
            "organisation": WARD,
            "valid_from": certificate.not_valid_before_utc.isoformat(),
            "valid_to": certificate.not_valid_after_utc.isoformat(),
        }
    path.write_text(json.dumps(enrolment), "utf-8")
    return planted


def _tail(settings: Settings) -> Tail:
    consumer = Consumer(
        {
            **librdkafka_options(ADMIN_NAME, settings.broker),
            "group.id": "attack-tail",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    behind = (f"{PREFIX}inbox.", RECEIPTS, QUARANTINE)
    consumer.assign(
        [
            TopicPartition(name, partition, OFFSET_BEGINNING)
            for name, topic in consumer.list_topics(timeout=DEADLINE_SECONDS).topics.items()
            if name.startswith(behind)
            for partition in topic.partitions
        ]
    )
    return Tail(consumer)
