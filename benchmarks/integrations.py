"""What a crawl of the bookstore's 3,000 books costs through other libraries, over plait and without it.

``python -m benchmarks.integrations`` runs each as its own process, as ``benchmarks.crawl`` does: httpx and
httpx2 with 100 requests at once over HTTP/2, requests with 32 threads.
"""

from __future__ import annotations

from benchmarks.crawl import compare, parser_of
from benchmarks.report import print_environment, print_figure

__all__ = ["main"]

#: What is compared: over plait, and without.
PAIRS = {
    "httpx over plait": "httpx",
    "httpx2 over plait": "httpx2",
    "requests over plait": "requests, 32 threads",
}


def main() -> None:
    """Measure and print both figures of each pair."""
    arguments = parser_of(__doc__ or "", "python -m benchmarks.integrations").parse_args()
    print_environment("plait", "httpx", "httpx2", "requests")
    samples = compare([name for pair in PAIRS.items() for name in pair], arguments.rounds, arguments.books)
    for title, figures in (("CPU", samples.cpu), ("Wall time", samples.wall)):
        for over_plait, without in PAIRS.items():
            rows = {name: figures[name] for name in (over_plait, without)}
            print_figure(f"{title} of the whole process", "ms", rows, targets={}, plait=over_plait)


if __name__ == "__main__":
    main()
