"""The types of the YAML cards: what can be written in a card, and nothing else (extra fields are refused)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box"]
Labels = Literal["none", "labels", "text"]
Modality = Literal["image", "video", "audio"]
Colour = Literal["rgb", "lab", "lab_opencv", "ycbcr", "ydbdr"]


class Card(BaseModel):
    """Base of all cards: unknown fields are an error, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Paper(Card):
    """A publication."""

    title: str
    authors: str
    venue: str | None = None
    arxiv: str | None = None
    url: str | None = None


class PreprocessCard(Card):
    """Evaluation transform of a model: PIL image -> (3, H, W) float32.

    ``resize``: new length of the shorter side in pixels (None: no resizing). ``crop``: side of the central square
    (None: no crop). ``squash``: both sides become ``resize`` pixels, without keeping the aspect ratio (some timm
    models). ``colour``: the space in which ``mean`` and ``std`` are: RGB in [0, 1], or another one of
    ``ssl_bench.data.colours``.

    ``crop_first``: the other order, as TensorFlow's input pipelines have it. Of the image as it is, the central square of
    ``crop / resize`` times the shorter side is cut out and resized to ``crop`` pixels. A side that is no whole number of
    pixels is rounded: ``nearest``, a half to the even neighbour (SimCLR: ``rint`` in ``data_util.py``), or ``down``
    (BYOL: a cast in ``utils/dataset.py``). Both begin at (side - square + 1) // 2, that is half a pixel further right and
    down where the middle is between two pixels.
    """

    resize: int | None = Field(256, ge=1)
    crop: int | None = Field(224, ge=1)
    interpolation: Interpolation = "bicubic"
    squash: bool = False
    crop_first: Literal["nearest", "down"] | None = None
    colour: Colour = "rgb"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _crop_first_has_both_sizes(self) -> Self:
        if self.crop_first and (self.squash or not self.resize or not self.crop or self.crop > self.resize):
            raise ValueError("crop_first needs resize and crop, crop at most resize, and no squash")
        return self


class Weights(Card):
    """Where a checkpoint comes from and how its file is laid out.

    ``url`` of the authors' file, or ``path`` beside the card; ``layout``: an entry of ``ssl_bench.backbones.layouts``.
    ``sha256`` pins the file; without it the first download is pinned in a lock file. ``page``: where people find files
    that have no address of their own (folders of Dropbox and Google Drive). ``others``: what else the authors published
    of this model and the layout accepts (the full checkpoint, other epochs): name -> address, for ``--weights``.
    ``unreleased``: why there is no file.
    """

    url: str | None = None
    path: str | None = None
    layout: str = "flat"
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    page: str | None = None
    others: dict[str, str] = {}
    unreleased: str | None = None


class Pretraining(Card):
    """What the backbone has seen."""

    dataset: str | None = None
    labels: Labels = "none"
    epochs: float | None = Field(None, ge=0)


class ModelCard(Card):
    """A named frozen backbone."""

    name: str
    method: str
    arch: str
    arch_args: dict[str, Any] = {}
    modality: Modality = "image"
    weights: Weights | None = None
    preprocess: PreprocessCard = PreprocessCard()
    embedding: str = "default"
    embeddings: dict[str, str] = {}
    """Protocol -> embedding, where the authors evaluate another vector there (DINO ViT-S: ``linear: last4_cls``)."""
    epochs: float | None = Field(None, ge=0)
    pretrain: Pretraining = Pretraining()
    paper: Paper | None = None
    licence: str | None = None
    notes: str | None = None
    folder: Path | None = Field(None, exclude=True)
    """Folder of the card's file: ``weights.path`` is relative to it."""


class OptimizerCard(Card):
    """Optimiser of a recipe. ``lr`` is for ``lr_batch`` images (the linear scaling rule); ``lr_batch: null``: as given."""

    name: Literal["sgd", "adamw", "lars", "lamb"] = "adamw"
    lr: float = Field(gt=0)
    lr_batch: int | None = Field(256, ge=1)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    trust_coefficient: float = 0.001
    weight_decay: float = Field(0.0, ge=0)
    weight_decay_end: float | None = Field(None, ge=0)
    """Cosine from ``weight_decay`` to this value; None: constant."""
    clip: float | None = Field(None, gt=0)
    clip_mode: Literal["global", "per_tensor"] = "global"


class RecipeCard(Card):
    """Everything that a pretraining run needs; the shipped ones state the score and the time to expect in ``notes``."""

    name: str
    method: str
    arch: str
    arch_args: dict[str, Any] = {}
    dataset: str
    image_size: int = Field(224, ge=1)
    preprocess: PreprocessCard = PreprocessCard()
    """Evaluation transform of the resulting model; its mean and std also normalise the views."""
    embedding: str = "default"
    settings: dict[str, Any] = {}
    """Settings of the method (temperature, projector sizes, momentum ...)."""
    views: dict[str, Any] = {}
    """Changes to the method's augmentation (crop scale, jitter ...)."""
    augment: Literal["pil", "batched"] = "pil"
    """``pil``: the authors' transforms, one image at a time. ``batched``: the same operations on a batch of tensors."""
    epochs: int = Field(ge=1)
    warmup_epochs: float = Field(0, ge=0)
    final_lr: float = Field(0.0, ge=0)
    batch_size: int = Field(ge=1)
    accumulate: int = Field(1, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    optimizer: OptimizerCard
    online_knn_every: int = Field(0, ge=0)
    """Epochs between two k-NN evaluations while training (0: never)."""
    checkpoint_every: int = Field(1, ge=1)
    seed: int = 0
    model_name: str | None = None
    """Name of the resulting model; default: the recipe's name."""
    paper: Paper | None = None
    notes: str | None = None


class ModelFile(Card):
    """One file of ``model_zoo/``: a method, its models and its recipes. ``defaults`` fills fields that a model leaves out."""

    method: str
    paper: Paper | None = None
    licence: str | None = None
    defaults: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}
    recipes: dict[str, dict[str, Any]] = {}


