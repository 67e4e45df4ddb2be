"""What a crawl of the bookstore's 3,000 books costs under Twisted: its agent over HTTP/1.1, and plait's.

``python -m benchmarks.twisted_crawl`` runs each as its own process, as ``benchmarks.crawl`` does; half of
what plait's takes is what Twisted takes to start.
"""

from __future__ import annotations

from benchmarks.crawl import compare, parser_of
from benchmarks.report import print_environment, print_figure

__all__ = ["main"]

_PLAIT, _TWISTED = "plait's Agent", "Twisted's Agent, 6 connections"
_TARGETS = {_TWISTED: 1.3}


def main() -> None:
    """Measure and print both figures."""
    arguments = parser_of(__doc__ or "", "python -m benchmarks.twisted_crawl").parse_args()
    print_environment("plait", "twisted")
    samples = compare([_PLAIT, _TWISTED], arguments.rounds, arguments.books)
    print_figure("CPU of the whole process", "ms", samples.cpu, targets=_TARGETS, plait=_PLAIT)
    print_figure("Wall time of the whole process", "ms", samples.wall, targets={}, plait=_PLAIT)


if __name__ == "__main__":
    main()
