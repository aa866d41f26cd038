"""What the command `axis replay` reads from the beginning of every topic."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from axis.consumers.replay import Verdict
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD, inbox_topic
from axis.errors import Unavailable

LANES: Final = frozenset({SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD})
_COMMAND: Final = ("-P", "-m", "axis.cli.main", "replay", "--output", "jsonl", "--data")
_DEADLINE_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was read.

    Attributes:
        path: one JSON object per record, without content.
        counts: records by topic, kind and verdict.
    """

    path: Path
    counts: Counter[tuple[str, str, str]]

    def submissions(self) -> int:
        """Count the records of both lanes."""
        return sum(count for (topic, _, _), count in self.counts.items() if topic in LANES)

    def in_inboxes(self, *kinds: str) -> int:
        """Count the records of these kinds in all inboxes."""
        return sum(
            count
            for (topic, kind, _), count in self.counts.items()
            if topic.startswith(inbox_topic("")) and kind in kinds
        )

    def unverified_beyond_lanes(self) -> int:
        """Count what lies behind the router without a signature that holds; only the lanes may hold forgeries."""
        good = {Verdict.VERIFIED, Verdict.PARKED}
        return sum(
            count
            for (topic, _, verdict), count in self.counts.items()
            if topic not in LANES and verdict not in good
        )


async def replay(folder: Path) -> Reading:
    """Run the command on a running installation.

    Raises:
        Unavailable: it failed or took too long; says what it said last.
    """
    path = folder / "replay.jsonl"
    with path.open("wb") as output:
        command = await asyncio.create_subprocess_exec(
            sys.executable, *_COMMAND, str(folder), stdout=output, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                _, said = await command.communicate()
        except TimeoutError as error:
            raise Unavailable(f"`axis replay` took longer than {_DEADLINE_SECONDS:g} s") from error
        finally:
            with suppress(ProcessLookupError):
                command.kill()
    if command.returncode:
        last = said.decode(errors="replace").strip()
        raise Unavailable(f"`axis replay` ended with {command.returncode}: {last}")
    return Reading(path, _counted(path))


def _counted(path: Path) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    with path.open(encoding="utf-8") as rows:
        for line in rows:
            row = json.loads(line)
            topic = row["place"].rsplit("/", 2)[0]
            counts[topic, row["what"], row["verdict"]] += 1
    return counts
