"""The taxonomy of subjects (`taxonomy/taxonomy.toml`): which domain of a mixture each subject of a page counts for."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from infra.errors import UsageError
from mixers.domains import AXIS_OF, DOMAINS, GENERAL

# A subject is told where it is at least as likely as not; else the page is general.
LEAST_PROBABILITY = 0.5


def read_taxonomy(content: str) -> dict[str, str]:
    """Subject → domain. UsageError for a domain that there is not, and for a subject that cannot be a signal's name."""
    try:
        subjects = tomllib.loads(content)["subjects"]
        pairs = dict(subjects.items())
    except (tomllib.TOMLDecodeError, KeyError, AttributeError):
        raise UsageError('the taxonomy needs a table [subjects] of lines such as medicine = "science"') from None
    for subject, domain in pairs.items():
        if domain not in DOMAINS:
            raise UsageError(
                f"taxonomy: {subject} is of {domain!r}, which is no domain: there are {', '.join(DOMAINS)}"
            )
        if not subject.isidentifier():
            raise UsageError(f"taxonomy: a subject cannot be called {subject!r}: give letters, digits and _")
    return pairs


DOMAIN_OF_SUBJECT = read_taxonomy((resources.files("mixers.taxonomy") / "taxonomy.toml").read_text(encoding="utf-8"))


def domain_of(probabilities: Mapping[str, float | None], axes: Mapping[str, float] = MappingProxyType({})) -> str:
    """The domain of the most probable subject; general where none has LEAST_PROBABILITY.

    `axes`: the probabilities of IQ and EQ, where they are known: then they decide whether the text is general, and of
    which axis the subject is. A text that is surely about something is not general because several subjects share it.
    """
    known = {subject: value for subject, value in probabilities.items() if value is not None}
    if axes:
        axis = max(axes, key=lambda name: (axes[name], name))
        known = {subject: value for subject, value in known.items() if AXIS_OF[DOMAIN_OF_SUBJECT[subject]] == axis}
    best = max(known, key=lambda subject: (known[subject], subject), default="")
    sure = axes[axis] if axes else known.get(best, 0.0)
    return DOMAIN_OF_SUBJECT[best] if best and sure >= LEAST_PROBABILITY else GENERAL
