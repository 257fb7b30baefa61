"""What the keeper process runs, by the path of this file: `program.py HOST_PID RUN`, a pipe on its stdin.

It has an interpreter to itself, without site packages and without the package around it: the modules that
it imports from here import next to nothing, which is what keeps it small and soon up. They are imported as
the package `keeper` rather than run from one file so that their compiled form is used.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.append(__file__.rpartition("/keeper/")[0])
    __package__ = "keeper"
    from .watch import main

    main()
