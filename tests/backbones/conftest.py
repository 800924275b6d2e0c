"""A web server on this machine that knows ranges and can misbehave, and official state dicts with random values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from proofs.proof import Shapes
from proofs.vits import vit_shapes


@dataclass
class Site:
    """``cut``: bytes after which each of the next replies stops; ``status``: codes of the next replies."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0
    address: str = ""

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(wanted)
            content = site.files.get(self.path.lstrip("/"))
            code = site.status.pop(0) if site.status else 200 if content is not None else 404
            if content is None or code != 200:
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start, condition = 0, self.headers.get("If-Range")
            if wanted and site.ranges and condition in {None, site.etag}:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                code = 206
            self.send_response(code)
            self.send_header("Content-Length", str(len(content) - start))
            if code == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if site.etag:
                self.send_header("ETag", site.etag)
            self.end_headers()
            body = content[start:]
            body = body[: site.cut.pop(0)] if site.cut else body
            site.sent += len(body)
            self.wfile.write(body)
            self.close_connection = True

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def _filled(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes.items()}


@pytest.fixture(scope="session")
def vit_tensors() -> Callable[..., dict[str, torch.Tensor]]:
    """``vit_tensors(dim, depth, patch, tokens, seed=0)``."""

    def make(dim: int, depth: int, patch: int = 16, tokens: int = 197, seed: int = 0) -> dict[str, torch.Tensor]:
        return _filled(vit_shapes(dim, depth, patch, patch * round((tokens - 1) ** 0.5)), seed)

    return make
