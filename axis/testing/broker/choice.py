"""Choosing the back end that this machine can run."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from axis.errors import Bilingual, ConfigurationError
from axis.testing.broker.embedded import EmbeddedBroker
from axis.testing.broker.interface import OwnBroker
from axis.testing.broker.jars import cached_jars
from axis.testing.broker.java import find_java
from axis.testing.pki import DevelopmentPki


def choose(data_dir: Path, pki: DevelopmentPki, *, nodes: int = 1, short_lived: bool = False) -> OwnBroker:
    """Returns a broker, not yet started: embedded where Java and the jars can be had, else in Docker.

    Args:
        data_dir: the directory that holds everything of the broker.
        pki: issues the broker's certificate and the clients'.
        nodes: 1 or 3.
        short_lived: whether a quick start matters more than throughput, as in tests.

    Raises:
        ConfigurationError: neither is possible; lists what is missing for each.
    """
    faults: list[str] = []
    try:
        find_java()
    except ConfigurationError as error:
        faults.extend(error.faults)
    if cached_jars() is None and shutil.which("mvn") is None:
        faults.append(
            Bilingual(
                "chưa có sẵn các tệp jar của Kafka và không có mvn trong PATH; cài bằng: apt-get install maven",
                "the broker's jars are not cached and mvn is not on PATH; install it with: apt-get install maven",
            )
        )
    if not faults:
        return EmbeddedBroker(data_dir, pki, nodes=nodes, short_lived=short_lived)
    if find_spec("testcontainers") is None:
        raise ConfigurationError(
            *faults,
            Bilingual(
                "cũng chưa cài phần chạy Kafka trong Docker; cài bằng: pip install 'axis-exchange[docker]'",
                "nor is the Docker back end installed: pip install 'axis-exchange[docker]'",
            ),
        )
    from axis.testing.broker.docker import DockerBroker, engine_answers  # noqa: PLC0415 - an extra

    if not engine_answers():
        raise ConfigurationError(
            *faults,
            Bilingual(
                "Docker cũng không trả lời; khởi động bằng: systemctl start docker",
                "nor does a Docker engine answer; start it with: systemctl start docker",
            ),
        )
    return DockerBroker(data_dir, pki, nodes=nodes)
