"""Signals that steps set, by name: those of learned scorers, of extraction, of labels and of rules over the pool.

A text's own signals are in `filters/catalog.py`, and are measured wherever a rule uses them.
"""

from filters.catalog import SIGNALS
from filters.url import UrlLists, url_signals
from pipeline.models.scorers import SCORERS

LANGUAGE_SIGNALS = {"language_score": "the probability of the language, 0 to 1 (label step)"}
CLUSTER_SIGNALS = {
    "cluster_score": "mean quality of the document's cluster of the pool, 0 to 1 (pool step)",
    "cluster": "the number of the document's cluster (pool step)",
}
# Signals that an extract stage with an audit sample sets for each document.
AUDIT_SIGNALS = {
    "audit_sample": "how many pages a page of the audit sample stands for; 0: it is not in the sample (extract stage)",
    "prefilter_rejected": "the number of prefilter rules that the page failed (extract stage)",
}
# Requests of the publisher in a page's headers and its robots meta element.
HEADER_SIGNALS = {
    "noindex": "1 if the page requests not to be indexed (X-Robots-Tag; after extraction also its robots meta element)",
    "noai": "1 if the page requests not to be trained on (X-Robots-Tag; after extraction also its robots meta element)",
}
# Of the text that an extractor with forms (`Extractor.shares`) found.
STRUCTURE_SIGNALS = {
    "code_fraction": "the share of the characters that is code, as the page marks it (extract stage: blocks, joined)",
    "table_fraction": "the share of the characters that is in tables of data (extract stage: blocks, joined)",
    "formula_fraction": "the share of the characters that is formulas (extract stage: blocks, joined)",
    "markdown": "1 if the text is light Markdown, whose marks signals, models and rules do not see (extract stage)",
}
SCORER_SIGNALS = {
    name: f"{doc} (label step{'' if len(scorer.signals) == 1 else f' `{scorer.name}`'})"
    for scorer in SCORERS.values()
    for name, doc in scorer.signals.items()
}
STEP_SIGNALS = LANGUAGE_SIGNALS | SCORER_SIGNALS | CLUSTER_SIGNALS | AUDIT_SIGNALS | HEADER_SIGNALS | STRUCTURE_SIGNALS
# URL signals that need lists, which only a gate has.
LISTED_SIGNALS = frozenset(
    name for name, value in url_signals("http://a.example/", UrlLists()).items() if value is None
)
# The signals that a rule on a text may use without a step that sets them.
MEASURED = frozenset(SIGNALS.keys() - LISTED_SIGNALS)
