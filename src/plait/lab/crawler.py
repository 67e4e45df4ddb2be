"""One crawl in a process of its own: reads a job from standard input, writes a result to standard output.

The process is measured from before it is started until it is gone, so it does nothing it need not do.
"""

from __future__ import annotations

import json
import sys

from plait.lab.contenders import Crawl, contender_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]


def main() -> None:
    """Run the job on standard input."""
    job = json.load(sys.stdin)
    crawl = Crawl(job)
    result: dict[str, Any]
    try:
        contender_named(job["contender"]).crawl(crawl)
    except Exception as error:  # whatever a client raises, the crawl failed
        result = {"failure": f"{type(error).__name__}: {error}"}
    else:
        result = {
            "failure": None,
            "received": crawl.received,
            "latencies": [round(seconds * 1e6) for seconds in crawl.seconds],
            "connections": crawl.connections,
            "bytes_sent": crawl.bytes_sent,
            "bytes_received": crawl.bytes_received,
            "peak_memory": peak_memory(),
        }
    sys.stdout.write(json.dumps(result))  # json.dump would write it piece by piece, in Python


def peak_memory() -> int | None:
    """Ask the kernel for the largest resident set of this program, in bytes; None where it cannot be asked.

    What it says of a child that has ended (``ru_maxrss``) counts the copy of the parent, too, that
    the child was before it started the program: a small crawler would look as large as its parent.
    """
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


if __name__ == "__main__":
    main()
