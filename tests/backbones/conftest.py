"""A web server on this machine that knows ranges and can misbehave, and official state dicts with random values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

Shapes = dict[str, tuple[int, ...]]


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


def _vit_shapes(dim: int, depth: int, patch: int = 16, tokens: int = 197) -> Shapes:
    """Fact sheet masked.md 0.1: names of timm's (DINO's, DeiT's, MAE's) Vision Transformer."""
    shapes: Shapes = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, tokens, dim),
        "patch_embed.proj.weight": (dim, 3, patch, patch),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
    }
    for i in range(depth):
        for part, out, inner in (
            ("attn.qkv", 3 * dim, dim),
            ("attn.proj", dim, dim),
            ("mlp.fc1", 4 * dim, dim),
            ("mlp.fc2", dim, 4 * dim),
        ):
            shapes |= {f"blocks.{i}.{part}.weight": (out, inner), f"blocks.{i}.{part}.bias": (out,)}
        for part in ("norm1", "norm2"):
            shapes |= {f"blocks.{i}.{part}.weight": (dim,), f"blocks.{i}.{part}.bias": (dim,)}
    return shapes


def _batch_norm(name: str, channels: int) -> Shapes:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def _resnet50_shapes(width: int = 64) -> Shapes:
    """torchvision's names: bottleneck blocks 3, 4, 6, 3; the first block of a stage has a projection shortcut."""
    shapes: Shapes = {"conv1.weight": (width, 3, 7, 7), **_batch_norm("bn1", width)}
    channels = width
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        inner, out = width * 2 ** (stage - 1), 4 * width * 2 ** (stage - 1)
        for block in range(count):
            at = f"layer{stage}.{block}"
            shapes |= {f"{at}.conv1.weight": (inner, channels, 1, 1), **_batch_norm(f"{at}.bn1", inner)}
            shapes |= {f"{at}.conv2.weight": (inner, inner, 3, 3), **_batch_norm(f"{at}.bn2", inner)}
            shapes |= {f"{at}.conv3.weight": (out, inner, 1, 1), **_batch_norm(f"{at}.bn3", out)}
            if block == 0:
                shapes |= {f"{at}.downsample.0.weight": (out, channels, 1, 1)}
                shapes |= _batch_norm(f"{at}.downsample.1", out)
            channels = out
    return shapes


def _filled(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes.items()}
    return {name: t.abs() + 0.5 if name.endswith("running_var") else t for name, t in tensors.items()}


@pytest.fixture(scope="session")
def vit_tensors() -> Callable[..., dict[str, torch.Tensor]]:
    """``vit_tensors(dim, depth, patch, tokens, seed=0)``."""
    return lambda *sizes, seed=0: _filled(_vit_shapes(*sizes), seed)


@pytest.fixture(scope="session")
def resnet50_tensors() -> Callable[..., dict[str, torch.Tensor]]:
    return lambda width=64, seed=0: _filled(_resnet50_shapes(width), seed)
