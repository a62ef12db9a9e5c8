"""MinHash by other libraries: rensa, datasketch and datatrove[processing] with spaCy, those that its environment has.

    minhash_peer.py speed < rows        CPU seconds of each that there is; a row: `peer`, `texts`, `permutations`
    minhash_peer.py estimates < rows    the estimated similarity of each pair; a row: `peer`, `pairs`, `permutations`

Rows are JSON values, one a line, and so are the answers, null where the library is not there. Words are cut by a
regular expression for rensa and datasketch, which take sets of tokens; datatrove cuts them itself. "rensa, sets given"
is rensa's matrix alone: the shingles are hashed before the clock starts.
"""

import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any, Final

WORD: Final = re.compile(r"\w+")
NGRAM: Final = 5


def shingle_set(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    return list({" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))})


def rensa(texts: list[str], permutations: int) -> Any:
    from rensa import RMinHash

    return RMinHash.digest_matrix_from_token_sets([shingle_set(text) for text in texts], permutations, 1)


def rensa_of_sets(sets: list[list[int]], permutations: int) -> Any:
    from rensa import RMinHash

    return RMinHash.digest_matrix_from_token_hash_sets(sets, permutations, 1)


def datasketch(texts: list[str], permutations: int) -> Any:
    from datasketch import MinHash

    return MinHash.bulk([[each.encode() for each in shingle_set(text)] for text in texts], num_perm=permutations)


def datatrove(texts: list[str], permutations: int) -> Any:
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

    config = MinhashConfig(n_grams=NGRAM, num_buckets=permutations // 8, hashes_per_bucket=8)
    step = MinhashDedupSignature("memory://nothing", config)
    return [step.get_signature(step.get_shingles(text)) for text in texts if len(text.split()) > NGRAM]


WORKS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "rensa": rensa,
    "rensa, sets given": rensa_of_sets,
    "datasketch": datasketch,
    "datatrove": datatrove,
}


def speed(row: dict[str, Any]) -> float:
    """CPU seconds of the process, all of its threads."""
    work, given, permutations = WORKS[row["peer"]], row["texts"], row["permutations"]
    if work is rensa_of_sets:
        from rensa import RMinHash

        given = RMinHash.hash_token_sets([shingle_set(text) for text in given])
    else:
        work(["One text of more than five words to load tables with."], permutations)
    begin = time.process_time()
    work(given, permutations)
    return time.process_time() - begin


def estimates(row: dict[str, Any]) -> list[float]:
    made = [WORKS[row["peer"]](list(side), row["permutations"]) for side in zip(*row["pairs"])]
    sides = [side.to_rows() if hasattr(side, "to_rows") else side for side in made]
    rows = [[each.hashvalues.tolist() if hasattr(each, "hashvalues") else each for each in side] for side in sides]
    return [sum(x == y for x, y in zip(a, b)) / row["permutations"] for a, b in zip(*rows, strict=True)]


if __name__ == "__main__":
    answer = {"speed": speed, "estimates": estimates}[sys.argv[1]]
    for line in sys.stdin:
        row = json.loads(line)
        there = importlib.util.find_spec(row["peer"].partition(",")[0]) is not None
        print(json.dumps(answer(row) if there else None), flush=True)
