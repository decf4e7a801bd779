#!/bin/sh
# Question: what does `vcftools --minGQ 20 --recode` write for a man's haploid call of low quality on chrX, and does
# vcftools filter alike in one step and in two?
#
# Guess, written before the run: `.`, a missing call of one allele. (Of one step and two nothing was written.)
#
# Versions: vcftools 0.1.16 (Debian 12).
#
# Seen: `./.`: the man has two X chromosomes at every site where his call was poor, and one at all others. What tells
# men by their haploid calls sees a person of both kinds, and vcftools itself counts two chromosomes missing. So
# `--max-missing 0.7` in the same command keeps site 10 (3 of 4 chromosomes called), asked of the file that was
# written it drops it (3 of 5). A woman's `0|1` comes as `./.`, too, and `--phased`, which keeps everything
# in the same command, drops both sites of the written file: all of a file where every site has a poor call. And
# `--missing-site` with --minGQ leaves filtered calls out of both its counts: F_MISS is 0. No warning.
#
# Output (man, man, woman; GQ is 9 for the first of them at site 10, for the last at 20; then sites that are kept, in
# one command with --minGQ and of the file that it writes, and --missing-site's F_MISS):
#   as written: 10 1 0 0|1, 20 1 0 0|1
#   --minGQ 20: 10 ./. 0 0|1, 20 1 0 ./.
#   --max-missing 0.7: one step keeps 10, two steps none
#   --phased: one step keeps 10 20, two steps none
#   F_MISS: one step 0 0, two steps 0.4 0.5
set -eu
vcftools --version 2> /dev/null | grep -q '(0.1.16)' || { echo 'needs vcftools 0.1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import subprocess

with open("raw.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=chrX,length=1000>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write('##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality of the call">\n')
    for line in ("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT man1 man2 woman",
                 "chrX 10 . A G . PASS . GT:GQ 1:9 0:99 0|1:99",
                 "chrX 20 . A G . PASS . GT:GQ 1:99 0:99 0|1:9"):
        out.write(line.replace(" ", "\t") + "\n")


def vcftools(*options):
    order = ["vcftools", *options, "--stdout"]
    return subprocess.run(order, check=True, capture_output=True, text=True).stdout


def rows(text):
    return [line.split() for line in text.splitlines() if not line.startswith(("#", "CHR"))]


def calls(text):
    return ", ".join(" ".join([r[1], *(call.split(":")[0] for call in r[9:])]) for r in rows(text))


def sites(text):
    return " ".join(r[1] for r in rows(text)) or "none"


written = vcftools("--vcf", "raw.vcf", "--minGQ", "20", "--recode")
with open("written.vcf", "w") as out:
    out.write(written)
one, two = ("--vcf", "raw.vcf", "--minGQ", "20"), ("--vcf", "written.vcf")
with open("raw.vcf") as raw:
    print(f"as written: {calls(raw.read())}")
print(f"--minGQ 20: {calls(written)}")
for option in (("--max-missing", "0.7"), ("--phased",)):
    kept = [sites(vcftools(*step, *option, "--recode")) for step in (one, two)]
    print(f"{' '.join(option)}: one step keeps {kept[0]}, two steps {kept[1]}")
missing = [" ".join(r[5] for r in rows(vcftools(*step, "--missing-site"))) for step in (one, two)]
print(f"F_MISS: one step {missing[0]}, two steps {missing[1]}")
PY
python3 run.py | tee seen
cat > expected <<'TXT'
as written: 10 1 0 0|1, 20 1 0 0|1
--minGQ 20: 10 ./. 0 0|1, 20 1 0 ./.
--max-missing 0.7: one step keeps 10, two steps none
--phased: one step keeps 10 20, two steps none
F_MISS: one step 0 0, two steps 0.4 0.5
TXT
diff expected seen
