"""Signals that steps set, by name: those of learned scorers, of extraction, of labels and of rules over the pool.

A text's own signals are in `filters/catalog.py`, and are measured wherever a rule names them.
"""

from filters.catalog import SIGNALS
from filters.url import UrlLists, url_signals
from pipeline.models.scorers import SCORERS

LANGUAGE_SIGNALS = {"language_score": "fastText's probability of the label, 0 to 1 (label step)"}
CLUSTER_SIGNALS = {
    "cluster_score": "mean quality of the document's cluster of the pool, 0 to 1 (pool step)",
    "cluster": "the number of the document's cluster (pool step)",
}
# What an extract stage with a control sample says of each document.
CONTROL_SIGNALS = {
    "control": "1 if the page is of the control sample, which no quick look rejects (extract stage)",
    "quick_rejected": "how many rules of the quick look the page failed (extract stage)",
}
# What a page's headers and its robots meta element ask for.
HEADER_SIGNALS = {
    "noindex": "1 if the page asks not to be indexed (X-Robots-Tag; after extraction also its robots meta element)",
    "noai": "1 if the page asks not to be trained on (X-Robots-Tag; after extraction also its robots meta element)",
}
SCORER_SIGNALS = {
    name: f"{doc} (label step{'' if len(scorer.signals) == 1 else f' `{scorer.name}`'})"
    for scorer in SCORERS.values()
    for name, doc in scorer.signals.items()
}
STEP_SIGNALS: dict[str, str] = {
    **LANGUAGE_SIGNALS,
    **SCORER_SIGNALS,
    **CLUSTER_SIGNALS,
    **CONTROL_SIGNALS,
    **HEADER_SIGNALS,
}
# Signals of the address that need lists, which only a gate has.
LISTED_SIGNALS = frozenset(
    name for name, value in url_signals("http://a.example/", UrlLists()).items() if value is None
)
# What a rule on a text may use without a step that sets it.
MEASURED = frozenset(SIGNALS.keys() - LISTED_SIGNALS)
