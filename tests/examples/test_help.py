"""Every example of `--help` is typed as it stands, one after another in one folder, and does what it says."""

from pathlib import Path

import pytest

from tests.examples.pages import examples, shell_lines
from tests.examples.shell import Terminal, check_text

# Examples that need a cluster: tests/pipeline/cli/test_submit.py and test_journey.py run theirs.
NOT_RUN = "refinery submit"


@pytest.mark.usefixtures("few_steps")
def test_every_example_of_help(folder: Path) -> None:
    """What no example makes is made by a line of the docs. All steps of a training: `test_docs.py`."""
    found = [line for line in examples() if not line.text.startswith(NOT_RUN)]
    terminal = Terminal(folder, [*found, *shell_lines()])
    print(f"\n{len(found)} examples of --help")
    for _, line in found:
        check_text(line, terminal.type(line))
