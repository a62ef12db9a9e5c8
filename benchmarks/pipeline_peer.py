"""The other side of pipeline_speed.py: datatrove's FineWeb pipeline, in an environment of its own.

As in its examples/fineweb.py up to and without MinHash, on one core: one task, one worker. What differs: files are
local, what a filter rejects is not written (which would only slow it down), the list of public suffixes is the one
that tldextract carries, the language model lies on the disk, and no page is lost to the clock.

    python pipeline_peer.py FOLDER_OF_WARCS OUT LANGUAGE_MODEL LIMIT        (a limit of -1 is none)

prints one line of JSON: what each step was given and passed on.
"""

import json
import sys
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.lid import FT176LID
from tldextract import TLDExtract

# Seconds on the clock for one page: its default of one second loses pages on a loaded machine.
TIMEOUT = 3600.0


def main() -> None:
    source, out, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4])
    FT176LID.MODEL_URL = str(Path(sys.argv[3]).absolute())
    urls = URLFilter()
    urls.tldextractor = TLDExtract(cache_dir=None, suffix_list_urls=())
    stats = LocalPipelineExecutor(
        pipeline=[
            WarcReader(str(source), limit=limit, default_metadata={"dump": "benchmark"}),
            urls,
            Trafilatura(favour_precision=True, timeout=TIMEOUT),
            LanguageFilter(),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            JsonlWriter(str(out / "kept")),
        ],
        tasks=1,
        workers=1,
        logging_dir=str(out / "logs"),
    ).run()
    steps = [{"step": step.name, **{name: each.total for name, each in step.stats.items()}} for step in stats.stats]
    print(json.dumps(steps, default=float))


if __name__ == "__main__":
    main()
