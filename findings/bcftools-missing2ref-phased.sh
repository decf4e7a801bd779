#!/bin/sh
# Question: does `bcftools +missing2ref`, which sets missing calls to the reference, do so in phased calls?
#
# Guess, written before the run: yes; each missing allele becomes 0, half-missing calls included (`.|1` is then `0|1`).
#
# Versions: bcftools 1.16 (Debian 12; later versions were not tried).
#
# Seen: only in the first place. `.|.` becomes `0|.` and `1|.` stays as it is, with -p (set to phased) and -m (to the
# major allele) as well; unphased calls are filled in both places, and -p phases `1/.` but not `./1`. So the second
# haplotype keeps every gap and the first none, and a call that was missing is half missing after the cure. What counts
# by haplotype (a dosage of haplotype 2, allele frequencies of each, `consensus -H`) has a difference between the
# haplotypes that nobody has. Exit status 0; the number of filled alleles that it reports does not say which.
#
# Output (the calls go in as ./. .|. ./1 .|1 1/. 1|. 0|1):
#   +missing2ref: 0/0 0|. 0/1 0|1 1/0 1|. 0|1
#   +missing2ref -p: 0|0 0|. 0/1 0|1 1|0 1|. 0|1
#   +missing2ref -m: 1/1 1|. 1/1 1|1 1/1 1|. 0|1
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

{
    printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d e f g' \
        '1 10 . A G . PASS . GT ./. .|. ./1 .|1 1/. 1|. 0|1' | tr ' ' '\t'
} > x.vcf

filled() {
    bcftools +missing2ref x.vcf -- "$@" > out.vcf 2> said
    echo "+missing2ref${1:+ $1}: $(grep -v '^#' out.vcf | cut -f 10- | tr '\t' ' ')"
}
{ filled; filled -p; filled -m; } | tee seen
cat > expected <<'TXT'
+missing2ref: 0/0 0|. 0/1 0|1 1/0 1|. 0|1
+missing2ref -p: 0|0 0|. 0/1 0|1 1|0 1|. 0|1
+missing2ref -m: 1/1 1|. 1/1 1|1 1/1 1|. 0|1
TXT
diff expected seen