class TaskCard(Card):
    """protocol x dataset x settings, versioned. A change that moves a number raises ``version``."""

    name: str
    protocol: str
    version: int = Field(1, ge=1)
    dataset: str
    settings: dict[str, Any] = {}
    groups: tuple[str, ...] = ()
    summary: str | None = None


class TaskEntry(Card):
    """A task as written in a file: what differs from the file's defaults."""

    dataset: str
    settings: dict[str, Any] = {}
    groups: tuple[str, ...] = ()
    version: int | None = None
    summary: str | None = None


class Variant(Card):
    """A named setting of a protocol: ``<variant>_<dataset>`` is a task for every data set in ``datasets`` (and any other)."""

    settings: dict[str, Any] = {}
    groups: tuple[str, ...] = ()
    summary: str | None = None


class TaskFile(Card):
    """One file of ``tasks/``."""

    protocol: str
    version: int = Field(1, ge=1)
    settings: dict[str, Any] = {}
    groups: tuple[str, ...] = ()
    summary: str | None = None
    datasets: tuple[str, ...] = ()
    variants: dict[str, Variant] = {}
    tasks: dict[str, TaskEntry] = {}


class DatasetCard(Card):
    """Named splits of labelled images. ``builder`` is an entry of ``ssl_bench.data.builders``."""

    name: str
    builder: str
    title: str
    modality: Modality = "image"
    options: dict[str, Any] = {}
    classes: int | None = Field(None, ge=1)
    train: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)
    metric: Literal["top1", "mean_per_class"] = "top1"
    licence: str | None = None
    url: str | None = None
    notes: str | None = None


class DatasetFile(Card):
    """A file of data set cards."""

    datasets: dict[str, dict[str, Any]]


class PublishedColumn(Card):
    """What a column of a paper's table shows. ``task``: the task card that measures the same, if there is one.

    ``label``: what the paper calls it (None: protocol and data set, as far as they distinguish columns); ``group``: heading
    above it and its neighbours of the same group. ``measured``: name of the same metric in our records, where it is another
    one. ``differs``: why the task measures something like it, but not the same: then there is no verdict.
    """

    protocol: str
    dataset: str
    metric: str
    task: str | None = None
    label: str | None = None
    group: str = ""
    measured: str | None = None
    differs: str = ""
    modality: str = "rgb"
    note: str = ""


class PublishedValue(Card):
    """A printed number that needs more than itself. ``note`` replaces the table's ``provenance`` (None: that stands)."""

    value: int | float
    std: float | None = None
    doubtful: bool = False
    note: str | None = None


class PublishedRow(Card):
    """One row of a paper's table. ``model``: name of the same model here; None: there is no card of it.

    ``group``: heading above it and its neighbours of the same group. ``tasks``: of a column's task, the task that measures
    this row's number instead, because its authors have a recipe of their own (null: no task does). ``differs``: why
    the weights that one can get are not those that the paper measured: then there is no verdict.
    ``values``: one for each column of the table, null where the paper prints none; a whole number was printed as one.
    """

    method: str
    arch: str
    model: str | None = None
    group: str = ""
    params_m: float | None = None
    epochs: float | None = None
    views: str | None = None
    pretrain_data: str | None = None
    supervision: str = "none"
    tasks: dict[str, str | None] = {}
    differs: str = ""
    note: str = ""
    values: tuple[int | float | PublishedValue | None, ...]


class PublishedTable(Card):
    """One table, in the paper's order of rows and columns. ``note`` is about all of it; ``provenance`` says how the values were
    read and checked that have no note of their own.

    ``facts``: what the paper prints beside a row's method and architecture. ``methods_as_columns``: the paper has a row
    for each architecture and a column for each method; here it is written one number a row.
    """

    title: str = ""
    note: str = ""
    provenance: str = ""
    facts: tuple[Literal["params_m", "epochs", "views", "pretrain_data", "supervision"], ...] = ()
    methods_as_columns: bool = False
    columns: tuple[PublishedColumn, ...]
    rows: tuple[PublishedRow, ...]

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(
                    f"{row.method} {row.arch} has {len(row.values)} values for {len(self.columns)} columns"
                )
            unknown = set(row.tasks) - {column.task for column in self.columns}
            if unknown:
                raise ValueError(f"{row.method} {row.arch} replaces {', '.join(unknown)}, which is no column's task")
        if self.methods_as_columns and len(self.columns) > 1:
            raise ValueError("methods_as_columns is for tables of one column")
        return self


class PublishedPaper(Card):
    """A file of ``results/published/``: the paper's tables, in its own order."""

    paper: Paper
    tables: dict[str, PublishedTable]
