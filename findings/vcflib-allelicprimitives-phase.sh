#!/bin/sh
# Question: does vcflib's `vcfallelicprimitives -g` (`--keep-geno`) keep unphased calls unphased?
#
# Guess, written before the run: yes, the calls keep their separators.
#
# Versions: vcflib 1.0.3 (Debian 12).
#
# Seen: every diploid call of a record that is split, or has several ALTs, is written with a bar: `0/1` becomes `0|1`,
# `1/0` becomes `1|0`. The order in which a caller happened to write the alleles is now a phase, between the parts of
# one record as between records: two unphased heterozygous MNPs 20 kb apart become one haplotype. Records of one
# simple ALT are left as they are, so the file looks as if phased in part. Half-missing and missing calls: `./1`
# becomes `.|1` or `.|0`, `./.` becomes `.|.`. No warning; the help says that genotype-level annotations are kept (and
# asks for caution, as with INFO, where a file has several people; one alone fares the same).
#
# Output (each record that comes out, and its calls; the calls of all three that go in are 0/1 1/0 0|1 ./1 ./. 1/1):
#   10 C>T 0/1 1/0 0|1 ./1 ./. 1/1
#   20 A>G 0|1 1|0 0|1 .|1 .|. 1|1
#   21 C>T 0|1 1|0 0|1 .|1 .|. 1|1
#   30 A>G,T 0|1 1|0 0|1 .|1 .|. 1|1
set -eu
dpkg-query -W -f '${Version}' libvcflib-tools 2> /dev/null | grep -q '^1\.0\.3' ||
    { echo 'needs libvcflib-tools 1.0.3 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

{
    printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d e f' \
        '1 10 . C T . PASS . GT 0/1 1/0 0|1 ./1 ./. 1/1' \
        '1 20 . AC GT . PASS . GT 0/1 1/0 0|1 ./1 ./. 1/1' \
        '1 30 . A G,T . PASS . GT 0/1 1/0 0|1 ./1 ./. 1/1' | tr ' ' '\t'
} > x.vcf
vcfallelicprimitives -g x.vcf 2> said | grep -v '^#' |
    awk '{printf "%s %s>%s", $2, $4, $5; for (i = 10; i <= NF; i++) printf " %s", $i; print ""}' | tee seen
cat > expected <<'TXT'
10 C>T 0/1 1/0 0|1 ./1 ./. 1/1
20 A>G 0|1 1|0 0|1 .|1 .|. 1|1
21 C>T 0|1 1|0 0|1 .|1 .|. 1|1
30 A>G,T 0|1 1|0 0|1 .|1 .|. 1|1
TXT
diff expected seen
