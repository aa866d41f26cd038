"""Where the nodes of the broker listen, and their properties file."""

import socket
from pathlib import Path

from axis.testing.broker.layout import settle
from axis.testing.broker.properties import render


def test_chooses_every_taken_port_of_a_cluster_anew(tmp_path: Path) -> None:
    """A remembered port that is taken is replaced in all addresses made of it; the free ones stay."""
    before = settle(tmp_path, 3)
    with socket.create_server(("127.0.0.1", before.nodes[1].controller)):
        after = settle(tmp_path, 3)
    assert after.cluster_id == before.cluster_id
    assert after.bootstrap_servers == before.bootstrap_servers
    assert after.nodes[1].controller != before.nodes[1].controller
    assert f"2@127.0.0.1:{after.nodes[1].controller}" in after.voters
    assert settle(tmp_path, 3) == after


def test_writes_properties_that_java_reads() -> None:
    """Characters beyond ASCII and backslashes are escaped as a Java properties file asks."""
    assert render({"log.dirs": "/dữ/𝔄\\x"}) == "log.dirs=/d\\u1eef/\\ud835\\udd04\\\\x\n"
