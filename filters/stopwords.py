"""Stop words: function words that running prose always has; a text that lacks them is a list, or not language.

The lists are short and hand-made: some thirty of the most frequent function words of each language. For Japanese, whose
words are characters here, they are function characters. FineWeb2's own lists, to which its thresholds belong, are
included for its ten largest languages.
"""

from functools import lru_cache

import numpy as np

from filters.repeats import Hashes, hash_words
from filters.signal import Signal
from filters.view import View

STOP_WORDS: dict[str, str] = {
    "en": "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they "
    "which you were her all she there would their we him been has when who will no more if out so what",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er "
    "hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor",
    "fr": "de la le et les des en un du une que est dans qui par pour au il sur pas plus ce ne se avec son sont mais "
    "aux comme ou cette elle été ses leur on nous vous je sa être fait même ont",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más pero sus le ya o este sí "
    "porque esta entre cuando muy sin sobre también me hasta hay donde han quien ser son",
    "it": "di e il la che in a per è un del non con una i le da si sono al come dei nel più alla ma lo della gli anche "
    "delle ha se o questo ci su dal degli sua mi era loro cui",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu "
    "sua ou ser quando muito há nos já está eu também só pelo pela até isso",
    "nl": "de van het een en in is dat op te zijn met voor niet aan er die om ook als dan maar bij of uit naar nog "
    "door over ze hij ik heeft hun worden wordt wat tot je geen al kan deze was",
    "pl": "w i na z do się nie to że o jest a po od jak za co dla przez ale ich był tym tak być jego przy może tego są "
    "ten ma jako lub czy oraz tylko już było",
    "ru": "и в не на я что с он как по но это к у его из за от так же все о бы для ты мы было вы она то был она их ее "
    "мне только или если уже при нет до ни когда где есть",
    "uk": "і в на не що з я як до та це за у по він від про а його для але так все було є їх чи вона ми ви бути був "
    "або цього якщо вже також тільки коли при",
    "tr": "ve bir bu da de için ile çok daha olarak gibi en olan ne sonra kadar o ama var ise değil her veya ki mi ya "
    "olduğu oldu tarafından göre ben onun",
    "sv": "och i att det som en på är av för med den till inte har de ett om han var men jag så vi från kan när sig nu "
    "eller ut man hade där efter också vid ska",
    "id": "yang dan di untuk dengan dari ini itu pada dalam tidak ke adalah akan juga atau oleh saya mereka bisa kami "
    "ada telah karena seperti sebagai lebih dia kita sudah",
    "vi": "và của là có được cho một trong không với các đã này những người để đến khi về từ như cũng ra tại vào phải "
    "nhưng còn thì theo",
    "ar": "في من على أن إلى التي عن لا ما هذا هذه مع كان الذي أو و كل ذلك بعد بين قد هو هي ثم كما لم إن حتى منذ",
    "ko": "그 이 수 있는 것 및 등 더 한 또는 그리고 위해 대한 있다 하는 때 것이다 이런 많은 있습니다 합니다 "
    "그러나 것을 것은",
    "zh": "的 了 是 在 和 有 不 我 这 他 也 就 我们 他们 中 上 为 与 到 对 而 以 于 之 其 着 及 但 被 从 把 她 你 它 "
    "都 会 可以 没有 一个 这个 因为 所以 如果 但是 不是 自己 什么",
    "ja": "の に は を た が で て と し れ さ も な い か ら こ よ",
}

# FineWeb2's configs/*.yml (cmn_Hani, deu_Latn, fra_Latn, spa_Latn, rus_Cyrl, jpn_Jpan, por_Latn, ita_Latn, nld_Latn,
# pol_Latn), derived by it from each language's Wikipedia. Our tokens keep French and Italian elisions whole: l'homme.
FINEWEB2_STOP_WORDS: dict[str, str] = {
    "zh": "的 年 在 月 是 和 日 了 於 · 為 有 被 人 中 为 他 與 後 也 而 由",
    "de": "der und die in von im den des mit das er dem als wurde für",
    "fr": "de la le et à en l' des du les est d' un une il dans par au",
    "es": "de la en el y a que del los se por un con una las su",
    "ru": "в и на с года по году из был к не от что за для его как а он также до после",
    "ja": "の に を は た て が と で 年 し ・ 月 れ さ",
    "pt": "de a e o em do da que um no uma com para na é foi",
    "it": "di e il la in a del che è della un per nel l' con da i una",
    "nl": "de van in het een en is op voor met door zijn werd hij uit",
    "pl": "w i na z do się roku od a jest przez po jako oraz o został był nie",
}


def occurrences(view: View) -> float | None:
    """Occurrences of the language's stop words; None without a list."""
    if view.language not in STOP_WORDS:
        return None
    return float(np.count_nonzero(np.isin(view.lower_words, _hashes(STOP_WORDS[view.language]))))


def distinct(view: View) -> float | None:
    """Distinct stop words of the language that occur in the text; None without a list."""
    if view.language not in STOP_WORDS:
        return None
    return float(np.count_nonzero(np.isin(_hashes(STOP_WORDS[view.language]), view.lower_words)))


def fraction(view: View) -> float | None:
    """Share of the words that are stop words; None without a list or without words."""
    found = occurrences(view)
    return None if found is None or not len(view.words) else found / len(view.words)


def fineweb2_distinct(view: View) -> float | None:
    """Distinct FineWeb2 stop words of the language among the tokens, case kept (datatrove's intersection of sets)."""
    if view.language not in FINEWEB2_STOP_WORDS:
        return None
    return float(np.count_nonzero(np.isin(_hashes(FINEWEB2_STOP_WORDS[view.language]), view.tokens.hashes)))


@lru_cache(maxsize=48)
def _hashes(words: str) -> Hashes:
    return np.unique(hash_words(words.split()))


SIGNALS = (
    Signal("stop_words", occurrences, 40, "Gopher A1, other languages", "stop words, 0 and up; low = no prose"),
    Signal("distinct_stop_words", distinct, 40, "Gopher A1 as datatrove counts", "different stop words, 0 and up"),
    Signal("fineweb2_stop_words", fineweb2_distinct, 40, "FineWeb2 configs", "different ones, 0 and up; drop under 2"),
    Signal("stop_word_fraction", fraction, 40, "RedPajama-V2", "of words, 0..1; prose .3-.5"),
)
