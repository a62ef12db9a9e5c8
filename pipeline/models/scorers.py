"""Every learned scorer, by the `what` of its label step: the one place where the models' rows come together."""

from pipeline.models import (
    bag_of_words,
    coherence,
    contamination,
    grade,
    hate,
    perplexity,
    properties,
    quality,
    redpajama,
    reference,
    safety,
    topics,
)
from pipeline.models.scorer import Scorer

SCORERS: dict[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        quality.SCORER,
        bag_of_words.SCORER,
        reference.SCORER,
        properties.SCORER,
        perplexity.SCORER,
        coherence.SCORER,
        safety.SCORER,
        hate.SCORER,
        grade.SCORER,
        contamination.SCORER,
        redpajama.SCORER,
        topics.SCORER,
    )
}
