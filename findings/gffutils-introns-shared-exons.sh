#!/bin/sh
# Question: two transcripts share an exon, which the GFF3 has once, with both as its parents. To which transcripts do
# the introns belong that gffutils' `create_introns` makes?
#
# Guess, written before the run: to those that have them.
#
# Versions: gffutils 0.14.
#
# Seen: every intron beside the shared exon has both as parents, as its attributes are put together from those of the
# two exons around it. So a transcript gets introns of another one, that lie over its own exons. Of exons that both
# share, each intron comes twice, so that counts per intron are doubled. `create_splice_sites` likewise. No
# warning.
#
# Output (t1 has an exon at 301-400, t2 one at 251-280; both have those at 101-200, 501-600 and 701-800):
#   intron 201-250: parents t1 t2, should be t2
#   intron 201-300: parents t1 t2, should be t1
#   intron 281-500: parents t1 t2, should be t2
#   intron 401-500: parents t1 t2, should be t1
#   intron 601-700: parents t1 t2, should be t1 t2
#   intron 601-700: parents t1 t2, should be t1 t2
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir gffutils==0.14; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import gffutils

EXONS = ((101, 200, "t1,t2"), (301, 400, "t1"), (251, 280, "t2"), (501, 600, "t1,t2"), (701, 800, "t1,t2"))
rows = [("gene", 101, 800, "ID=g"), ("mRNA", 101, 800, "ID=t1;Parent=g"), ("mRNA", 101, 800, "ID=t2;Parent=g")]
rows += [("exon", first, last, f"ID=e{first};Parent={parents}") for first, last, parents in EXONS]
text = "##gff-version 3\n" + "".join(f"chr1\tmade\t{k}\t{s}\t{e}\t.\t+\t.\t{a}\n" for k, s, e, a in rows)
db = gffutils.create_db(text, ":memory:", from_string=True)

own = {}
for name in ("t1", "t2"):
    exons = sorted((first, last) for first, last, parents in EXONS if name in parents.split(","))
    for (_, last), (first, _) in zip(exons, exons[1:]):
        own.setdefault((last + 1, first - 1), []).append(name)
made = sorted((intron.start, intron.end, " ".join(sorted(intron["Parent"]))) for intron in db.create_introns())
for first, last, parents in made:
    print(f"intron {first}-{last}: parents {parents}, should be {' '.join(own[first, last])}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
intron 201-250: parents t1 t2, should be t2
intron 201-300: parents t1 t2, should be t1
intron 281-500: parents t1 t2, should be t2
intron 401-500: parents t1 t2, should be t1
intron 601-700: parents t1 t2, should be t1 t2
intron 601-700: parents t1 t2, should be t1 t2
TXT
diff expected seen
