"""Claims of language: BCP 47 as it is, as it is misused, and what claims none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.head import declared_language
from pipeline.extract.language_claims import claimed_language


@pytest.mark.parametrize(
    ("language", "claims"),
    [
        ("en", "ＥＮ ｅｎ－ＵＳ \u200een en\u200f \ufeffen-GB"),
        ("en", "en EN en-GB en_US en-US-x-private en_US.UTF-8 en-GB-oed eng gb us en;q=0.8 en,de 'en' English en-uk"),
        ("zh", "zh zh-CN zh_TW zh-Hant zh-Hans-CN zh-cmn-Hans cmn-Hans-CN cn tw hk chi Chinese 中文 zh_CN.GB2312"),
        ("ja", "ja ja-JP jp JP jpn ja_JP.eucJP 日本語"), ("ko", "ko kr kor ko-KR 한국어"),
        ("de", "de de-AT de_DE@euro deu ger at German Deutsch de-DE-1996"), ("fr", "fr fra fre Français fr-CA"),
        ("uk", "uk ua ukr uk-UA"), ("cs", "cs cz cze ces"), ("da", "da dk"), ("el", "el gr ell"), ("sv", "sv se sv_SE"),
        ("he", "he iw il he-IL"), ("id", "id in ind"), ("no", "no nb nob nb-NO no-bok"), ("nn", "nn nn-NO nno no-nyn"),
        ("sr", "sr sr-Latn rs sr-Cyrl-RS"), ("fa", "fa fas per ir fa_IR"), ("ro", "ro mo ron"), ("vi", "vi vn vie"),
        ("yue", "yue zh-yue zh-yue-HK"), ("nan", "zh-min-nan nan"), ("ar", "ar ara arb ar-EG eg"), ("tl", "tl fil tgl"),
        ("br", "br br-FR"), ("be", "be be-BY"), ("si", "si"), ("jbo", "jbo art-lojban"), ("hsb", "hsb"),
        ("zh", "chs CHT zhcn zhTW 简体中文 繁體中文 zh-CN.utf8 ZH_hans_cn tw-zh cn-zh"),
        ("en", "jp-en hk-en us-en enUS in-en ENU"),
        ("hi", "hi हिन्दी हिन्दी-IN हिंदी in-hi"), ("ja", "jp-ja japan にほんご jaJP"), ("ko", "kr-ko 한국말 koKR"),
        ("pt", "ptb ptBR pt-br,pt"), ("es", "mx-es-MX es-419 esp es-ES_tradnl"), ("vi", "TiếngViệt vn-vi"),
        ("ar", "il-ar eg-ar ar-AE.utf8"), ("da", "dk-da da_DK.ISO8859-15"), ("de", "dede de_DE_formal de-CH-1901"),
        ("", "x-default und mul zxx C POSIX {{lang}} <?=$lang?> 1 - _ xx klingon i-klingon sgn-US qaa x * none true"),
    ],
)  # fmt: skip
def test_claims(language: str, claims: str) -> None:
    assert {claim: claimed_language(claim) for claim in claims.split()} == dict.fromkeys(claims.split(), language)


@given(st.text(max_size=40) | st.text("ab-_.;, xX1\ud800中", max_size=20))
def test_any_claim(claim: str) -> None:
    language = claimed_language(claim)
    assert language == claimed_language(language)
    if claim.upper().lower() == claim.lower():  # of ß other letters are made
        assert language == claimed_language(f" {claim.strip()} ".upper())


@pytest.mark.parametrize(("written", "language"), [("jp", "ja"), ("日本語", "ja"), ("x-default", ""), ("zh_TW", "zh")])
def test_an_html_element(written: str, language: str) -> None:
    assert declared_language(f'<!doctype html><html class="a" lang="{written}">'.encode()) == language
