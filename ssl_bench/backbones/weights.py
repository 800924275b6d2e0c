"""Where the checkpoint of a card is: the user's copy, a file beside the card, or the authors' address."""

from __future__ import annotations

from pathlib import Path

from ssl_bench.backbones.fetch import fetch
from ssl_bench.backbones.readers import sha256_of_checkpoint
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError
from ssl_bench.progress import Progress


def find_weights(
    card: ModelCard, weights: str | Path | None, folder: Path, progress: Progress, download: bool
) -> tuple[Path, str] | None:
    """The checkpoint's path and its sha256: ``weights``, else beside the card, else the card's address; None: timm knows.

    Raises :class:`CheckpointError` where there is none, saying what the authors published and where.
    """
    assert card.weights is not None
    if weights is not None and is_address(weights):
        return fetch(str(weights), folder, progress, download=download)
    if weights is not None:
        path = Path(weights).expanduser()
        return path, sha256_of_checkpoint(path, progress)
    if card.weights.path is not None:
        path = (card.folder or Path()) / card.weights.path
        sha256 = sha256_of_checkpoint(path, progress)
        if card.weights.sha256 not in {None, sha256}:
            raise CheckpointError(
                f"{path} has sha256 {sha256}, but the card of {card.name} says {card.weights.sha256}.",
                "The file was changed after its card was written: restore it, or correct the card.",
            )
        return path, sha256
    if card.weights.url is not None:
        return fetch(card.weights.url, folder, progress, sha256=card.weights.sha256, download=download)
    if card.weights.layout == "timm":
        return None
    raise _nowhere(card)


def is_address(weights: str | Path) -> bool:
    """Whether ``--weights`` is an address and not a path."""
    return str(weights).startswith(("http://", "https://"))


def source_of(card: ModelCard, weights: str | Path | None, path: Path) -> str:
    """For the record: the address where there is one; of a local file the name only, not where it lies."""
    if weights is not None and is_address(weights):
        return str(weights)
    if weights is None and card.weights is not None and card.weights.path is None and card.weights.url:
        return card.weights.url
    return path.name


def _nowhere(card: ModelCard) -> CheckpointError:
    assert card.weights is not None
    if card.weights.unreleased:
        return CheckpointError(
            f"There are no weights of {card.name}: {card.weights.unreleased}.",
            "If you have trained them, give the file with --weights PATH.",
        )
    if card.weights.page:
        return CheckpointError(
            f"The weights of {card.name} have no address from which they could be fetched.",
            f"Fetch them by hand from {card.weights.page} and give the file with --weights PATH.",
        )
    return CheckpointError(f"The card of {card.name} names no file of weights.", "Give one with --weights PATH.")
