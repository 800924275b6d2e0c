"""What must be quick imports no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list"], ["list", "tasks"], ["run", "--help"], ["show", "task", "--help"]]
)
def test_no_torch_is_imported(arguments: list[str]) -> None:
    code = (
        "import sys; sys.argv = ['ssl-bench', *sys.argv[1:]]\n"
        "from ssl_bench.cli.app import main\n"
        "try: main()\n"
        "finally:\n"
        "    heavy = {'torch', 'timm', 'torchvision', 'faiss', 'pandas', 'sklearn', 'altair', 'scipy', 'numpy'} & set(sys.modules)\n"
        "    sys.stderr.write('HEAVY ' + ','.join(sorted(heavy)) + '\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "HEAVY ", done.stderr
