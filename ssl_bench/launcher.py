"""One cluster job for every model, through submitit: each job is the same command for one model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_bench.errors import MissingExtraError, SslBenchError
from ssl_bench.modality import choose
from ssl_bench.registry import registry


def job_commands(models: Sequence[str], tasks: Sequence[str], argv: Sequence[str]) -> dict[str, list[str]]:
    """Model -> the command of its job: the user's own, with this model only and ``--launcher local``."""
    rest: list[str] = []
    skip_value = False
    for argument in argv[1:]:
        if skip_value:
            skip_value = False
        elif argument in {"--model", "-m", "--launcher"}:
            skip_value = True
        elif not argument.startswith(("--model=", "--launcher=")):
            rest.append(argument)
    base = [sys.executable, "-m", "ssl_bench", *rest, "--launcher", "local"]
    return {name: [*base, "--model", name] for name in choose(models, tasks, registry()).cells}


def submit_models(
    models: Sequence[str],
    tasks: Sequence[str],
    argv: Sequence[str],
    folder: Path = Path("slurm_logs"),
    cluster: str | None = None,
) -> list[str]:
    """Submit the jobs; returns one line for each. ``cluster``: submitit's name of one, for tests."""
    try:
        import submitit
    except ImportError:
        raise MissingExtraError("submitit", "slurm", "--launcher slurm") from None
    executor: Any = submitit.AutoExecutor(folder=folder / "%j", cluster=cluster)
    executor.update_parameters(name="ssl-bench")
    lines = []
    for name, command in job_commands(models, tasks, argv).items():
        try:
            job = executor.submit(subprocess.run, command, check=True)
        except (FileNotFoundError, submitit.core.utils.FailedJobError) as error:
            raise SslBenchError(
                f"The cluster did not take the job of {name}: {error}", "Is this a slurm login node?"
            ) from None
        lines.append(f"{name}: job {job.job_id}, log in {folder / str(job.job_id)}")
    return lines
