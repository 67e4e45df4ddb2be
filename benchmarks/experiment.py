"""The original experiment: 3,000 books one after the other over HTTP/1.1, against HTTP/2.

``python -m benchmarks.experiment`` compares the original's first client, requests in a loop, with plait
over HTTP/2, 100 requests in flight. The experiment that began this saw 1.65 times less wall time.

The comparison changes two things at once, the protocol and the concurrency: that is what the original
did. `plait compare` shows the steps in between.
"""

from __future__ import annotations

from benchmarks.crawl import compare, parser_of
from benchmarks.report import print_environment, print_figure

__all__ = ["main"]


def main() -> None:
    """Measure and print both figures."""
    arguments = parser_of(__doc__, "python -m benchmarks.experiment").parse_args()
    print_environment("plait", "requests")
    samples = compare(["plait.Client", "requests, serial"], arguments.rounds, arguments.books)
    targets = {"requests, serial": 12.0}
    print_figure("Wall time of the whole process", "ms", samples.wall, targets=targets, plait="plait.Client")
    print_figure("CPU of the whole process", "ms", samples.cpu, targets={}, plait="plait.Client")


if __name__ == "__main__":
    main()
