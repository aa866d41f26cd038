"""The steps of the demo in their order, and how they are played."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from axis.apps.demo import accounting, crash, handover, overtaking, refusals, repetition
from axis.apps.demo.claims import Findings, Phrase
from axis.apps.demo.stage import Stage
from axis.settings import Settings


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demo.

    Attributes:
        title: what happens in it.
        play: does it, and returns what was found.
    """

    title: Phrase
    play: Callable[[Stage], Awaitable[Findings]]


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step that was played, with its number from 1."""

    number: int
    step: Step
    findings: Findings


Announce = Callable[[int, Step], None]

STEPS: Final = tuple(
    Step(module.TITLE, module.play)
    for module in (handover, overtaking, refusals, repetition, crash, accounting)
)


async def perform(
    settings: Settings, steps: Sequence[Step] = STEPS, *, announce: Announce = lambda _number, _step: None
) -> AsyncIterator[StepResult]:
    """Play steps on a running site, in order, and yield each result when it is there.

    A step whose claims do not hold does not end the performance: what comes after it is found out as well.

    Args:
        settings: of the site; its router is started and stopped here.
        steps: what is played.
        announce: told the number and the step that begins.

    Raises:
        Unavailable: router or broker do not answer; what was found until then has been yielded.
    """
    async with Stage.open(settings) as stage:
        for number, step in enumerate(steps, 1):
            announce(number, step)
            yield StepResult(number, step, await step.play(stage))


def all_held(results: Sequence[StepResult], steps: Sequence[Step] = STEPS) -> bool:
    """Tell whether every step was played and every claim of it held."""
    return len(results) == len(steps) and all(result.findings.held for result in results)
