"""Waiting for the end and asking both oracles."""

import asyncio

from axis.apps.audit import reconcile
from tests.fault.oracle import Oracle


async def routed(oracle: Oracle, seconds: float = 60.0) -> None:
    """Return when everything submitted so far is routed."""
    await asyncio.to_thread(oracle.wait_until_routed, seconds)


async def assert_holds(oracle: Oracle) -> None:
    """Fail unless submissions, deliveries and receipts agree by both oracles; to be called when everything is routed."""
    since = oracle.judged_until
    findings = await asyncio.to_thread(oracle.findings)
    assert not findings, "\n".join(findings)
    report = await reconcile(oracle.settings, since=since)
    assert report.holds, report.findings
