"""The Docker back end: one or three nodes in containers, through testcontainers (extra `docker`)."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

# The checkout's own docker/ directory hides the library from the type checker.
from docker.errors import APIError, DockerException, NotFound  # type: ignore[import-not-found]
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from axis.errors import Bilingual, ConfigurationError, Unavailable
from axis.testing.broker.interface import OwnBroker, wait_until_served
from axis.testing.broker.layout import Layout, settle
from axis.testing.broker.lock import LOCK_NAME, lock
from axis.testing.broker.runtime import SHORT_LIVED
from axis.testing.pki import DevelopmentPki

DEFAULT_IMAGE = "apache/kafka:4.2.1"
"""Overridden by `$AXIS_KAFKA_IMAGE`; any image with the jars in /opt/kafka/libs, and Java and `flock` on its path, will do."""

_START_SECONDS = 120.0
_STOP_SECONDS = 15
_LAST_BYTES = 3000
_HOME = "/var/lib/axis-broker"
_OWNER = "/run/axis/owner"
_OWNED = "axis.owner"
_RUN = (
    # Process 1 is the broker from `exec` on. Its owner holds the lock for as long as it lives, however it ends. Before the
    # broker listens to signals the kernel keeps them from process 1, so it is told until it has ended.
    f"(flock -s {_OWNER} true && while kill -TERM 1; do sleep 1; done) & "
    f"if [ ! -f {_HOME}/log/meta.properties ]; then"
    f" java {' '.join(SHORT_LIVED)} -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted"
    f' --cluster-id="$CLUSTER_ID" --config={_HOME}/server.properties || exit 1; fi;'
    f" exec java {' '.join(SHORT_LIVED)} -Xmx512m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError"
    f" -cp '/opt/kafka/libs/*' kafka.Kafka {_HOME}/server.properties"
)


def engine_answers() -> bool:
    """Whether a Docker engine answers on this machine."""
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    # Asked first: the library leaves its socket open where nobody listens.
    if address.startswith("unix://") and not _listens(address.removeprefix("unix://")):
        return False
    try:
        client = DockerClient().client
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def container_of(image: str) -> DockerContainer:
    """Returns a container of an image, not yet started.

    Raises:
        ConfigurationError: the image is not here and cannot be pulled.
    """
    if not _obtainable(image):
        raise ConfigurationError(
            Bilingual(
                f"không có ảnh {image} trên máy này và không tải về được; dựng ảnh của Kafka bằng docker/build_base.sh java"
                " và docker/kafka_image.sh, hoặc ghi tên ảnh khác vào AXIS_KAFKA_IMAGE",
                f"the image {image} is not here and cannot be pulled; build the broker's with "
                "docker/build_base.sh java and docker/kafka_image.sh, or name another in AXIS_KAFKA_IMAGE",
            )
        )
    if not _obtainable(testcontainers_config.ryuk_image):
        # Nothing would start while testcontainers waits for its reaper.
        testcontainers_config.ryuk_disabled = True
    return DockerContainer(image)


def _obtainable(image: str) -> bool:
    """Whether the image is here or a registry that is reached has it.

    Asked before use: the library leaves a connection open when a pull fails.
    """
    client = DockerClient().client
    try:
        return bool(client.images.list(name=image) or client.images.get_registry_data(image))
    except APIError:
        return False
    finally:
        client.close()


class DockerBroker(OwnBroker):
    """One or three nodes, each in a container that shares this machine's network.

    So they listen on loopback alone, at the addresses and with the configuration of the embedded ones, and need no
    network of the engine's own. The data directory is mounted into the containers, survives them, and belongs to the
    user who started them.

    Args:
        data_dir: the directory that holds everything of this broker; made if missing.
        pki: issues the brokers' certificate and the clients'.
        nodes: 1, or 3 (replication factor 3, two in sync).
        ports: client ports to insist on, one per node; free ones are chosen when not given.
        grant_without_acl: whether what no ACL names is open to every authenticated client.

    Raises:
        ConfigurationError: an argument has a value that is not supported.
    """

    def __init__(
        self,
        data_dir: Path,
        pki: DevelopmentPki,
        *,
        nodes: int = 1,
        ports: Sequence[int] = (),
        grant_without_acl: bool = True,
    ) -> None:
        super().__init__(data_dir, pki, nodes=nodes, ports=ports, grant_without_acl=grant_without_acl)
        self._image = os.environ.get("AXIS_KAFKA_IMAGE", DEFAULT_IMAGE)
        self._running: dict[int, DockerContainer] = {}
        self._lock: int | None = None

    def start(self) -> None:
        """Starts all nodes and returns when the cluster serves (`Broker.start`)."""
        if self._lock is not None:
            return
        if not engine_answers():
            raise ConfigurationError(
                Bilingual(
                    "Docker không trả lời; khởi động bằng: systemctl start docker",
                    "no Docker engine answers; start it with: systemctl start docker",
                )
            )
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock(self._data_dir / LOCK_NAME)
        try:
            _remove_left(_identity(self._lock))
            self._layout = settle(self._data_dir, self.nodes, self._ports)
            self._launch(self._layout, *range(1, self.nodes + 1))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops all nodes in order and removes their containers; keeps the data."""
        for container in self._running.values():
            # All at once: one alone would wait for the others of its quorum. APIError: it has ended already.
            with suppress(NotFound, APIError):
                container.get_wrapped_container().kill(signal="SIGTERM")
        try:
            for container in self._running.values():
                with suppress(NotFound):  # somebody removed it
                    container.get_wrapped_container().stop(timeout=_STOP_SECONDS)
                    container.stop()
        finally:
            # Whatever the engine says: without its owner's lock a container ends by itself.
            self._running.clear()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def check(self) -> None:
        """Returns at once unless a container has ended that nobody stopped or killed (`Broker.check`)."""
        for container in self._running.values():
            try:
                container.reload()
            except (DockerException, OSError) as error:
                raise Unavailable(
                    Bilingual(
                        f"không hỏi được trạng thái container của Kafka: {error}",
                        f"the broker's container does not answer for itself: {error}",
                    )
                ) from error
            if container.status != "running":
                raise Unavailable(_ended(container))

    def kill(self, node: int) -> None:
        """Kills a node and removes its container (`OwnBroker.kill`)."""
        if container := self._running.pop(node, None):
            with suppress(NotFound):  # somebody removed it
                container.stop()  # by force, and at once

    def restart(self, node: int) -> None:
        """Starts a node that is down and returns when the cluster lists it (`OwnBroker.restart`)."""
        if self._layout is None or self._lock is None:
            raise ConfigurationError(f"node {node} cannot start before the broker; call start()")
        if node in self._running:
            with suppress(NotFound):  # somebody removed it
                self._running[node].reload()
                if self._running[node].status == "running":
                    return
            self.kill(node)
        self._launch(self._layout, node)

    def _launch(self, layout: Layout, *nodes: int) -> None:
        for node in nodes:
            container = self._described(layout, node)
            container.start()
            self._running[node] = container
        self._await()

    def _described(self, layout: Layout, node: int) -> DockerContainer:
        properties = self._write_properties(
            layout,
            node,
            log=Path(_HOME) / "log",
            certificate=Path("/run/axis/broker.pem"),
            ca=Path("/run/axis/ca.pem"),
        )
        return (
            container_of(self._image)
            .with_env("CLUSTER_ID", layout.cluster_id)
            .with_command(["sh", "-c", _RUN])
            .with_volume_mapping(properties.parent, _HOME, "rw")
            .with_volume_mapping(self._certificate(), "/run/axis/broker.pem", "ro")
            .with_volume_mapping(self._pki.ca_path, "/run/axis/ca.pem", "ro")
            .with_volume_mapping(self._data_dir / LOCK_NAME, _OWNER, "ro")
            .with_kwargs(
                network_mode="host",
                user=f"{os.getuid()}:{os.getgid()}",
                labels={_OWNED: _identity(self._lock)},
            )
        )

    def _await(self) -> None:
        deadline = monotonic() + _START_SECONDS
        while True:
            try:
                wait_until_served(self, len(self._running), min(deadline, monotonic() + 1))
            except Unavailable as error:
                for container in self._running.values():
                    container.reload()
                    if container.status != "running" or monotonic() > deadline:
                        waited, ended = Bilingual.of(error), _ended(container)
                        raise Unavailable(
                            Bilingual(f"{waited.vietnamese}; {ended.vietnamese}", f"{waited}; {ended}")
                        ) from error
            else:
                return


def _identity(lock: int | None) -> str:
    """Returns what tells a data directory from any other, whatever path leads to it: its lock file's."""
    if lock is None:
        raise AssertionError("containers are made under the lock")
    status = os.fstat(lock)
    return f"{status.st_dev}:{status.st_ino}"


def _remove_left(owner: str) -> None:
    """Removes the containers of an owner of this directory that was killed; they end by themselves, and stay."""
    client = DockerClient().client
    try:
        for container in client.containers.list(all=True, filters={"label": f"{_OWNED}={owner}"}):
            with suppress(NotFound, APIError):
                container.stop(timeout=_STOP_SECONDS)
                container.remove()
    finally:
        client.close()


def _ended(container: DockerContainer) -> Bilingual:
    """Says how a container is and shows the end of its log."""
    end = b"".join(container.get_logs())[-_LAST_BYTES:].decode(errors="replace")
    name = container.get_wrapped_container().name
    return Bilingual(
        f"container {name} đang ở trạng thái {container.status}; xem cuối nhật ký của nó (docker logs {name}) dưới đây",
        f"the container {name} is {container.status}; the end of its log (docker logs {name}):\n{end}",
    )
