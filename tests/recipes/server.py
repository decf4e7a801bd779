"""A server on loopback that can go wrong: cut connections, refuse, change its files, ignore ranges."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hapsight.recipes.geuvadis import RemoteFile


@dataclass
class Place:
    """What is served.

    Attributes
    ----------
    cut
        Name -> bytes after which the connection of the next GET is cut, once.
    asked
        Method, name and range of every request.
    """

    files: dict[str, bytes]
    url: str = ""
    cut: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    no_size: bool = False
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def file(self, name: str, *, md5: bool = True) -> RemoteFile:
        """The file as a recipe would know it."""
        return RemoteFile(name, f"{self.url}/{name}", "a file", self.md5(name) if md5 else None)

    def md5(self, name: str) -> str:
        return hashlib.md5(self.files[name], usedforsecurity=False).hexdigest()

    def tag(self, name: str) -> str:
        return f'"{self.md5(name)}"'


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Place]:
    """Serve these files."""
    place = Place(files)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(send=False)

        def do_GET(self) -> None:
            self._answer(send=True)

        def _answer(self, send: bool) -> None:
            name, asked = self.path.lstrip("/"), self.headers.get("Range")
            place.asked.append((self.command, name, asked))
            if name not in place.files:
                self.send_error(404, "Not Found")
                return
            content, start = place.files[name], 0
            same = self.headers.get("If-Range") in (None, place.tag(name))
            if asked and place.ranges and same:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_error(416, "Range Not Satisfiable")
                    return
            self.send_response(206 if start else 200)
            if not place.no_size:
                self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", place.tag(name))
            self.end_headers()
            if send:
                self.wfile.write(content[start : place.cut.pop(name, len(content))])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    place.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
