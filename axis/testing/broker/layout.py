"""Which addresses the nodes of a broker have, remembered in its data directory."""

import base64
import json
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import SystemRandom

from axis.errors import Bilingual, ConfigurationError

HOST = "127.0.0.1"
LAYOUT_NAME = "layout.json"

# Below the range that the kernel takes outgoing ports from (ip_local_port_range), so that no client can sit on
# the port of a node that is down for a moment. Drawn from the system's randomness: two runs with one seed differ.
_FREE_CHOICE = range(20000, 32000)
_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The TCP ports of one node's three listeners."""

    client: int
    internal: int
    controller: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The cluster's identity and the ports of its nodes; node N is `nodes[N - 1]`."""

    cluster_id: str
    nodes: tuple[NodePorts, ...]

    @property
    def bootstrap_servers(self) -> str:
        """The client listeners, as `host:port,host:port`."""
        return ",".join(f"{HOST}:{ports.client}" for ports in self.nodes)

    @property
    def voters(self) -> str:
        """The controllers, in the form of `controller.quorum.voters`."""
        return ",".join(f"{number}@{HOST}:{ports.controller}" for number, ports in enumerate(self.nodes, 1))


def settle(data_dir: Path, nodes: int, fixed: Sequence[int] = ()) -> Layout:
    """Decides the layout for a start: the remembered one, with every port that is now taken chosen anew.

    Args:
        data_dir: where the layout is remembered (`LAYOUT_NAME`).
        nodes: how many nodes are asked for.
        fixed: client ports that the caller insists on, one per node, or none.

    Raises:
        ConfigurationError: a fixed port is taken, or the directory belongs to a broker with another number of nodes.
    """
    faults = [
        Bilingual(
            f"cổng {port} đã bị chương trình khác chiếm; hãy dừng chương trình đó (tìm bằng: ss -ltnp 'sport = :{port}')"
            " hoặc cho Kafka cổng khác",
            f"port {port} is taken by another program; stop it (find it with: ss -ltnp 'sport = :{port}') "
            "or give the broker another port",
        )
        for port in fixed
        if not is_free(port)
    ]
    if faults:
        raise ConfigurationError(*faults)
    path = data_dir / LAYOUT_NAME
    known = _read(path) if path.exists() else Layout(_new_cluster_id(), (NodePorts(0, 0, 0),) * nodes)
    if len(known.nodes) != nodes:
        raise ConfigurationError(
            Bilingual(
                f"{data_dir} chứa Kafka gồm {len(known.nodes)} nút, yêu cầu là {nodes}; hãy yêu cầu đúng số nút đó hoặc chọn"
                " thư mục khác",
                f"{data_dir} holds a broker of {len(known.nodes)} node(s), {nodes} were asked for; "
                "ask for the same number or give another directory",
            )
        )
    layout = _mend(known, fixed)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(asdict(layout), indent=1), encoding="utf-8")
    scratch.replace(path)
    return layout


def is_free(port: int) -> bool:
    """Whether a listener can be opened on the port now."""
    with socket.socket() as probe:
        # As Java does on POSIX: connections of a former listener that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _mend(known: Layout, fixed: Sequence[int]) -> Layout:
    used: set[int] = set(fixed)

    def keep_or_draw(port: int) -> int:
        if port == 0 or port in used or not is_free(port):
            port = _draw(used)
        used.add(port)
        return port

    nodes = []
    for index, ports in enumerate(known.nodes):
        client = fixed[index] if fixed else keep_or_draw(ports.client)
        nodes.append(NodePorts(client, keep_or_draw(ports.internal), keep_or_draw(ports.controller)))
    return replace(known, nodes=tuple(nodes))


def _draw(used: set[int]) -> int:
    source = SystemRandom()
    for _ in range(_DRAWS):
        port = source.choice(_FREE_CHOICE)
        if port not in used and is_free(port):
            return port
    raise ConfigurationError(
        Bilingual(
            f"không tìm được cổng trống từ {_FREE_CHOICE.start} đến {_FREE_CHOICE.stop - 1}; hãy dừng bớt các chương trình"
            " đang dùng những cổng đó",
            f"no free port was found between {_FREE_CHOICE.start} and {_FREE_CHOICE.stop - 1}; "
            "stop some of the programs that listen there",
        )
    )


def _read(path: Path) -> Layout:
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return Layout(written["cluster_id"], tuple(NodePorts(**ports) for ports in written["nodes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            Bilingual(
                f"{path} không phải là tệp bố trí (layout) của Kafka; khôi phục từ bản sao hoặc chọn thư mục khác",
                f"{path} is not the layout of a broker; restore it from a copy or give another directory",
            )
        ) from error


def _new_cluster_id() -> str:
    """A random Kafka Uuid: 16 bytes, base64url without padding; never with a leading dash, as Kafka's own."""
    while True:
        text = base64.urlsafe_b64encode(uuid.UUID(bytes=os.urandom(16), version=4).bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
