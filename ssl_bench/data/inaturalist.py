"""iNaturalist 2018 and 2019 with the competition's lists; torchvision's own reader knows no split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import DataError


def inaturalist(root: Path, card: DatasetCard) -> Dataset:
    """Class index = position of the category's id; test = the validation list, as in the papers (the competition's test
    labels are hidden). ``options.year``.

    ``<folder>/{train,val}<year>.json`` and the images at the lists' paths (``train_val<year>/<kind>/<category>/*.jpg``), or
    as torchvision unpacks them (``<year>/<kind>/<category>/*.jpg``). ``folder``: ``inat<year>``, the card's name,
    ``inaturalist``, or the data root itself.
    """
    year = str(card.options["year"])
    lists = [f"train{year}.json", f"val{year}.json"]
    places = [root / f"inat{year}", root / card.name, root / "inaturalist", root]
    folder = next((place for place in places if (place / lists[0]).is_file()), None)
    if folder is None:
        raise DataError(
            f"Data set {card.name}: there is no {lists[0]} in {places[0].absolute()}.",
            f"Expected: inat{year}/{{{','.join(lists)},train_val{year}/<kind>/<category>/*.jpg}} under the data root "
            f"(--data-root or SSL_BENCH_DATA).",
        )
    contents = [_read(folder / name) for name in lists]
    names = _categories(contents[0], folder / lists[0])
    pictures = _pictures(folder, year)
    train, test = (
        _split(content, names, folder, pictures, folder / name) for content, name in zip(contents, lists, strict=True)
    )
    return Dataset(card.name, train, test, metric=card.metric)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"There is no file {path}.", "It is one of the competition's lists (train_val annotations).")
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: is not intact JSON: {error}.", "Unpack the annotations again.") from error
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        raise DataError(
            f"{path}: has no lists `images` and `annotations`.", "Is it the competition's train or val list?"
        )
    return content


def _categories(content: dict[str, Any], path: Path) -> dict[int, str]:
    """Category id -> class name, in the order of the ids. Some releases leave the names out, or give one twice."""
    ids = {int(entry["id"]): str(entry.get("name", "")) for entry in content.get("categories", [])}
    if not ids:
        raise DataError(f"{path}: lists no categories.", "Unpack the annotations again.")
    unique = len(set(ids.values())) == len(ids) and "" not in ids.values()
    return {number: ids[number] if unique else f"{number:04d}" for number in sorted(ids)}


def _pictures(folder: Path, year: str) -> str:
    """What stands before ``<kind>/<category>/<file>``."""
    found = next((name for name in (f"train_val{year}", year) if (folder / name).is_dir()), None)
    if found is None:
        raise DataError(
            f"There is no folder {folder / f'train_val{year}'}.", "It holds the images, by kind and category."
        )
    return found


def _split(content: dict[str, Any], names: dict[int, str], folder: Path, pictures: str, path: Path) -> FileSplit:
    position = {number: index for index, number in enumerate(names)}
    category = {entry["image_id"]: int(entry["category_id"]) for entry in content["annotations"]}
    paths, labels = [], []
    for entry in content["images"]:
        file, number = str(entry["file_name"]), category.get(entry["id"])
        if number not in position:
            what = "has no annotation" if number is None else f"has category {number}, which train does not list"
            raise DataError(f"{path}: image {file} {what}.", "Unpack the annotations again.")
        paths.append(f"{pictures}/{file.partition('/')[2]}")
        labels.append(position[number])
    return FileSplit(folder, paths, labels, list(names.values()))
