"""``python -m ssl_bench`` is ``ssl-bench``."""

from ssl_bench.cli.app import main

main()
