"""Writes that the broker refuses: the router waits, loses and skips nothing, and goes on when it is mended."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from axis.connection import librdkafka_options
from axis.core.partitioning import partition_of
from axis.core.topics import QUARANTINE, RECEIPTS, SUBMISSIONS_STANDARD, inbox_topic
from axis.settings import Settings
from axis.testing.broker import ADMIN_NAME
from tests.configuration import LANE_PARTITIONS
from tests.fault.installation import Installation, impatient
from tests.fault.judging import assert_both_hold, assert_holds, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import BIM_SON, DIEN_LU, OFFICE, QUANG_TRUNG, Senders
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

Fault = Callable[[Settings], Iterator[None]]


def admin_of(settings: Settings) -> AdminClient:
    """Return the administrator's client."""
    return AdminClient({**librdkafka_options(ADMIN_NAME, settings.broker), "log_level": "0"})


def alter(settings: Settings, topic: str, name: str, value: str) -> str:
    """Set a setting of a topic and return what it was."""
    admin, resource = admin_of(settings), ConfigResource(ResourceType.TOPIC, topic)
    before = admin.describe_configs([resource])[resource].result()[name].value
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result()
    return str(before)


def too_small_a_quarantine(settings: Settings) -> Iterator[None]:
    """The quarantine takes smaller records than come."""
    before = alter(settings, QUARANTINE, "max.message.bytes", "1024")
    try:
        yield
    finally:
        alter(settings, QUARANTINE, "max.message.bytes", before)


def too_small_a_legal_record(settings: Settings) -> Iterator[None]:
    """The topic of receipts takes smaller records than a receipt is."""
    before = alter(settings, RECEIPTS, "max.message.bytes", "256")
    try:
        yield
    finally:
        alter(settings, RECEIPTS, "max.message.bytes", before)


def denied_inbox(settings: Settings) -> Iterator[None]:
    """The router may not write into one inbox."""
    admin, principal = admin_of(settings), f"User:{settings.node}"
    place = (ResourceType.TOPIC, inbox_topic(QUANG_TRUNG), ResourcePatternType.LITERAL)
    binding = AclBinding(*place, principal, "*", AclOperation.WRITE, AclPermissionType.DENY)
    admin.create_acls([binding])[binding].result()
    try:
        yield
    finally:
        chosen = AclBindingFilter(*place, principal, "*", AclOperation.WRITE, AclPermissionType.DENY)
        admin.delete_acls([chosen])[chosen].result()


@pytest.mark.parametrize("fault", [too_small_a_quarantine, too_small_a_legal_record, denied_inbox])
async def test_a_router_whose_writes_are_refused_waits_and_goes_on_when_it_is_mended(
    site: Installation, oracle: Oracle, fault: Fault
) -> None:
    """Nothing is committed without the record that cannot be written, and nothing is lost when it can be."""
    router = WatchedRouter(impatient(site.settings))
    async with routing(router), Senders.open(site.settings, [OFFICE, BIM_SON]) as senders:
        with contextmanager(fault)(site.settings):
            await senders.append_garbage(size=4096)
            await (await senders.prepare(OFFICE, (QUANG_TRUNG, DIEN_LU))).append()
            await senders.publish_hard_cases(4)
            await eventually(lambda: len(router.watch.failures) > 1, "the router tries again")
            stuck = await asyncio.to_thread(oracle.lag)
            assert stuck[SUBMISSIONS_STANDARD, partition_of(OFFICE, LANE_PARTITIONS)] > 0
        await routed(oracle)
    await assert_both_hold(oracle)


async def test_a_write_that_is_refused_holds_up_nobody_elses_documents(
    site: Installation, oracle: Oracle
) -> None:
    """While one sender's batch cannot be written, those of senders in other partitions are delivered."""
    router = WatchedRouter(impatient(site.settings))
    async with routing(router), Senders.open(site.settings, [OFFICE, BIM_SON]) as senders:
        with contextmanager(denied_inbox)(site.settings):
            await (await senders.prepare(OFFICE, (QUANG_TRUNG,))).append()
            await eventually(lambda: router.watch.failures, "the router is refused")
            free = await senders.prepare(BIM_SON, (DIEN_LU,))
            await free.append()
            await eventually(
                lambda: asyncio.to_thread(oracle.deliveries, free.submission.digest),
                "the other sender's document is delivered",
            )
        await routed(oracle)
    await assert_holds(oracle)
