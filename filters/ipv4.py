"""The mask for IPv4 addresses that tells them from versions, numbers of sections and coordinates by their place.

Four numbers with dots may be any of these. An address stands alone, or after a word such as IP, host, ping, server; a
version after a word for it, after the name of a program or of a package; a number of a section after a word for that,
or before its heading. The nearest word counts.
"""

import re

from filters.edits import IPV4_MASK, is_public_ipv4, mask_each

_FORM = re.compile(r"(?<![A-Za-z0-9_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[A-Za-z0-9_])")
_REACH = 48
_ADDRESS_WORD = re.compile(
    r"\b(?:ip(?:v4)?s?|hosts?|hostname|ping(?:ed|ing|s)?|servers?|addr(?:ess|esses)?|dns|nameservers?|gateways?|routers?|"
    r"prox(?:y|ies)|clients?|ssh|telnet|traceroute|whois|subnets?|inet|peers?|nodes?|remote|visitors?)\b|地址|主機|主机|"
    r"服务器|サーバー?|アドレス|адрес\w*|сервер\w*|adresse|dirección|endereço|indirizzo",
    re.IGNORECASE,
)
# A word for a version has it at its end (`AssemblyVersion`); then at most two small words, and signs.
_VERSION_WORD = re.compile(
    r"(?:versions?(?:nummer)?|\bver|releases?|firmware|builds?|\b(?:v|vers|rel|kernels?|drivers?|updat(?:e|ed|es|ing)|"
    r"upgrad(?:e|ed|es|ing)|patch(?:ed|es)?|rev|revisions?|sdk|plugins?|packages?|installers?|editions?|rc|bugfix|hotfix|"
    r"sections?|sect?|chapters?|ch|clauses?|articles?|art|paragraphs?|para|tables?|figures?|fig|appendix|annex|steps?|"
    r"items?|rules?|parts?|exercises?|examples?|lemma|theorem|problems?|questions?|abschnitt|kapitel|absatz|ziffer|"
    r"sección|sezione|seção|capítulo|versión|versione|versão|wersj\w|sürüm|верси\w|раздел\w*|пункт\w*|глав\w|"
    r"chrome|chromium|firefox|safari|opera|edge|java|jdk|jre|python|php|mysql|nginx|apache|windows|android|ios|macos|"
    r"linux|ubuntu|openssl|flash|"
    r"office|api|docker|kubernetes|node|ruby|perl|gcc|glibc|postgres(?:ql)?|nvidia|cuda|"
    r"\.net|net framework)|§+|版本号?|版|バージョン|버전|第|章|节|節)"
    r"[\"'”)\]]{0,2}[\s:=,#(\[{.\"'“>~^v-]{0,6}"
    r"(?:\b(?:no|nr|number|num|is|was|to|from|of|the|than|before|after|below|since|until|and|or|at|least)\b"
    r"[\s.:]{1,2}){0,3}[\"'(]?\Z",
    re.IGNORECASE,
)
# What stands directly before a version: a name with a slash, an @ or a hyphen, or a sign of comparison.
_NAMED = re.compile(
    r"(?:(?<!\broot)(?<!\buser)(?<!\badmin)@|(?<![/:.])\b[A-Za-z][\w.+ -]{0,40}/|[A-Za-z0-9_)]-|[=<>~^!]=?\s?)\Z"
)
_ASSIGNED = re.compile(
    r"\b\w*(?:ip|host|addr|server|dns|gateway|proxy|client|peer)\w*[\"']?\s?[:=]=?\s?\Z", re.IGNORECASE
)
_POST = re.compile(
    r"[-+](?:alpha|beta|rc|dev|snapshot|release|final|build|ga|[0-9a-f]{7})|\s?[°′']|\s[NSEW]\b", re.IGNORECASE
)
_COORDINATE = re.compile(r"\b[NSEW]\s?\Z")
_NETWORK = re.compile(r"/[0-9]{1,2}\b|:[0-9]{2,5}\b")
_JOINED = re.compile(r"\s?(?:,|/|-|–|\band\b|\bor\b|\bto\b|->|→)\s?(?:\band\b\s?)?")
_HEADING = re.compile(r"\.?\s+[^\W\d_]")
_MOST_SECTION = 40


def mask_ipv4_in_context(text: str) -> tuple[str, int]:
    """Public IPv4 addresses -> 192.0.2.1; versions, numbers of sections and coordinates are kept."""
    last_version = -1  # where the last number ended that is none, for the next of a list

    def find(match: re.Match[str]) -> int | None:
        nonlocal last_version
        joined = last_version >= 0 and _JOINED.fullmatch(text, last_version, match.start())
        if joined or not _is_address(match):
            last_version = match.end()
            return None
        return match.end() if is_public_ipv4(match.group()) else None

    return mask_each(text, _FORM, find, IPV4_MASK)


def _is_address(match: re.Match[str]) -> bool:
    text, start, end = match.string, match.start(), match.end()
    before = text[max(0, start - _REACH) : start].rpartition("\n")[2]
    network = _NETWORK.match(text, end)
    if _POST.match(text, end) or _COORDINATE.search(before):
        return False
    if _ASSIGNED.search(before):
        return True
    if _NAMED.search(before) and not before.endswith("//"):
        return False
    version = _VERSION_WORD.search(before)
    word = max((found.start() for found in _ADDRESS_WORD.finditer(before)), default=-1)
    if version and word < version.start():
        return False
    if word >= 0 or network:
        return True
    numbers = [int(number) for number in match.group().split(".")]
    heading = not before.strip() and max(numbers) <= _MOST_SECTION and _HEADING.match(text, end)
    return not heading and numbers[3] != 0
