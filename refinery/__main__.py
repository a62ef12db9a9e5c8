"""`python -m refinery`: the command line."""

import atexit
import gc

# Imports and models make hundreds of thousands of objects that stay. To look through them for garbage takes a twentieth
# of the time that a command needs to start, once while they are made and once more as the process ends.
gc.set_threshold(200_000)
atexit.register(gc.freeze)

from pipeline.cli.app import main  # noqa: E402

if __name__ == "__main__":
    main()
