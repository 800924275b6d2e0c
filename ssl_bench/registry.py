"""One registry for models, data sets, protocols, tasks, methods, recipes and papers: a name -> a card or code.

Built-in entries come from the YAML cards and from the two tables below; plugins add theirs through entry points
(group ``ssl_bench.plugins``), ``--include`` or the decorators. Built-in names win; a broken plugin is named in
``Registry.warnings`` and does not stop the others. Code is imported when it is asked for, so that listing names
stays fast.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ssl_bench.cards import (
    DatasetCard,
    DatasetFile,
    ModelCard,
    PublishedPaper,
    RecipeCard,
    TaskCard,
    TaskFile,
    Variant,
    Weights,
)
from ssl_bench.catalogue import Catalogue
from ssl_bench.errors import CardError, PluginError, SslBenchError
from ssl_bench.model_files import looks_like_path, model_of_file, read_models, read_recipes
from ssl_bench.paths import shipped
from ssl_bench.yaml_cards import read_card, read_yaml, validate

PROTOCOLS = {
    "knn": "ssl_bench.protocols.knn:Knn",
    "linear": "ssl_bench.protocols.linear:Linear",
    "linear_frozen": "ssl_bench.protocols.linear_frozen:LinearFrozen",
    "low_shot": "ssl_bench.protocols.low_shot:LowShot",
    "finetune": "ssl_bench.protocols.finetune.finetune:FineTune",
    "semi": "ssl_bench.protocols.finetune.semi:Semi",
    "semi_frozen": "ssl_bench.protocols.semi_frozen:SemiFrozen",
    "label_free": "ssl_bench.protocols.label_free:LabelFree",
    "throughput": "ssl_bench.protocols.throughput:Throughput",
    "attention": "ssl_bench.protocols.training_free.attention:AttentionMasks",
    "retrieve": "ssl_bench.protocols.training_free.retrieve:Retrieve",
    "copydays": "ssl_bench.protocols.training_free.copydays:Copydays",
    "davis": "ssl_bench.protocols.training_free.davis:Davis",
    "segment": "ssl_bench.protocols.dense.segmentation:Segmentation",
    "depth": "ssl_bench.protocols.dense.depth:Depth",
    "detect": "ssl_bench.protocols.detection.detect:Detect",
    "transfer": "ssl_bench.protocols.transfer.suite:Transfer",
    "svm": "ssl_bench.protocols.transfer.svm:Svm",
    "multilabel": "ssl_bench.protocols.transfer.multilabel:Multilabel",
    "linear_clip": "ssl_bench.protocols.linear_clip:LinearClip",
    "zero_shot": "ssl_bench.protocols.zero_shot.zero_shot:ZeroShot",
    "video": "ssl_bench.protocols.video.finetune:Video",
    "video_frozen": "ssl_bench.protocols.video.frozen:VideoFrozen",
    "audio": "ssl_bench.protocols.audio.finetune:Audio",
    "audio_frozen": "ssl_bench.protocols.audio.frozen:AudioFrozen",
}
METHODS = {
    "simclr": "ssl_bench.methods.contrastive.simclr:SimCLR",
    "byol": "ssl_bench.methods.negative_free.byol:BYOL",
    "dino": "ssl_bench.methods.negative_free.dino:DINO",
    "mae": "ssl_bench.methods.masked.mae:MAE",
}


@dataclass(frozen=True)
class CodeModel:
    """A model given by a function that returns a module; the card says the rest."""

    card: ModelCard
    build: Callable[[], Any]


class Registry:
    """All catalogues. ``warnings`` names plugins that could not be loaded."""

    def __init__(self) -> None:
        self.models: Catalogue[ModelCard | CodeModel] = Catalogue("model")
        self.recipes: Catalogue[RecipeCard] = Catalogue("recipe")
        self.datasets: Catalogue[DatasetCard | Callable[..., Any]] = Catalogue("dataset")
        self.protocols: Catalogue[Any] = Catalogue("protocol")
        self.tasks: Catalogue[TaskCard] = Catalogue("task")
        self.methods: Catalogue[Any] = Catalogue("method")
        self.papers: Catalogue[PublishedPaper] = Catalogue("paper")
        self.variants: dict[str, TaskCard] = {}
        """Task name without its data set -> a task whose ``dataset`` is still empty."""
        self.plugins: list[str] = []
        self.warnings: list[str] = []

    def load_builtin(self) -> None:
        for catalogue, table in ((self.protocols, PROTOCOLS), (self.methods, METHODS)):
            for name, reference in table.items():
                catalogue.add(name, _importer(reference), "built-in")
        for path in sorted((Path(__file__).parent / "data").glob("*.yaml")):
            self.add_dataset_file(path)
        for path in sorted(shipped("model_zoo").glob("*.yaml")):
            self.add_model_file(path)
        for path in sorted(shipped("tasks").glob("*.yaml")):
            self.add_task_file(path)
        for path in sorted(shipped("published").glob("*.yaml")):
            self.papers.add(path.stem, lambda path=path: read_card(PublishedPaper, path), str(path))  # type: ignore[misc]

    def load_plugins(self) -> None:
        """Import every entry point of the group; its module's ``CARDS`` (a path or several) are included too."""
        for point in importlib.metadata.entry_points(group="ssl_bench.plugins"):
            origin = f"plugin {point.name} ({point.value})"
            try:
                loaded = point.load()
                cards = getattr(loaded, "CARDS", ())
                for path in [cards] if isinstance(cards, (str, Path)) else cards:
                    self.include(Path(path))
            except Exception as error:  # noqa: BLE001 - a stranger's code may fail in any way; the others must go on
                self.warnings.append(f"{origin} is left out: {type(error).__name__}: {error}")
            else:
                self.plugins.append(origin)

    def include(self, path: Path) -> None:
        """Add the cards (.yaml) and code (.py) of a file, or of all files directly in a folder."""
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix in {".py", ".yaml", ".yml"})
            if not files:
                raise CardError(f"--include {path}: the folder holds no .yaml card and no .py plugin.")
        elif path.is_file():
            files = [path]
        else:
            raise CardError(f"--include {path}: there is no such file or folder.")
        for file in files:
            if file.suffix == ".py":
                _import_file(file)
            else:
                self.add_card_file(file)
            self.plugins.append(str(file))

    def add_card_file(self, path: Path) -> None:
        """Add a card file of any kind; its top-level fields tell which."""
        fields = set(read_yaml(path))
        if fields & {"models", "recipes"}:
            self.add_model_file(path)
        elif "datasets" in fields and "protocol" not in fields:
            self.add_dataset_file(path)
        elif "protocol" in fields:
            self.add_task_file(path)
        elif fields == {"paper", "tables"}:
            self.papers.add(path.stem, lambda: read_card(PublishedPaper, path), str(path))
        else:
            raise CardError(
                f"{path}:1: this is no card of a kind that we know (fields: {', '.join(sorted(map(str, fields)))}).",
                "A model file has `models` or `recipes`, a task file `protocol`, a data set file `datasets`, a paper `paper` and `tables`.",
            )

    def add_model_file(self, path: Path) -> None:
        for card in read_models(path):
            self.models.add(card.name, lambda card=card: card, str(path))  # type: ignore[misc]
        for recipe in read_recipes(path):
            self.recipes.add(recipe.name, lambda recipe=recipe: recipe, str(path))  # type: ignore[misc]

    def add_dataset_file(self, path: Path) -> None:
        for name, fields in read_card(DatasetFile, path).datasets.items():
            card = validate(DatasetCard, {"name": name, **fields}, path, ("datasets", name))
            self.datasets.add(name, lambda card=card: card, str(path))  # type: ignore[misc]

    def add_task_file(self, path: Path) -> None:
        file = read_card(TaskFile, path)
        for prefix, variant in (file.variants or {file.protocol: Variant()}).items():
            card = TaskCard(
                name=prefix,
                protocol=file.protocol,
                version=file.version,
                dataset="",
                settings={**file.settings, **variant.settings},
                groups=(*file.groups, *variant.groups),
                summary=variant.summary or file.summary,
            )
            self.variants[prefix] = card
            for dataset in file.datasets:
                self._add_task(_with_dataset(card, dataset), path)
        for name, entry in file.tasks.items():
            card = TaskCard(
                name=name,
                protocol=file.protocol,
                version=entry.version or file.version,
                dataset=entry.dataset,
                settings={**file.settings, **entry.settings},
                groups=(*file.groups, *entry.groups),
                summary=entry.summary or file.summary,
            )
            self._add_task(card, path)

    def _add_task(self, card: TaskCard, path: Path) -> None:
        self.tasks.add(card.name, lambda: card, str(path))

    def model(self, name: str) -> ModelCard | CodeModel:
        """Also ``timm:<name>``, ``hf:<repo>``, ``random_<timm name>`` and the path of a card (``card.yaml:name`` if it has several)."""
        if name in self.models:
            return self.models.get(name)
        prefix, _, rest = name.partition(":")
        if prefix in {"timm", "hf"} and rest:
            return ModelCard(name=name, method="timm", arch=name, weights=Weights(layout="timm"))
        if looks_like_path(name):
            return model_of_file(name)
        if name.startswith("random_"):
            return ModelCard(name=name, method="random", arch=name.removeprefix("random_"))
        return self.models.get(name)

    def dataset(self, name: str) -> DatasetCard | Callable[..., Any]:
        """Also ``imagefolder:<name>``: any ``<data root>/<name>/{train,val|test}/<class>/*``."""
        prefix, _, rest = name.partition(":")
        if prefix == "imagefolder" and rest:
            return DatasetCard(name=name, builder="imagefolder", title=f"Folder {rest}", options={"folder": rest})
        return self.datasets.get(name)

    def task(self, name: str) -> TaskCard:
        """A task card, or ``<variant>_<dataset>`` composed on the fly for any known variant and data set."""
        if name not in self.tasks:
            for prefix in sorted(self.variants, key=len, reverse=True):
                dataset = name.removeprefix(prefix + "_")
                if dataset != name and (dataset in self.datasets or dataset.startswith("imagefolder:")):
                    return _with_dataset(self.variants[prefix], dataset)
        return self.tasks.get(name)


def _with_dataset(card: TaskCard, dataset: str) -> TaskCard:
    return card.model_copy(update={"name": f"{card.name}_{dataset}", "dataset": dataset})


def _importer(reference: str) -> Callable[[], Any]:
    module, _, attribute = reference.partition(":")
    return lambda: getattr(importlib.import_module(module), attribute)


def _import_file(path: Path) -> None:
    """Run a plugin file as a module of its own name; its decorators register what it brings."""
    name = f"ssl_bench_include_{path.stem}_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--include {path}: is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SslBenchError:
        raise
    except Exception as error:
        raise PluginError(
            f"--include {path}: {type(error).__name__}: {error}", "Run the file with python to see the traceback."
        ) from error


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The process's registry, with built-in entries and installed plugins."""
    made = Registry()
    made.load_builtin()
    _CURRENT.append(made)
    made.load_plugins()
    return made


_CURRENT: list[Registry] = []


def current() -> Registry:
    """The registry that decorators add to: while plugins load, the one being built."""
    return _CURRENT[-1] if _CURRENT else registry()
