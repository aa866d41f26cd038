"""The embedded back end: Apache Kafka in child JVMs, one or three nodes, KRaft combined mode."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from axis.clock import SystemClock
from axis.errors import ConfigurationError
from axis.testing.broker.interface import PROPERTIES_NAME, OwnBroker, wait_until_served
from axis.testing.broker.jars import only_one
from axis.testing.broker.layout import Layout, settle
from axis.testing.broker.lock import LOCK_NAME, lock
from axis.testing.broker.node import Node
from axis.testing.broker.runtime import Runtime
from axis.testing.pki import DevelopmentPki

_START_SECONDS = 60.0


class EmbeddedBroker(OwnBroker):
    """A real broker without Docker: needs Java 17 and, on first use, Maven.

    Its data directory survives restarts; it is formatted only when it is new, and its addresses stay the same as
    long as their ports are free. However this program ends, no JVM stays behind.

    Args:
        data_dir: the directory that holds everything of this broker; made if missing.
        pki: issues the brokers' certificate and the clients'.
        nodes: 1, or 3 (replication factor 3, two in sync).
        ports: client ports to insist on, one per node; free ones are chosen when not given.
        grant_without_acl: whether what no ACL names is open to every authenticated client. True until the ACLs are
            derived from the directory; a site that has them says False, which is Kafka's own default.
        short_lived: whether a quick start matters more than throughput, as in tests.

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
        short_lived: bool = False,
    ) -> None:
        super().__init__(data_dir, pki, nodes=nodes, ports=ports, grant_without_acl=grant_without_acl)
        self._short_lived = short_lived
        self._runtime: Runtime | None = None
        self._lock: int | None = None
        self._running: dict[int, Node] = {}

    def start(self) -> None:
        """Starts all nodes and returns when the cluster serves (`Broker.start`)."""
        if self._lock is not None:
            return
        self._runtime = self._runtime or _prepared_runtime()
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock(self._data_dir / LOCK_NAME)
        try:
            self._layout = settle(self._data_dir, self.nodes, self._ports)
            self._configure(self._runtime, self._layout)
            self._launch(*range(1, self.nodes + 1))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops all nodes in order, killing one that does not end in time; keeps the data."""
        for node in self._running.values():
            node.ask_to_stop()
        for node in self._running.values():
            node.wait()
        self._running.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def check(self) -> None:
        """Returns at once unless a node has ended that nobody stopped or killed (`Broker.check`)."""
        for node in self._running.values():
            node.check()

    def kill(self, node: int) -> None:
        """Kills a node and returns when it is gone (`OwnBroker.kill`)."""
        if running := self._running.pop(node, None):
            running.kill()

    def restart(self, node: int) -> None:
        """Starts a node that is down and returns when the cluster lists it (`OwnBroker.restart`)."""
        if self._lock is None:
            raise ConfigurationError(f"node {node} cannot start before the broker; call start()")
        if node in self._running and not self._running[node].running():
            self.kill(node)
        if node not in self._running:
            self._launch(node)

    def pid(self, node: int) -> int:
        """The process id of a running node's JVM, for signals such as SIGSTOP.

        Raises:
            KeyError: the node is down.
        """
        return self._running[node].pid

    def _configure(self, runtime: Runtime, layout: Layout) -> None:
        unformatted = []
        for node in range(1, self.nodes + 1):
            log = self._home(node) / "log"
            properties = self._write_properties(layout, node, log=log)
            if not (log / "meta.properties").exists():
                unformatted.append(properties)
        runtime.format(layout.cluster_id, unformatted)

    def _launch(self, *nodes: int) -> None:
        if self._runtime is None or self._lock is None:
            raise AssertionError("nodes are launched after start() has found the runtime and the lock")
        deadline = monotonic() + _START_SECONDS
        for node in nodes:
            home = self._home(node)
            command = self._runtime.server(home / PROPERTIES_NAME, short_lived=self._short_lived)
            self._running[node] = Node(node, command, home / "server.log", self._lock)
        for node in nodes:
            self._running[node].await_started(deadline)
        wait_until_served(self, len(self._running), deadline)


def _prepared_runtime() -> Runtime:
    """Returns the runtime of this machine; on first use a broker that nobody uses starts and ends, to record its classes."""
    runtime = Runtime.find()
    if runtime.archive.exists():
        return runtime
    with (
        only_one(runtime.archive.with_suffix(".lock")),
        TemporaryDirectory(dir=runtime.archive.parent) as folder,
    ):
        if not runtime.archive.exists():
            recorded = Path(folder) / "classes.jsa"
            # A Java that can write none leaves this empty file, so that it is not asked again.
            recorded.touch()
            pki = DevelopmentPki.create_or_open(Path(folder) / "pki", now=SystemClock().now())
            broker = EmbeddedBroker(Path(folder) / "broker", pki, short_lived=True)
            broker._runtime = runtime.recorder(recorded)  # noqa: SLF001 - of this very class
            broker.start()
            broker.stop()
            recorded.rename(runtime.archive)
    return runtime
