"""Is a data set on disk complete and in the right layout: exactly what is missing, extra or wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ssl_bench.cards import DatasetCard
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.data.imagefolder import EXTENSIONS, class_folders, image_files
from ssl_bench.data.prepare import prepare_imagenet
from ssl_bench.data.recordings import AudioSplit
from ssl_bench.data.scene_checks import check_targets
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.errors import DataError, ImageError
from ssl_bench.progress import Progress, Silent
from ssl_bench.registry import registry

__all__ = ["Finding", "Report", "check_dataset", "prepare_imagenet"]
Kind = Literal["missing", "extra", "wrong"]
MOST = 20
"""Findings of one kind that are listed one by one."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. ``where``: a path, or a split."""

    kind: Kind
    where: str
    what: str


@dataclass
class Report:
    """``expected`` and ``found``: images a split, and ``classes``. ``usable``: it loads, so that tasks can run on it."""

    name: str
    root: Path
    findings: list[Finding] = field(default_factory=list)
    expected: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    usable: bool = False

    @property
    def ok(self) -> bool:
        """Complete, and nothing extra or wrong."""
        return self.usable and not self.findings

    def add(self, kind: Kind, where: Path | str, what: str) -> None:
        self.findings.append(Finding(kind, str(where), what))

    def lines(self) -> list[str]:
        """For people: the counts, then the findings, then the verdict."""
        lines = [f"{self.name} in {self.root}"]
        for part in self.found | self.expected:
            expected = f" of {self.expected[part]:,}" if part in self.expected else ""
            lines.append(f"  {part}: {self.found.get(part, 0):,}{expected}")
        for kind in ("missing", "extra", "wrong"):
            some = [finding for finding in self.findings if finding.kind == kind]
            lines += [f"  {kind}: {finding.where}: {finding.what}" for finding in some[:MOST]]
            lines += [f"  {kind}: and {len(some) - MOST:,} more"] if len(some) > MOST else []
        verdict = "complete" if self.ok else "usable, but not as published" if self.usable else "not usable"
        return [*lines, f"  {self.name} is {verdict}."]

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {
            "name": self.name,
            "root": str(self.root),
            "ok": self.ok,
            "usable": self.usable,
            "expected": self.expected,
            "found": self.found,
            "findings": [vars(finding) for finding in self.findings],
        }


def stated_counts(name: str) -> dict[str, int]:
    """``classes``, ``train`` and ``test`` of a complete copy, as far as the data set's card states them."""
    entry = registry().dataset(name)
    if not isinstance(entry, DatasetCard):
        return {}
    counts = {"classes": entry.classes, "train": entry.train, "test": entry.test}
    return {part: count for part, count in counts.items() if count is not None}


def counts(dataset: Dataset) -> dict[str, int]:
    """``classes``, and images of every split."""
    return {"classes": len(dataset.classes)} | {name: len(split) for name, split in dataset.splits.items()}


def is_whole(dataset: Dataset) -> bool:
    """Whether it has as many classes and images as its card states; a subset's numbers compare with nobody's."""
    found = counts(dataset)
    return all(found.get(part) == count for part, count in stated_counts(dataset.name).items())


def check_dataset(name: str, root: Path, progress: Progress | None = None, *, decode: bool = False) -> Report:
    """Compare the data set with its card and its layout. ``decode``: open every image too, which takes long."""
    report = Report(name, Path(root).absolute())
    entry = registry().dataset(name)
    card = entry if isinstance(entry, DatasetCard) else None
    report.expected = stated_counts(name)
    if card:
        _check_folders(card, Path(root), report)
    try:
        dataset = load_dataset(name, root)
    except DataError as error:
        report.add("missing" if "There is no" in error.message else "wrong", name, str(error).replace("\n ", ""))
        return report
    report.usable = True
    _count(dataset, report)
    _check_files(dataset, report, progress or Silent(), decode)
    return report


def _count(dataset: Dataset, report: Report) -> None:
    report.found = counts(dataset)
    for part, expected in report.expected.items():
        found = report.found.get(part, 0)
        if found != expected:
            kind: Kind = "missing" if found < expected else "extra"
            report.add(kind, part, f"{abs(expected - found):,} (there are {found:,}, expected {expected:,})")


def _check_files(dataset: Dataset, report: Report, progress: Progress, decode: bool) -> None:
    total = sum(len(split) for split in dataset.splits.values())
    with progress.bar(f"checking {dataset.name}", total) as advance:
        for split in dataset.splits.values():
            for index in range(len(split)):
                _check_image(split, index, report, decode)
                advance()


def _check_image(split: Split, index: int, report: Report, decode: bool) -> None:
    file = split.file(index)
    if file is not None and not file.is_file():
        report.add("missing", file, "the file is listed, but not there")
    elif file is not None and file.stat().st_size == 0:
        report.add("wrong", file, "the file is empty")
    elif decode and not isinstance(split, SceneSplit):
        try:
            _ = split.waveform(index) if isinstance(split, AudioSplit) else split.image(index)
        except ImageError as error:
            report.add("wrong", file or split.identity(index), error.message)
    if isinstance(split, SceneSplit):
        _check_scene(split, index, report, decode)


def _check_scene(split: SceneSplit, index: int, report: Report, decode: bool) -> None:
    """The image's targets: are they there, and with ``decode``, do they fit the image and the classes?"""
    missing = [path for path in split.target_files(index) if not path.is_file()]
    for path in missing:
        report.add("missing", path, f"the target of {split.file(index)} is not there")
    image = split.file(index)
    if decode and not missing and (image is None or image.is_file()):
        try:
            check_targets(split, index)
        except DataError as error:
            report.add("wrong", image or split.identity(index), error.message)


def _check_folders(card: DatasetCard, root: Path, report: Report) -> None:
    """What loading does not look at: strange files, and files that are not the published ones."""
    if card.builder in {"imagenet", "imagefolder"}:
        folder = root / card.options.get("folder", "imagenet")
        for split in (folder / name for name in ("train", "val", "test") if (folder / name).is_dir()):
            for path, what in _strange(split):
                report.add("extra", path, what)
    if card.builder == "cifar":
        _check_sums(card, root, report)


def _strange(split: Path) -> Iterator[tuple[Path, str]]:
    flat = set(image_files(split))
    classes = class_folders(split)
    for path in sorted(split.iterdir()):
        if path.is_file() and (path.name not in flat or classes):
            yield path, "a file beside the class folders"
    for name in classes:
        for path in sorted((split / name).iterdir()):
            if path.suffix.lower() not in EXTENSIONS or path.name.startswith("."):
                yield path, "a folder inside a class folder" if path.is_dir() else "is no image file by its name"


def _check_sums(card: DatasetCard, root: Path, report: Report) -> None:
    """CIFAR's batches against the published md5."""
    from torchvision import datasets as tv

    kind = getattr(tv, card.options["kind"])
    for folder in (root / kind.base_folder, root / card.name / kind.base_folder):
        if folder.is_dir():
            for name, md5 in [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]:
                path = folder / name
                if path.is_file() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
                    report.add("wrong", path, f"its md5 is not the published {md5}")
            return
