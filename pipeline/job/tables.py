"""The intermediate tables of one stage: datasets with receipts of their own below one folder (`OUT/.work`).

A stage over the whole pool (copies, percentiles, clusters, a draw) makes such tables before it decides, so that a
killed run resumes where it was. They are deleted when the stage's own dataset is committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset, Source
from infra.dataset.receipts import WORK
from infra.engines.engine import Engine
from infra.engines.sizes import partitions_for
from infra.engines.task import Reducer, Task
from pipeline.job.context import Context


@dataclass(frozen=True)
class Tables:
    """Makes the tables of one stage, named `STAGE.TABLE` in headers and progress."""

    engine: Engine
    recipe: RecipeRef
    stage: str
    folder: Path

    @classmethod
    def of(cls, context: Context, stage: str, out: Path) -> "Tables":
        """The tables of the stage whose dataset will be `out`."""
        return cls(context.engine, context.recipe.ref, stage, out / WORK)

    def map(self, name: str, task: Task, *sources: Source) -> Dataset:
        refs = tuple(ref for source in sources for ref in source.refs)
        return self.engine.map_shards(task, sources, self.folder / name, self._header(name, refs))

    def reduce(
        self, name: str, tables: Sequence[Dataset], key: str, reducer: Reducer, partitions: int = 0, together: int = 1
    ) -> Dataset:
        """`partitions`: their number; by default it follows from the size of the tables. `together`: so many keys that
        follow each other are in one partition."""
        refs = tuple(ref for table in tables for ref in table.refs)
        count, header = partitions or partitions_for(tables), self._header(name, refs)
        return self.engine.reduce_by_key(tables, key, reducer, count, self.folder / name, header, together)

    def _header(self, name: str, inputs: tuple[InputRef, ...]) -> Header:
        # of other inputs after a command that was killed: partitions that are the same are used again
        return Header(Kind.TABLE, f"{self.stage}.{name}", self.recipe, {}, inputs, reuse=())
