"""Waiting for the end and asking the oracles."""

import asyncio

from axis.apps.audit import reconcile
from axis.clock import SystemClock
from tests.fault.oracle import Oracle


async def routed(oracle: Oracle, seconds: float = 60.0) -> None:
    """Return when everything submitted so far is routed."""
    await asyncio.to_thread(oracle.wait_until_routed, seconds)


async def assert_holds(oracle: Oracle) -> None:
    """Fail unless submissions, deliveries and receipts agree; to be called when everything is routed."""
    findings = await asyncio.to_thread(oracle.findings)
    assert not findings, "\n".join(findings)


async def assert_both_hold(oracle: Oracle) -> None:
    """As `assert_holds`; besides, the axis's own reconciliation must find nothing in what was submitted since the last time."""
    await assert_holds(oracle)
    since, oracle.reconciled_until = oracle.reconciled_until, SystemClock().now()
    report = await reconcile(oracle.settings, since=since)
    assert report.holds, report.findings
