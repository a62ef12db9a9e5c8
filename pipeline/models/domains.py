"""Domain labels by a fastText classifier with calibrated probabilities (`refinery fit domains`)."""

from collections.abc import Callable
from pathlib import Path

from filters.bag_of_words import quality_words
from infra.errors import UsageError
from infra.storage import read_json
from mixers.domains import DOMAINS, label
from pipeline.models.fasttext import DIGITS, check_fasttext, load_fasttext

# The parts of the model, a folder.
DOMAIN_CLASSIFIER, CALIBRATION = "model.bin", "calibration.json"
MAX_SCORED_CHARS = 100_000


def load_domains(path: Path) -> Callable[[str], tuple[str, dict[str, float]]]:
    """text → (most probable domain, calibrated probability of each domain), by the model in folder `path`."""
    model = load_fasttext(path / DOMAIN_CLASSIFIER)
    temperature = _temperature(path)

    def classify(text: str) -> tuple[str, dict[str, float]]:
        labels, scores = model.predict(quality_words(text, MAX_SCORED_CHARS), k=-1)
        found = label([labels], [scores], temperature)
        values = (round(float(value), DIGITS) for value in found.probabilities_ND[0])
        return found.domain[0], dict(zip(DOMAINS, values))

    return classify


def check_domains(path: Path) -> None:
    """UsageError unless `load_domains` can load the model in folder `path`."""
    check_fasttext(path / DOMAIN_CLASSIFIER)
    _temperature(path)


def _temperature(path: Path) -> float:
    calibration = read_json(path / CALIBRATION)
    if not isinstance(calibration, dict) or not isinstance(calibration.get("temperature"), float | int):
        raise UsageError(f"{path / CALIBRATION} holds no temperature: run `refinery fit domains` again")
    return float(calibration["temperature"])
