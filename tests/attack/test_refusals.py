"""Every reason to refuse or to quarantine, provoked on a real site by a raw producer."""

from dataclasses import dataclass

import pytest

from axis.clock import SystemClock
from axis.core.disposition import UNESTABLISHED, Reason
from axis.core.receipt import Event
from axis.core.topics import PREFIX
from tests.attack import anonymous_attacks, signed_attacks, transport_attacks
from tests.attack.forge import SECRET_CONTENT
from tests.attack.stage import OFFICE, Stage
from tests.attack.striking import ATTACKS, Attack, Struck

pytestmark = pytest.mark.kafka

# Importing them registers their attacks.
REGISTERED = (anonymous_attacks, transport_attacks, signed_attacks)
CASES = [(reason, attack) for reason, attacks in ATTACKS.items() for attack in attacks]


@dataclass(frozen=True, slots=True)
class Barrage:
    """All attacks, published one after the other before anything is looked at."""

    stage: Stage
    struck: dict[Attack, Struck]


@pytest.fixture(scope="module")
def barrage(stage: Stage) -> Barrage:
    """Everything at once."""
    return Barrage(stage, {attack: attack(stage, SystemClock().now()) for _, attack in CASES})


def test_every_reason_is_attacked() -> None:
    """A reason that no attack provokes is a check that nobody would miss."""
    assert set(ATTACKS) == set(Reason)


@pytest.mark.parametrize(
    ("reason", "attack"), CASES, ids=[f"{reason}-{attack.__name__}" for reason, attack in CASES]
)
def test_an_attack_is_answered_or_quarantined(barrage: Barrage, reason: Reason, attack: Attack) -> None:
    """An established sender gets a signed receipt with the reason; what nobody signed is parked with its bytes."""
    stage, struck = barrage.stage, barrage.struck[attack]
    assert (struck.signer is None) == (reason in UNESTABLISHED)
    if struck.signer is None:
        parked = stage.quarantined(struck.source)
        assert parked.reason == reason
        assert parked.value == (struck.value if struck.kept else None)
        return
    value, receipt = stage.receipt_for(struck.source)
    assert (receipt.event, receipt.reason) == (Event.SUBMISSION_REJECTION, reason)
    assert receipt.sender == struck.signer
    assert receipt.outcomes == ()
    assert len(stage.in_inbox(struck.signer, value)) == 1


def test_no_attack_reaches_an_inbox_and_the_partitions_keep_moving(barrage: Barrage) -> None:
    """After all of it good documents pass in every partition that was attacked, and no inbox holds an attack."""
    stage = barrage.stage
    for sender in {struck.signer or OFFICE for struck in barrage.struck.values()} - {"H56.90001"}:
        stage.settled(sender)
    attacks = {struck.value for struck in barrage.struck.values()}
    inboxes = [each for each in stage.tail.messages if (each.topic() or "").startswith(f"{PREFIX}inbox.")]
    assert not [each for each in inboxes if each.value() in attacks]


def test_logs_and_metrics_tell_nothing_of_the_content(barrage: Barrage) -> None:
    """Neither subject nor content of a document, nor a line of an attacker's making, is in logs or metrics."""
    stage = barrage.stage
    stage.settled()
    told = stage.log.read_text("utf-8") + stage.router.metrics
    assert "submission_not_delivered" in told
    for secret in ("tố cáo", "t\\u1ed1 c\\u00e1o", "FAKE", "nội dung mật", SECRET_CONTENT.decode()):
        assert secret not in told
