#!/bin/sh
# Question: which columns does gwaslab turn round when a variant's effect allele is the reference's allele and the two
# alleles are swapped?
#
# Guess, written before the run: all that depend on the allele: beta, its interval, Z, odds ratio and its interval,
# hazard ratio, frequency, direction.
#
# Versions: gwaslab 4.2.3, pandas 2.3.3, numpy 2.4.6, polars 2.1.0.
#
# Seen: all but one. The upper bound of beta becomes minus the lower one, as it should; then the lower bound becomes
# minus the new upper one, which is itself: it stays as it was. The interval of a flipped variant runs from a positive
# lower bound to a negative upper one, and beta lies outside it. The odds ratio's interval is right. The log says that
# both are flipped.
#
# Output (a variant given with the reference as its effect allele, before and after harmonisation):
#   before: beta 0.3 (0.104 to 0.496), OR 1.35 (1.11 to 1.64), EAF 0.2, direction +-?
#   after: beta -0.3 (0.104 to -0.104), OR 0.741 (0.609 to 0.901), EAF 0.8, direction -+?
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet gwaslab==4.2.3 pandas==2.3.3 numpy==2.4.6 polars==2.1.0; } ||
    { echo 'could not install' >&2; exit 2; }

printf '>1\nACGTTGCAAGCTTACGGATC\n' > x.fa
{
    echo SNPID CHR POS EA NEA EAF BETA SE P N BL BU OR OL OU DIR
    echo v 1 10 G A 0.2 0.3 0.1 0.0027 100 0.104 0.496 1.35 1.11 1.642 '+-?'
} | tr ' ' '\t' > x.tsv

cat > run.py <<'PY'
import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import gwaslab

    found = gwaslab.Sumstats(
        "x.tsv", snpid="SNPID", chrom="CHR", pos="POS", ea="EA", nea="NEA", eaf="EAF", beta="BETA", se="SE", p="P",
        n="N", beta_95L="BL", beta_95U="BU", OR="OR", OR_95L="OL", OR_95U="OU", direction="DIR", build="19",
        verbose=False)


def shown(name):
    row = found.data.iloc[0]
    print(f"{name}: beta {row.BETA:.3g} ({row.BETA_95L:.3g} to {row.BETA_95U:.3g}), OR {row.OR:.3g} "
          f"({row.OR_95L:.3g} to {row.OR_95U:.3g}), EAF {row.EAF:.3g}, direction {row.DIRECTION}")


shown("before")
with contextlib.redirect_stdout(io.StringIO()):
    found.basic_check(verbose=False)
    found.harmonize(ref_seq="x.fa", basic_check=False, verbose=False)
shown("after")
PY
HOME=$dir OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
before: beta 0.3 (0.104 to 0.496), OR 1.35 (1.11 to 1.64), EAF 0.2, direction +-?
after: beta -0.3 (0.104 to -0.104), OR 0.741 (0.609 to 0.901), EAF 0.8, direction -+?
TXT
diff expected seen || { cat said >&2; exit 1; }
