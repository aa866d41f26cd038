"""A bucket on loopback that speaks the calls of S3 a blob store makes, with the rights and the faults of a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5, sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

BUCKET: Final = "papers"


@dataclass(slots=True)
class Bucket:
    """The objects, and who may do what with them.

    Attributes:
        objects: content by key.
        exists: without it, everything is answered by 404.
        listable: whether `s3:ListBucket` is granted: without it, a missing object is answered by 403.
        readable: whether `s3:GetObject` is granted.
        writable: whether `s3:PutObject` is granted.
        broken: keys whose requests are answered by 500.
        closed: keys that are there and answered by 403.
        uploads: parts by their number, of uploads that are not complete.
        endpoint: its address.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    exists: bool = True
    listable: bool = True
    readable: bool = True
    writable: bool = True
    broken: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    endpoint: str = ""

    def status_for(self, method: str, key: str) -> HTTPStatus:
        """Return what S3 answers; for a missing object, by the rights to list."""
        if not self.exists:
            return HTTPStatus.NOT_FOUND
        if key in self.broken:
            return HTTPStatus.INTERNAL_SERVER_ERROR
        if method not in {"GET", "HEAD"}:
            return HTTPStatus.OK if self.writable else HTTPStatus.FORBIDDEN
        if not self.readable or key in self.closed:
            return HTTPStatus.FORBIDDEN
        if key not in self.objects:
            return HTTPStatus.NOT_FOUND if self.listable else HTTPStatus.FORBIDDEN
        return HTTPStatus.OK


class _Requests(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def do_HEAD(self) -> None:
        self._answer_content()

    def do_GET(self) -> None:
        self._answer_content()

    def do_PUT(self) -> None:
        content = self._received()
        key, query = self._asked()
        status = self.bucket.status_for("PUT", key)
        if status is HTTPStatus.OK:
            if self.headers["x-amz-content-sha256"] != sha256(content).hexdigest():
                status = HTTPStatus.BAD_REQUEST
            elif "uploadId" in query:
                self.bucket.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = content
            else:
                self.bucket.objects[key] = content
        self._answer(status, tag=_tag(content))

    def do_POST(self) -> None:
        self._received()
        key, query = self._asked()
        status = self.bucket.status_for("POST", key)
        body = b""
        if status is HTTPStatus.OK and "uploadId" in query:
            parts = self.bucket.uploads.pop(query["uploadId"][0])
            self.bucket.objects[key] = b"".join(parts[number] for number in sorted(parts))
            body = f"<R><ETag>{_tag(self.bucket.objects[key])}</ETag></R>".encode()
        elif status is HTTPStatus.OK:
            upload = uuid4().hex
            self.bucket.uploads[upload] = {}
            body = f"<R><UploadId>{upload}</UploadId></R>".encode()
        self._answer(status, body)

    def log_message(self, *_: object) -> None:
        """Say nothing: `calls` has it."""

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        url = urlsplit(self.path)
        return url.path.removeprefix(f"/{BUCKET}/"), parse_qs(url.query)

    def _received(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer_content(self) -> None:
        key, _ = self._asked()
        status = self.bucket.status_for(self.command, key)
        content = self.bucket.objects[key] if status is HTTPStatus.OK else b""
        self._answer(status, content, tag=_tag(content))

    def _answer(self, status: HTTPStatus, body: bytes = b"", tag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 03:00:00 GMT")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


@contextmanager
def serve() -> Iterator[Bucket]:
    """Serve an empty bucket at its `endpoint` until the end of the block."""
    bucket = Bucket()
    handler = type("Requests", (_Requests,), {"bucket": bucket})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        bucket.endpoint = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield bucket
        finally:
            server.shutdown()
            serving.join()
