"""The order of findings."""

import itertools

from axis.core.findings import Finding, FindingKind


def test_findings_are_ordered_by_place_with_offsets_as_numbers() -> None:
    """The same history has the same report, in whatever order its partitions were read."""
    kind = FindingKind.RECEIPT_UNFOUNDED
    places = ["axis.receipts/2/9", "axis.receipts/2/10", "axis.receipts/10/1", "axis.submissions.standard/1"]
    findings = [Finding(kind, place, "why") for place in places]
    for shuffled in itertools.permutations(findings):
        assert sorted(shuffled, key=lambda each: each.order) == findings
