"""A submission's folder: the model's card, its records and predictions, the software, and who declares what. Knows no torch.

``<root>/<model>/``::

    <task>/<run id>.json, .npz    records and predictions, as in every results folder
    card.yaml                     the model's card, with all defaults filled in
    plugin.py                     the file that builds it, of models given by code
    environment.txt               every installed package with its version
    DECLARATION.md                the oath on test data, by whom, when, and which settings were changed and why
    submission.json               commits, device, and the sha256 of every other file
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ssl_bench.cards import Card, ModelCard
from ssl_bench.errors import CardError, SslBenchError, StoreError
from ssl_bench.hashing import sha256_of_file
from ssl_bench.model_files import read_models
from ssl_bench.registry import registry
from ssl_bench.results.review import Problem, Review, review
from ssl_bench.results.store import safe_name

MANIFEST, CARD, PLUGIN, ENVIRONMENT, DECLARATION = (
    "submission.json",
    "card.yaml",
    "plugin.py",
    "environment.txt",
    "DECLARATION.md",
)
OATH = """\
I declare, for every result in this folder:

1. The test images and their labels were used for nothing but the final evaluation by ssl-bench: not to train the model, not
   to choose hyper-parameters, checkpoints, layers or prompts, and not to decide which results to submit.
2. The card names all data that the model has seen, with and without labels. To my knowledge no test image of these tasks is
   among them; exceptions are named below.
3. The results are those of the weights and the code that the card names, and I have changed none of them afterwards.
"""


class Manifest(Card):
    """``submission.json``. ``plugin_commit``: of the repository that the model's code lies in; None: in none.
    ``files``: path below the folder -> sha256. ``deviations``: why settings were changed, empty where none were."""

    schema_: Literal[1] = Field(1, alias="schema")
    model: str
    ssl_bench_version: str
    ssl_bench_commit: str | None
    plugin_commit: str | None
    python: str
    platform: str
    device: str
    declared_by: str
    declared_on: str
    deviations: str = ""
    files: dict[str, str] = Field(default_factory=dict)


def missing_facts(card: ModelCard) -> list[str]:
    """What a card must say before its results are published, and does not."""
    asked = {
        "licence": card.licence,
        "paper (title and authors; of an unpublished model its report or repository)": card.paper,
        "pretrain.dataset (all data that it has seen)": card.pretrain.dataset,
    }
    return [name for name, value in asked.items() if not value]


def declaration(name: str, day: str, deviations: str) -> str:
    """The text of ``DECLARATION.md``."""
    changed = f"\nChanged settings: {deviations}\n" if deviations else ""
    return f"# Declaration\n\n{OATH}{changed}\n{name}, {day}\n"


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below a pack, but of its manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in files}


def read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        return Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValidationError, ValueError) as error:
        raise StoreError(f"{path}: is no manifest of a submission: {str(error).splitlines()[0]}.") from None


def review_folder(root: Path, *, complete: bool = True) -> Review:
    """As :func:`review` of a folder of records; its packs are verified too, and their cards make their models known."""
    packs = [path.parent for path in sorted(root.glob(f"*/{MANIFEST}"))]
    models, declared, problems = set(), set(), []
    for folder in packs:
        found, manifest, card = _verified(folder)
        problems += [Problem("error", folder.name, what) for what in found]
        if card is not None:
            models.add(card.name)
        if manifest is not None and manifest.deviations:
            declared |= {path.stem for path in folder.glob("*/*.json")}
    names = {folder.name for folder in packs}
    half = sorted(path.parent.name for path in root.glob(f"*/{DECLARATION}") if path.parent.name not in names)
    problems += [Problem("error", name, f"there is no {MANIFEST}: the submission was not finished") for name in half]
    made = review(root, complete=complete, models=frozenset(models), declared=frozenset(declared))
    made.problems = problems + made.problems
    return made


def _verified(folder: Path) -> tuple[list[str], Manifest | None, ModelCard | None]:
    """What is wrong with a pack, and its manifest and card where they can be read. No code of it is run."""
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        return [error.message.rstrip(".")], None, None
    links = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_symlink()]
    if links:
        return [f"{name} is a link, not a file" for name in links], manifest, None
    problems = list(_changed(folder, manifest))
    problems += [f"{name} is missing" for name in (CARD, ENVIRONMENT, DECLARATION) if name not in manifest.files]
    card = _card(folder, problems)
    if card is not None:
        if safe_name(card.name) != folder.name or card.name != manifest.model:
            problems.append(f"the folder is of {manifest.model}, its card of {card.name}")
        problems += [f"its card does not say: {fact}" for fact in missing_facts(card)]
        if _differs(card):
            problems.append(f"its card is another one than that of {card.name} in ssl-bench")
    path = folder / DECLARATION
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if OATH not in text or not manifest.declared_by or manifest.declared_by not in text:
        problems.append(f"{DECLARATION} is not the declaration of ssl-bench, signed by {manifest.declared_by!r}")
    return problems, manifest, card


def _differs(card: ModelCard) -> bool:
    """From the card that ssl-bench has of that name."""
    known = registry()
    own = known.models.get(card.name) if card.name in known.models else None
    return isinstance(own, ModelCard) and own.model_copy(update={"folder": card.folder}) != card


def _changed(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Files whose content is not the manifest's."""
    there = hashes(folder)
    for name in sorted(there.keys() | manifest.files.keys()):
        if name not in there:
            yield f"{name} was removed"
        elif name not in manifest.files:
            yield f"{name} is not in {MANIFEST}"
        elif there[name] != manifest.files[name]:
            yield f"{name} was changed after it was packed"


def _card(folder: Path, problems: list[str]) -> ModelCard | None:
    try:
        cards = read_models(folder / CARD)
    except (SslBenchError, OSError) as error:
        problems.append(f"{CARD} cannot be read: {error.message if isinstance(error, CardError) else error}")
        return None
    if len(cards) != 1:
        problems.append(f"{CARD} has {len(cards)} models, not one")
        return None
    return cards[0]
