"""The docs have the figures that the benchmark prints."""

from benchmarks.__main__ import parsed
from tests.files import ROOT


def test_the_tables_of_the_page_are_what_is_printed() -> None:
    module, args = parsed("training_plans", [])
    printed = [line for line in module.show(module.run(args)) if line]
    assert len(printed) > 20
    page = (ROOT / "docs/scale.md").read_text()
    assert "\n".join(printed[:11]) in page and "\n".join(printed[11:]) in page
