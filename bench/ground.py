"""The ground that everything is measured on: one site with a broker of its own and a directory of 166 communes.

The shipped directory names ten communes with their real codes; it is filled up here with invented ones, so that a
broadcast goes to as many inboxes as the province has communes and wards.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from axis.apps import site
from axis.apps.topics import load_declaration
from axis.core.addressing import Level, OrganisationCode
from axis.core.directory import Directory
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.settings import Settings
from axis.storage.directory_files import load_directory
from axis.testing.broker import EmbeddedBroker

COMMUNES: Final = 166
PROVINCE: Final = OrganisationCode("H56")
_FIRST_INVENTED: Final = 90_000


@dataclass(frozen=True, slots=True)
class Ground:
    """A running site.

    Attributes:
        settings: of the site, with the broker's addresses; the router takes any free telemetry port.
        directory: who exists.
        lane_partitions: partitions of each submission lane.
        broker_pid: the JVM of the broker; None where it does not run as a child of this program.
        output: where dumps and figures go.
    """

    settings: Settings
    directory: Directory
    lane_partitions: int
    broker_pid: int | None
    output: Path

    @property
    def communes(self) -> tuple[OrganisationCode, ...]:
        """The 166 communes and wards."""
        return tuple(
            each.code for each in self.directory.organisations if each.level in {Level.COMMUNE, Level.WARD}
        )


@contextmanager
def prepared(folder: Path, output: Path) -> Iterator[Ground]:
    """Start a site in a folder, made new or as an earlier bench left it, and stop it at the end.

    Args:
        folder: the site's data folder.
        output: where dumps and figures go.

    Raises:
        ConfigurationError: something on this machine has to be changed first; says what.
        Unavailable: the broker does not come up.
    """
    config = folder / "config"
    if not config.exists():
        _synthesise(site.configuration_folder(), config)
    with site.start(
        folder / "site", config, lambda doing: print(f"… {doing}", flush=True), telemetry_port=0
    ) as running:
        settings = running.settings
        broker = running.broker
        yield Ground(
            settings=settings,
            directory=load_directory(settings.directory.folder, settings.directory.enrolment),
            lane_partitions=next(
                each.partitions
                for each in load_declaration(config / "topics.toml").topics
                if each.name == SUBMISSIONS_STANDARD
            ),
            broker_pid=broker.pid(1) if isinstance(broker, EmbeddedBroker) else None,
            output=output,
        )


def _synthesise(shipped: Path, config: Path) -> None:
    """Copy the shipped configuration and add invented communes up to `COMMUNES`."""
    shutil.copytree(shipped / "directory", config / "directory")
    shutil.copyfile(shipped / "topics.toml", config / "topics.toml")
    there = sum(
        each.level in {Level.COMMUNE, Level.WARD}
        for each in load_directory(config / "directory").organisations
    )
    tables = [
        f'[[organisation]]\ncode = "H56.{_FIRST_INVENTED + number}"\n'
        f'name = "Ủy ban nhân dân xã Thử nghiệm {number:03d}"\n'
        'level = "commune"\nparent = "H56"\nvalid_from = 2025-07-01\n'
        for number in range(1, COMMUNES - there + 1)
    ]
    (config / "directory" / "invented.toml").write_text("\n".join(tables), "utf-8")
