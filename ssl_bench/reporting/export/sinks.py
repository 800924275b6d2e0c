"""Results sent to experiment trackers: TensorBoard's event files, and runs of Weights & Biases. Both are optional extras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ssl_bench.errors import MissingExtraError
from ssl_bench.results.atomic import explained
from ssl_bench.results.record import Record
from ssl_bench.results.store import safe_name


def to_tensorboard(records: Sequence[Record], folder: Path) -> None:
    """One run a model below ``folder``; tags ``<task>/<metric>``, the seed as step, the record's time."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise MissingExtraError("tensorboard", "tensorboard", "--format tensorboard") from None
    for model in dict.fromkeys(record.model for record in records):
        with explained(folder, "Choose another folder with --out."):
            writer = EventFileWriter(str(folder / safe_name(model)))
            for record in (r for r in records if r.model == model):
                values = [Summary.Value(tag=tag, simple_value=value) for tag, value in numbers(record).items()]
                time = datetime.fromisoformat(record.provenance.created).timestamp()
                writer.add_event(Event(wall_time=time, step=record.seed, summary=Summary(value=values)))
            writer.close()


def to_wandb(records: Sequence[Record], project: str) -> None:
    """One run a record, named by its id, so that sending it again changes nothing; runs of a model form a group. Signed in and
    offline or not as wandb itself is told (``wandb login``, ``WANDB_MODE``)."""
    try:
        import wandb
    except ImportError:
        raise MissingExtraError("wandb", "wandb", "--format wandb") from None
    for record in records:
        run = wandb.init(
            project=project,
            id=record.run_id,
            resume="allow",
            name=f"{record.model} {record.task} seed {record.seed}",
            group=record.model,
            job_type=record.task,
            config=record.model_dump(mode="json", by_alias=True, exclude={"metrics", "interval"}),
        )
        run.summary.update(numbers(record))
        run.finish()


def numbers(record: Record) -> dict[str, float]:
    """``<task>/<metric>`` -> value, the interval of the headline too; what is no number is left out."""
    found = {f"{record.task}/{name}": value for name, value in record.metrics.items()}
    if record.interval is not None:
        found |= {f"{record.task}/{record.primary}_{end}": getattr(record.interval, end) for end in ("low", "high")}
    return {tag: value for tag, value in found.items() if math.isfinite(value)}
