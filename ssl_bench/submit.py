"""Evaluate a model and pack the results as a folder that can be reviewed as a diff; refuse what cannot be trusted.

What is finished before a refusal or a failure stays in the results folder, so the same command goes on from there.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ssl_bench._version import __version__
from ssl_bench.cards import ModelCard
from ssl_bench.compute import Compute
from ssl_bench.errors import SslBenchError
from ssl_bench.model_files import looks_like_path
from ssl_bench.paths import PACKAGE
from ssl_bench.registry import CodeModel, registry
from ssl_bench.results import pack, provenance
from ssl_bench.results.atomic import write_bytes, write_text
from ssl_bench.results.pack import Manifest
from ssl_bench.results.record import Record
from ssl_bench.results.store import Store, safe_name
from ssl_bench.runner import Report, make_plan, run_plan


class SubmissionError(SslBenchError):
    """A submission that is refused: it says everything that is missing."""


@dataclass(frozen=True)
class Submission:
    """``declared_by``: who signs the oath (name, address). ``deviations``: why settings were changed; empty: they were not.
    ``source``: the plugin's file, where the model was given as one."""

    model: str
    tasks: tuple[str, ...]
    declared_by: str
    settings: dict[str, Any]
    deviations: str = ""
    seeds: tuple[int, ...] = (0,)
    weights: str | None = None
    source: Path | None = None


def check_before(submission: Submission) -> None:
    """Refuse before any work what would be refused after it: :class:`SubmissionError` with all reasons."""
    reasons = []
    if not submission.declared_by.strip():
        reasons.append("nobody signs the declaration: --i-declare 'NAME <ADDRESS>' signs it")
    if submission.settings and not submission.deviations:
        reasons.append("--set changes the tasks' settings: say why with --deviation")
    reasons += _dirty(submission)
    card = card_of(submission.model)
    if facts := pack.missing_facts(card):
        reasons.append(f"the card of {card.name} does not say: {'; '.join(facts)}")
    if reasons:
        shown = None if submission.declared_by.strip() else f"What is declared:\n{pack.OATH}"
        raise SubmissionError(f"Model {submission.model} cannot be submitted: {'; '.join(reasons)}.", shown)


def evaluate(
    submission: Submission, compute: Compute, store: Store, argv: Sequence[str], force: bool = False
) -> Report:
    """All cells through the runner: what has a record already is not run again."""
    plan = make_plan(
        [submission.model],
        submission.tasks,
        compute,
        seeds=submission.seeds,
        settings=submission.settings,
        weights=submission.weights,
    )
    return run_plan(plan, compute, store, force=force, argv=argv)


def write_pack(submission: Submission, records: Sequence[Record], store: Store, out: Path, device: str) -> Path:
    """The pack of finished records below ``out``; records of an earlier submission of the model stay."""
    _refuse_untrusted(records, submission)
    card = card_of(submission.model)
    folder, packed = out / safe_name(card.name), Store(out)
    for record in records:
        packed.save(record, store.predictions(record))
    write_text(folder / pack.CARD, card_text(card))
    plugin = _plugin_file(submission)
    if plugin is not None:
        write_bytes(folder / pack.PLUGIN, plugin.read_bytes())
    write_text(folder / pack.ENVIRONMENT, "\n".join(provenance.environment()) + "\n")
    day = datetime.now(UTC).date().isoformat()
    write_text(folder / pack.DECLARATION, pack.declaration(submission.declared_by, day, submission.deviations))
    commit, _ = provenance.checkout_state(PACKAGE.parent)
    manifest = Manifest(
        schema=1,
        model=card.name,
        ssl_bench_version=__version__,
        ssl_bench_commit=commit,
        plugin_commit=None if plugin is None else provenance.file_state(plugin)[0],
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        declared_by=submission.declared_by,
        declared_on=day,
        deviations=submission.deviations,
        files=pack.hashes(folder),
    )
    write_text(folder / pack.MANIFEST, manifest.model_dump_json(by_alias=True, indent=2) + "\n")
    return folder


def card_of(model: str) -> ModelCard:
    entry = registry().model(model)
    return entry.card if isinstance(entry, CodeModel) else entry


def card_text(card: ModelCard) -> str:
    """The card as a file of ``model_zoo`` with nothing left to defaults of that file."""
    fields = card.model_dump(mode="json", exclude={"name", "method"}, exclude_defaults=True)
    content = {"method": card.method, "models": {card.name: fields}}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _refuse_untrusted(records: Sequence[Record], submission: Submission) -> None:
    """Cells that were found in the results folder may be of another time than this command's."""
    reasons = []
    for record in records:
        where = f"{record.task} seed {record.seed}"
        if record.partial:
            reasons.append(f"{where} is partial: not all images of {record.dataset.name} were used")
        if record.dataset.skipped:
            reasons.append(f"{where} skipped {len(record.dataset.skipped)} images, such as {record.dataset.skipped[0]}")
        if record.provenance.dirty:
            reasons.append(f"{where} was measured by ssl-bench with uncommitted changes: run it again with --force")
        if record.overrides and not submission.deviations:
            reasons.append(f"{where} has other settings than the task: say why with --deviation")
    if reasons:
        raise SubmissionError(f"Model {submission.model} cannot be submitted: {'; '.join(reasons)}.")


def _dirty(submission: Submission) -> list[str]:
    reasons = []
    if provenance.checkout_state(PACKAGE.parent)[1]:
        reasons.append("ssl-bench itself has uncommitted changes: commit or undo them, or install a release")
    own = [file for file in (_plugin_file(submission), _card_file(submission)) if file is not None]
    said = "the repository of {} has uncommitted changes, or does not have the file: commit them"
    reasons += [said.format(file) for file in dict.fromkeys(own) if provenance.file_state(file)[1]]
    return reasons


def _plugin_file(submission: Submission) -> Path | None:
    """The file whose function builds the model."""
    entry = registry().model(submission.model)
    if not isinstance(entry, CodeModel):
        return None
    try:
        return Path(inspect.getfile(entry.build))
    except (TypeError, OSError):
        return submission.source


def _card_file(submission: Submission) -> Path | None:
    """The YAML file of the model's card, where it is one of the user's own."""
    if submission.source is not None and submission.source.suffix in {".yaml", ".yml"}:
        return submission.source
    if looks_like_path(submission.model):
        head, _, chosen = submission.model.partition(".yaml:")
        path = Path(f"{head}.yaml" if chosen else submission.model).expanduser()
        return path / "card.yaml" if path.is_dir() else path
    known = registry()
    origin = Path(known.models.origin(submission.model)) if submission.model in known.models else None
    own = origin is not None and origin.is_file() and PACKAGE.parent not in origin.resolve().parents
    return origin if own else None
