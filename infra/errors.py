"""The errors that a person sees: one line that says what is wrong, where, and what to do.

`UsageError` becomes exit code 2, `WorkError` exit code 1 (see `pipeline/cli/app.py`); anything else is a bug and
shows its traceback.
"""


class RefineryError(Exception):
    """Base of the errors that are reported as one line instead of a traceback."""

    exit_code = 1


class UsageError(RefineryError):
    """The arguments or the input were wrong: unknown recipe, missing file, missing model, wrong schema."""

    exit_code = 2


class WorkError(RefineryError):
    """The work failed, or damage was found on the way: a full disk, a broken invariant, a corrupt shard."""

    exit_code = 1
