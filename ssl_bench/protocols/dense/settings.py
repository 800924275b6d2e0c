"""Settings that segmentation and depth share: how a head is trained and how test images are looked at."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import OptimizerCard
from ssl_bench.protocols.dense.augment import Colours, ScaleAndCrop, ScoredCrop, fills
from ssl_bench.protocols.dense.taps import Blocks
from ssl_bench.settings import Settings
from ssl_bench.training.supervised import Curve, Schedule, Training

Side = Annotated[int, Field(ge=1)]


class View(NamedTuple):
    """How a test image goes through the network. ``side``: its shorter side becomes so many pixels (None: its own size).
    ``slide``: windows of ``window`` pixels, ``stride`` apart, in place of the whole image."""

    mode: Literal["whole", "slide"] = "whole"
    side: int | None = None
    window: int = 512
    stride: int = 341


class DenseSettings(Settings):
    """``blocks``: whose maps the head gets (see ``taps``); ``norm``: with a ViT's final norm. ``frozen``: only the head is
    trained. ``dilate``: the last stage of a ResNet keeps the stride 16.

    Training: crops of ``crop`` pixels (or [height, width]) at this ``place`` of images whose shorter (``longest``: longer) side is ``side``
    (None: its own) times U(``scale``); ``most`` of one class; ``colours``. ``lr`` is for a batch of ``batch_size``, which
    ``accumulate`` forwards share; ``milestones`` are shares of ``steps``.

    Test: ``whole`` images or ``slide`` (windows of ``crop`` pixels, ``stride`` apart), shorter side ``test_side`` (None: its
    own), scored at the image's own size; or scored as changed: ``centre`` (the middle ``crop``) and ``pad`` (longer side
    ``test_side``, padded to ``crop``).
    """

    blocks: Blocks = 1
    norm: bool = True
    frozen: bool = True
    dilate: bool = False
    crop: Side | tuple[Side, Side] = 512
    scale: tuple[float, float] = (0.5, 2.0)
    side: Side | None = None
    longest: bool = False
    place: Literal["random", "centre"] = "random"
    most: float = Field(1.0, gt=0, le=1)
    flip: bool = True
    colours: Colours = "none"
    test: Literal["whole", "slide", "centre", "pad"] = "whole"
    test_side: Side | None = None
    stride: Side = 341
    steps: int = Field(40_000, ge=1)
    batch_size: int = Field(16, ge=1)
    accumulate: int = Field(1, ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float | None = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    warmup: int = Field(0, ge=0)
    warmup_from: float = Field(0.0, ge=0)
    curve: Curve = "poly"
    milestones: tuple[float, ...] = ()
    layer_decay: float | None = Field(1.0, gt=0, le=1)
    drop_path: float | None = Field(0.0, ge=0, lt=1)

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width."""
        return self.crop if isinstance(self.crop, tuple) else (self.crop, self.crop)

    @property
    def view(self) -> View:
        """How test images go through the network; after :meth:`test_crop` where there is one."""
        if self.test in ("centre", "pad"):
            return View()
        return View("slide" if self.test == "slide" else "whole", self.test_side, max(self.crop_size), self.stride)

    def train_transform(self, backbone: Backbone) -> ScaleAndCrop:
        fill = fills(backbone)
        return ScaleAndCrop(
            fill, self.crop_size, self.scale, self.side, self.longest, self.place, self.most, self.flip, self.colours
        )

    def test_crop(self, backbone: Backbone) -> ScoredCrop | None:
        """What changes test images and their truth before they are scored."""
        if self.test not in ("centre", "pad"):
            return None
        return ScoredCrop(fills(backbone), "centre" if self.test == "centre" else "pad", self.crop_size, self.test_side)

    def training(self) -> Training:
        assert self.lr is not None, "filled in by the recipe"
        card = OptimizerCard(name=self.optimizer, lr=self.lr, lr_batch=None, weight_decay=self.weight_decay)
        drops = tuple(round(part * self.steps) for part in self.milestones)
        curve = Schedule(self.steps, self.warmup, self.warmup_from, curve=self.curve, milestones=drops)
        return Training(card, curve, self.accumulate)
