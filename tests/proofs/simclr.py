"""SimCLR v1 and v2, TensorFlow checkpoints (contrastive.md and google-research/simclr's resnet.py); VISSL's SimCLR.

The forward below is the only description of the network: run on images it gives features, run on nothing (the meta
device) it gives the names and shapes of TensorFlow's variables, which are numbered in the order in which it asks for them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from proofs.negative_free import resnet, wide
from proofs.proof import Proof, Shapes, Tensors, prefixed, under
from proofs.resnets import resnet_shapes
from proofs.tensorflow_writer import save

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
THIN_BLOCKS = (2, 1, 1, 1)


@dataclass
class Variables:
    """TensorFlow's variables in order of creation: taken from ``tensors``, or noted in ``shapes`` if there are none.

    Kernels are (out, in, h, w) here; ``file`` turns them round.
    """

    tensors: Tensors | None = None
    shapes: Shapes = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)

    def layer(self, kind: str, **shapes: tuple[int, ...]) -> list[torch.Tensor]:
        count = self.made[kind] = self.made.get(kind, -1) + 1
        names = {f"{kind}{f'_{count}' if count else ''}/{part}": shape for part, shape in shapes.items()}
        self.shapes |= names
        if self.tensors is None:
            return [torch.empty(shape, device="meta") for shape in names.values()]
        return [self.tensors[name] for name in names]

    def conv(self, x: torch.Tensor, out: int, kernel: int, stride: int = 1) -> torch.Tensor:
        """Padding by the kernel alone, also with a stride ("fixed padding")."""
        (weight,) = self.layer("conv2d", kernel=(out, x.shape[1], kernel, kernel))
        before = (kernel - 1) // 2
        after = kernel - 1 - before
        return F.conv2d(F.pad(x, (before, after, before, after)), weight, stride=stride)

    def norm(self, x: torch.Tensor, relu: bool = True) -> torch.Tensor:
        size = (x.shape[1],)
        gamma, beta, mean, variance = self.layer(
            "batch_normalization", gamma=size, beta=size, moving_mean=size, moving_variance=size
        )
        column = (slice(None), None, None)
        y = (x - mean[column]) / (variance[column] + 1e-5).sqrt() * gamma[column] + beta[column]
        return y.relu() if relu else y


def same_max_pool(x: torch.Tensor) -> torch.Tensor:
    """3 x 3, stride 2: ceil(n / 2) windows, and of the padding they need the smaller half comes first."""
    pads: list[int] = []
    for n in (x.shape[3], x.shape[2]):
        total = max((-(-n // 2) - 1) * 2 + 3 - n, 0)
        pads += [total // 2, total - total // 2]
    return F.max_pool2d(F.pad(x, pads, value=-float("inf")), 3, 2)


def average_2x2(x: torch.Tensor, stride: int) -> torch.Tensor:
    """Stride 2: a row and column of zeros follow, and count. Stride 1 (SAME): the mean of the pixels that there are."""
    padded = F.pad(x, (0, 1, 0, 1))
    if stride == 2:
        return F.avg_pool2d(padded, 2, 2)
    there = F.pad(torch.ones_like(x), (0, 1, 0, 1))
    return F.avg_pool2d(padded, 2, 1) / F.avg_pool2d(there, 2, 1)


def selective(v: Variables, x: torch.Tensor, filters: int, stride: int) -> torch.Tensor:
    a, b = v.norm(v.conv(x, 2 * filters, 3, stride)).chunk(2, dim=1)
    pooled = (a + b).mean(dim=(2, 3), keepdim=True)
    mixing = v.conv(v.norm(v.conv(pooled, max(int(filters * 0.0625), 32), 1)), 2 * filters, 1)
    of_a, of_b = mixing.chunk(2, dim=1)
    share = torch.sigmoid(of_a - of_b)  # softmax over two
    return share * a + (1 - share) * b


def bottleneck(v: Variables, x: torch.Tensor, filters: int, stride: int, projects: bool, sk: bool) -> torch.Tensor:
    shortcut = x
    if projects:
        pooled = average_2x2(x, stride) if sk else x
        shortcut = v.norm(v.conv(pooled, 4 * filters, 1, 1 if sk else stride), relu=False)
    y = v.norm(v.conv(x, filters, 1))
    y = selective(v, y, filters, stride) if sk else v.norm(v.conv(y, filters, 3, stride))
    return (v.norm(v.conv(y, 4 * filters, 1), relu=False) + shortcut).relu()


def network(v: Variables, x: torch.Tensor, blocks: Sequence[int], channels: int, sk: bool) -> torch.Tensor:
    """``channels``: of the stem, all told. ``sk``: with selective kernels, and ResNet-D's stem and shortcuts."""
    if sk:
        x = v.norm(v.conv(x, channels // 2, 3, 2))
        x = v.norm(v.conv(x, channels // 2, 3))
        x = v.conv(x, channels, 3)
    else:
        x = v.conv(x, channels, 7, 2)
    x = same_max_pool(v.norm(x))
    for group, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if group and not block else 1
            x = bottleneck(v, x, channels * 2**group, stride, block == 0, sk)
    return x.mean(dim=(2, 3))


def shapes_of(blocks: Sequence[int], channels: int, sk: bool) -> Shapes:
    variables = Variables()
    network(variables, torch.empty(1, 3, 64, 64, device="meta"), blocks, channels, sk)
    return variables.shapes


def _stored(tensors: Tensors) -> Tensors:
    """As TensorFlow has kernels: (h, w, in, out)."""
    return {name: t.permute(2, 3, 1, 0) if t.dim() == 4 else t for name, t in tensors.items()}


HEAD = under("head_supervised/linear_layer/dense/", "kernel", "bias", "kernel/Momentum", "bias/Momentum")
STEP = {"global_step": torch.tensor(250228)}


def _v1(backbone: Tensors) -> Tensors:
    """After the linear evaluation: no projection head."""
    return {**prefixed("base_model/", _stored(backbone)), **HEAD, **STEP}


def _v2(backbone: Tensors) -> Tensors:
    """As trained (and its momentum), and the moving average of all weights."""
    average = prefixed("ema_model/base_model/", _stored(backbone))
    trained = prefixed("base_model/", _stored({name: tensor + 1 for name, tensor in backbone.items()}))
    momentum = {f"{name}/Momentum": tensor for name, tensor in list(trained.items())[:6]}
    rest = under(
        "head_contrastive/", "nl_0/dense/kernel", "nl_0/batch_normalization/moving_mean", "nl_2/dense/kernel/Momentum"
    )
    return {**trained, **momentum, **average, **rest, **prefixed("ema_model/", rest), **HEAD, **STEP}


def _prefix(content: Tensors, folder: Path) -> Path:
    save(folder / "model.ckpt-250228", content, block=2000)
    return folder / "model.ckpt-250228"


def _folder(content: Tensors, folder: Path) -> Path:
    save(folder / "r50_1x_sk0" / "model.ckpt-250228", content, shards=2)
    (folder / "r50_1x_sk0" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-250228"\n')
    return folder / "r50_1x_sk0"


def _zip(content: Tensors, folder: Path) -> Path:
    """ResNet50_1x.zip: the checkpoint, and a Hub module with a copy of it."""
    top = folder / "ResNet50_1x"
    save(top / "model.ckpt-225206", content)
    save(top / "hub" / "variables" / "variables", dict(list(content.items())[:3]))
    with zipfile.ZipFile(folder / "ResNet50_1x.zip", "w") as archive:
        for file in sorted(top.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return folder / "ResNet50_1x.zip"


def _forward(t: Tensors, images: torch.Tensor, channels: int, sk: bool) -> torch.Tensor:
    return network(Variables(t), images, THIN_BLOCKS, channels, sk)


def simclr(
    model: str,
    depth: int,
    width: int,
    sk: bool,
    file: Callable[[Tensors], Tensors],
    write: Callable[[Any, Path], Path] = _prefix,
    form: str = "",
) -> Proof:
    """Of 72 pixels the maps have sides 36, 18, 18, 9, 5 and 3: even ones, where max-pooling pads on one side only, and odd
    ones, where the shortcuts' average has a border."""
    thin = 8 // width
    return Proof(
        model=model,
        form=form,
        thin={"channels": thin, "blocks": THIN_BLOCKS},
        shapes=shapes_of(THIN_BLOCKS, thin * width, sk),
        full=shapes_of(BLOCKS[depth], 64 * width, sk),
        file=file,
        write=write,
        forward=partial(_forward, channels=thin * width, sk=sk),
        image=(3, 72, 72),
    )


def _v2_proofs() -> list[Proof]:
    sizes = [(depth, width, sk) for depth in (50, 101, 152) for width in (1, 2) for sk in (False, True)]
    return [
        simclr(f"simclrv2_resnet{depth}{f'w{width}' if width > 1 else ''}{'sk' if sk else ''}", depth, width, sk, _v2)
        for depth, width, sk in [*sizes, (152, 3, True)]
    ]


def _vissl(backbone: Tensors) -> dict[str, Any]:
    """What VISSL saves at the end of a phase."""
    heads = under("", "0.clf.0.weight", "0.clf.0.bias", "1.clf.0.weight")
    model = {"trunk": prefixed("_feature_blocks.", backbone), "heads": heads}
    return {
        "phase_idx": 999,
        "iteration": 312000,
        "loss": {"losses": [0.5]},
        "classy_state_dict": {
            "train": True,
            "base_model": {"model": model, "meters": {}},
            "optimizer": {"optim": {"state": {0: {"momentum_buffer": torch.ones(2)}}}},
        },
    }


def _vissl_101() -> Proof:
    thin = resnet("simclr_vissl_resnet101", _vissl)
    return Proof(**{**vars(thin), "full": resnet_shapes(BLOCKS[101])})


PROOFS = [
    *(
        simclr(f"simclr_resnet50{name}", 50, width, False, _v1, write, form)
        for name, width in (("", 1), ("w2", 2), ("w4", 4))
        for form, write in (("zip", _zip), ("files", _prefix))
    ),
    *_v2_proofs(),
    simclr("simclrv2_resnet50", 50, 1, False, _v2, _folder, "folder"),
    resnet("simclr_vissl_resnet50", _vissl),
    wide("simclr_vissl_resnet50w2", 2, _vissl),
    wide("simclr_vissl_resnet50w4", 4, _vissl),
    _vissl_101(),
]
