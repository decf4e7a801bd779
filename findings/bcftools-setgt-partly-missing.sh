#!/bin/sh
# Question: `bcftools +setGT -t ./x` is for partly missing calls; its help says: such as "./0" or ".|1", but not "./.".
# Which calls does it change?
#
# Guess, written before the run: those that the help names, but for `1|.`. (That it is left out had been seen by chance,
# in the run before.)
#
# Versions: bcftools 1.16 (Debian 12; later versions were not tried).
#
# Seen: every call with a missing allele, the completely missing ones and a man's haploid `.` too, but for `1|.`, a
# phased call whose second allele is missing: that stays. `-t .`, partly or completely missing, gives the same. So the
# example in the help (`-t ./x -n .`) leaves half-missing calls behind, all on one side, and `-t ./x -n 0`, with which
# a gap beside a seen allele would be closed, makes reference calls of people who were not called at all. An
# expression finds all of them: `-t q -i 'GT="mis"'`. No warning, exit status 0.
#
# Output (the calls go in as ./. .|. ./1 .|1 1/. 1|. 0|1 .):
#   -t ./x -n 0: 0/0 0/0 0/0 0/0 0/0 1|. 0|1 0
#   -t ./x -n .: ./. ./. ./. ./. ./. 1|. 0|1 .
#   -t . -n 0: 0/0 0/0 0/0 0/0 0/0 1|. 0|1 0
#   -t q -i GT="mis" -n .: ./. ./. ./. ./. ./. ./. 0|1 .
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

{
    printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d e f g h' \
        '1 10 . A G . PASS . GT ./. .|. ./1 .|1 1/. 1|. 0|1 .' | tr ' ' '\t'
} > x.vcf

changed() {
    echo "$*: $(bcftools +setGT x.vcf -- "$@" 2> said | grep -v '^#' | cut -f 10- | tr '\t' ' ')"
}
{
    changed -t ./x -n 0
    changed -t ./x -n .
    changed -t . -n 0
    changed -t q -i 'GT="mis"' -n .
} | tee seen
cat > expected <<'TXT'
-t ./x -n 0: 0/0 0/0 0/0 0/0 0/0 1|. 0|1 0
-t ./x -n .: ./. ./. ./. ./. ./. 1|. 0|1 .
-t . -n 0: 0/0 0/0 0/0 0/0 0/0 1|. 0|1 0
-t q -i GT="mis" -n .: ./. ./. ./. ./. ./. ./. 0|1 .
TXT
diff expected seen
