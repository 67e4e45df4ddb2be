"""One load in a process of its own: reads a job from standard input, writes a result to standard output.

The process is measured from before it is started until it is gone, so it does nothing it need not do.
"""

from __future__ import annotations

import json
import sys

from plait.lab.contenders.base import Load, peak_memory
from plait.lab.contenders.registry import contender_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]


def main() -> None:
    """Run the job on standard input."""
    result: dict[str, Any]
    try:
        load = Load(json.load(sys.stdin))
        contender_named(load.contender).run(load)
    except Exception as error:  # whatever a client raises, the load failed
        result = {"failure": f"{type(error).__name__}: {error}"}
    else:
        if load.peak_memory is None:
            load.peak_memory = peak_memory()
        result = load.result()
    sys.stdout.write(json.dumps(result))  # json.dump would write it piece by piece, in Python


if __name__ == "__main__":
    main()
