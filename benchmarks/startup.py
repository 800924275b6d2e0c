"""How long the verbs that only read cards take to start, over python's own start, in one run.

    python -m benchmarks.startup [--small]

Best of alternating rounds; every call is a process of its own. The peer of the last column is ``import torch`` alone,
which the verbs avoid.
"""

from __future__ import annotations

import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

CALLS = {
    "python -c pass": ("-c", "pass"),
    "ssl-bench --help": ("-m", "ssl_bench", "--help"),
    "ssl-bench list models": ("-m", "ssl_bench", "list", "models"),
    "ssl-bench list tasks": ("-m", "ssl_bench", "list", "tasks"),
    "ssl-bench run --help": ("-m", "ssl_bench", "run", "--help"),
    "python -c 'import torch'": ("-c", "import torch"),
}


def measure(rounds: int) -> dict[str, float]:
    """Best seconds of each call."""
    best = dict.fromkeys(CALLS, float("inf"))
    for _ in range(rounds):
        for name, arguments in CALLS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    best = measure(rounds=3 if "--small" in sys.argv else 10)
    bare, torch = best["python -c pass"], best["python -c 'import torch'"]
    table = Table("call", "seconds", "over python's start", "share of import torch")
    for name, seconds in best.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds - bare:.2f}", f"{(seconds - bare) / (torch - bare):.2f}")
    console = Console(width=120)
    console.print(table)
    console.print("Target: --help and list under 0.30 s over python's start.")


if __name__ == "__main__":
    main()
