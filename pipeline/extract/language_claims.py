"""Languages as pages claim them: BCP 47 (RFC 5646), and the ways in which it is written wrong.

A claim is the primary language of a tag, as the identifiers of language name it (ISO 639-1 where there is a code of two
letters). Many pages give a country (`jp`), a locale of the system (`en_US.UTF-8`), a code of three letters, an old
code, a name, several tags; what claims no language (`x-default`, `und`, a template) is none.
"""

import re
import unicodedata
from typing import Final

# Letters, of Indic scripts with the vowel signs and viramas that are no letters.
_LETTER: Final = r"[^\W\d_\u0900-\u0dff]|[\u0900-\u0dff]"
_TAG: Final = re.compile(rf"(?:{_LETTER}){{1,12}}(?:[-_](?:[A-Za-z0-9]{{1,8}}|(?:{_LETTER}){{1,12}}))*")
_BEFORE: Final = " \t\r\n\"'“”([{"

# ISO 639-1, without the codes that pages use for a country (below).
_TWO: Final = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz el en eo es
    et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki
    kj kk kl km kn ko ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr
    nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg
    th ti tk tl tn to tr ts tt ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()  # noqa: SIM905 (a list of words is easier to read as words)
)
# Languages of three letters that have none of two, and that identifiers know.
_THREE: Final = frozenset(
    """
    als arz ast azb bar bcl bpy bxr cbk ceb ckb diq dsb dty eml frr gan gom hak hif hsb ilo jbo krc lez lmo lrc mai mhr
    min mrj mwl myv mzn nah nan nap nds new pam pfl pms pnb rue sah scn sco tyv vec vep vls war wuu xal xmf yue
    """.split()  # noqa: SIM905
)


def _by_word(lines: str) -> dict[str, str]:
    """`code: words`, a code for each language, as the code of each word."""
    found: dict[str, str] = {}
    code = ""
    for word in lines.split():
        if word.endswith(":"):
            code = word[:-1]
        else:
            found[word] = code
    return found


# Codes of countries, old codes, those of ISO 639-2 and 639-3, and names, by the code that is meant. Of the countries'
# codes only those whose own language, if there is one, is hardly on the web (`kr` is Kanuri, `se` Northern Sami, `tw`
# Twi, `ee` Ewe); `br`, `uk`, `si`, `be` and others are languages.
_MEANT: Final = _by_word("""
    af: afr
    am: amh
    ar: ara arb eg iq jo kw qa sy ye العربية arabic arabisch
    az: aze azj
    be: bel by
    bg: bul bulgarian български
    bn: ben bd bangla bengali
    bs: bos
    ca: cat catalan català
    cs: ces cze cz czech čeština cesky česky
    cy: cym wel
    da: dan dk danish dansk
    de: deu ger gsw dede at german deutsch allemand
    el: ell gre gr greek ελληνικά
    en: eng enu enus engb gb us au nz english anglais englisch inglés ingles inglese
    es: spa esp esn mx cl pe uy py spanish español espanol castellano
    et: est ee ekk estonian eesti
    eu: eus baq
    fa: fas per pes prs ir persian farsi فارسی
    fi: fin finnish suomi
    fr: fra fre frfr french français francais französisch
    ga: gle
    gl: glg
    gu: guj
    he: heb iw il hebrew עברית
    hi: hin hindi हिन्दी हिंदी
    hr: hrv scr croatian hrvatski
    hu: hun hungarian magyar
    hy: hye arm armenian
    id: ind in indonesian indonesia
    is: isl ice icelandic
    it: ita italian italiano
    ja: jpn jp jajp japanese japan 日本語 にほんご
    jv: jav jw
    ka: kat geo ge georgian
    kk: kaz kz kazakh
    km: khm kh khmer
    kn: kan
    ko: kor kr kp kokr korean korea 한국어 한국말
    ku: kur kmr
    ky: kir
    la: lat latin
    lb: ltz lux
    lo: lao
    lt: lit lithuanian lietuvių
    lv: lav lvs latvian latviešu
    mk: mkd mac macedonian
    ml: mal
    mn: mon khk
    mr: mar
    ms: msa may zsm malay melayu
    mt: mlt
    my: mya bur mm burmese
    ne: nep np npi nepali
    nl: nld dut vl dutch nederlands
    nn: nno nynorsk
    no: nor nb nob norwegian norsk bokmål
    or: ori ory
    pa: pan
    pl: pol polish polski
    ps: pus
    pt: por ptb ptbr portuguese português portugues
    ro: ron rum mo mol romanian română romana
    ru: rus russian русский
    si: sin lk
    sk: slk slo slovak slovenčina
    sl: slv slovenian slovenščina
    sq: sqi alb al albanian shqip
    sr: srp scc rs serbian srpski српски
    sv: swe se swedish svenska
    sw: swa swh swahili
    ta: tam tamil
    te: tel telugu
    th: tha thai ไทย
    tl: tgl fil ph filipino tagalog
    tr: tur turkish türkçe turkce
    uk: ukr ua ukrainian українська
    ur: urd pk urdu اردو
    uz: uzb uzn
    vi: vie vn vietnamese việt tiếngviệt
    yi: yid ji
    zh: zho chi cmn lzh cn tw hk chs cht zhcn zhtw zhhk chinese mandarin
        simplified-chinese traditional-chinese 中文 汉语 漢語
        简体 繁体 繁體 简体中文 簡體中文 繁体中文 繁體中文 中国 中國
""")
# ISO 639-2 and 639-3 of the languages that have a code of two letters, by that code.
CODES_OF_THREE: Final = {word: code for word, code in _MEANT.items() if len(word) == 3 and word.isascii()}
# Languages that a macrolanguage is followed by (RFC 5646, 2.2.2) or that have a tag of their own, registered before.
_EXTENDED: Final = frozenset({"yue", "wuu", "nan", "gan", "hak", "arz"})
# Languages of many sites whose codes are no countries': behind a country's they are the language of that site.
_BEHIND_COUNTRY: Final = frozenset({"ar", "cs", "da", "el", "en", "he", "hi", "ja", "ko", "vi", "zh"})
_REGISTERED: Final = {"zh-min-nan": "nan", "art-lojban": "jbo", "i-lux": "lb", "no-bok": "no", "no-nyn": "nn"}


def claimed_language(claim: str) -> str:
    """The language of the first tag in a claim (`lang`, `Content-Language`, a locale) in lower case; "" if it names
    none."""
    if not claim.isascii():  # full-width letters, marks of direction and order
        claim = "".join(c for c in unicodedata.normalize("NFKC", claim) if unicodedata.category(c) != "Cf")
    found = _TAG.match(claim.strip(_BEFORE))
    if found is None:
        return ""
    tag = found[0].lower().replace("_", "-")
    if tag in _REGISTERED:
        return _REGISTERED[tag]
    first, _, rest = tag.partition("-")
    second = rest.partition("-")[0]
    if second in _EXTENDED:
        return second
    if tag in _MEANT:
        return _MEANT[tag]
    if second in _BEHIND_COUNTRY and len(first) == 2 and first in _MEANT and _MEANT[first] != first:
        return second  # `jp-en`, `hk-en`: the English pages for a country
    if first in _MEANT:
        return _MEANT[first]
    return first if first in _TWO or first in _THREE else ""
