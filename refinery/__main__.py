"""`python -m refinery`: the command line."""

import gc

# Imports and models make hundreds of thousands of objects that stay: looking through them for garbage again and again
# takes a twentieth of the time that a command needs to start.
gc.set_threshold(100_000)

from pipeline.cli.app import main  # noqa: E402

if __name__ == "__main__":
    main()
