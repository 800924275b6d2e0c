"""TorchScript archives: their tensors are read, and nothing of their program."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from proofs.clips import script
from torch import nn

from ssl_bench.backbones.readers import open_checkpoint, torchscript
from ssl_bench.errors import CheckpointError


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn_mask = torch.zeros(2, 2)
        self.attn = nn.MultiheadAttention(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attn(x, x, x, need_weights=False, attn_mask=self.attn_mask)[0]


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(Block())
        self.proj = nn.Parameter(torch.randn(6, 8).T)
        self.empty = nn.Parameter(torch.zeros(0, 3))
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.transformer.resblocks(self.visual(images).mean(dim=(2, 3))) @ self.proj


@pytest.fixture
def module() -> Tiny:
    torch.manual_seed(0)
    return Tiny().eval()


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_a_traced_module_gives_its_state_dict(half: bool, module: Tiny, tmp_path: Path) -> None:
    path = script(module.half() if half else module, tmp_path / "tiny.pt", _images(half))
    found, wanted = open_checkpoint(path), module.state_dict()
    assert set(found) == set(wanted)
    assert "visual.1.num_batches_tracked" in found
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


class Masked(nn.Module):
    """A plain tensor among its attributes: a scripted module keeps it, a traced one makes a constant of it."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_mask, self.weight = torch.ones(2, 2), nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attn_mask


def test_plain_attributes_of_a_scripted_module_are_there_too(tmp_path: Path) -> None:
    assert set(open_checkpoint(script(Masked(), tmp_path / "masked.pt"))) == {"attn_mask", "weight"}


def _images(half: bool) -> torch.Tensor:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return images.half() if half else images


def test_the_program_is_never_looked_at(module: Tiny, tmp_path: Path) -> None:
    """Nonsense in place of the code and of its constants changes nothing."""
    path = script(module, tmp_path / "tiny.pt", _images(False))
    _rewrite(path, lambda name, data: b"import os; os.abort()" if "/code/" in name or "constants" in name else data)
    assert torch.equal(open_checkpoint(path)["visual.0.weight"], module.visual[0].weight)


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.target}'",)


def test_code_in_the_pickle_is_refused(module: Tiny, tmp_path: Path) -> None:
    path, target = script(module, tmp_path / "tiny.pt", _images(False)), tmp_path / "attacked"
    attack = pickle.dumps({"weight": Attack(target)}, protocol=2)
    _rewrite(path, lambda name, data: attack if name.endswith("data.pkl") else data)
    with pytest.raises(CheckpointError, match=r"system.*must hold data only"):
        open_checkpoint(path)
    assert not target.exists()


DAMAGES: dict[str, Callable[[str, bytes], bytes | None]] = {
    "a storage is missing": lambda name, data: None if name.endswith("data/0") else data,
    "a storage is too short": lambda name, data: data[:-1] if name.endswith("data/0") else data,
    "the pickle is cut off": lambda name, data: data[:40] if name.endswith("data.pkl") else data,
    "no module": lambda name, data: pickle.dumps([1, 2], 2) if name.endswith("data.pkl") else data,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_one_clear_message(damage: str, module: Tiny, tmp_path: Path) -> None:
    path = script(module, tmp_path / "tiny.pt", _images(False))
    _rewrite(path, DAMAGES[damage])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        open_checkpoint(path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    """as_strided checks the bounds: nothing outside the file's own bytes is ever shown."""
    module = nn.Linear(4, 4, bias=False)
    path = script(module, tmp_path / "tiny.pt", torch.randn(1, 4))
    _rewrite(
        path, lambda name, data: data.replace(b"(K\x04K\x04t", b"(K\x40K\x04t") if name.endswith("data.pkl") else data
    )
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        open_checkpoint(path)


def test_files_of_torch_save_are_none(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as archive:
        assert not torchscript.is_one(archive.namelist())


def _rewrite(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            if data is not None:
                archive.writestr(name, data)
