#!/bin/sh
# Question: how does vcftools compare a half-missing call with a whole one of the same person in another file?
#
# Guess, written before the run: it does not; the person counts as not called in one of the two.
#
# Versions: vcftools 0.1.16 (Debian 12; the last release).
#
# Seen: in `--diff-discordance-matrix` a call with the gap in front and the ALT behind (`./1`, `.|1`) is homozygous
# reference, the one thing that it cannot be, against the same call in the other file as well. With the gap behind
# (`1/.`) it is in no cell at all, and with the reference allele behind (`./0`) vcftools stops with "Unhandled case".
# `--diff-site-discordance` takes each as a whole call of its own: called in both files, and discordant with every
# whole call. So concordance of a merged or masked file against an array is too low by its half-missing calls, and the
# matrix has carriers among the homozygous reference. No warning.
#
# Output (the call in the first file and the second; the cell of the matrix, then N_COMMON_CALLED and N_DISCORD):
#   ./1 1/1: cell 0/0 1/1, called 1, discordant 1
#   .|1 0|1: cell 0/0 0/1, called 1, discordant 1
#   ./1 ./1: cell 0/0 0/0, called 1, discordant 0
#   1/. 1/1: cell none, called 1, discordant 1
#   ./. 1/1: cell ./. 1/1, called 0, discordant 0
set -eu
vcftools --version 2> /dev/null | grep -q '(0.1.16)' || { echo 'needs vcftools 0.1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

made() {
    printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT person' "1 10 . A G . PASS . GT $1" | tr ' ' '\t'
}
compare() {
    made "$1" > one.vcf
    made "$2" > two.vcf
    for how in --diff-discordance-matrix --diff-site-discordance; do
        vcftools --vcf one.vcf --diff two.vcf "$how" --out x 2> said
    done
    cell=$(awk 'NR == 1 {split($0, first)} NR > 1 {for (i = 2; i <= NF; i++) if ($i) print first[i], $1}' \
        x.diff.discordance_matrix | sed 's/N_//g; s/_file.//g')
    echo "$1 $2: cell ${cell:-none}, called $(awk 'NR == 2 {print $5 ", discordant " $6}' x.diff.sites)"
}
{
    compare './1' '1/1'
    compare '.|1' '0|1'
    compare './1' './1'
    compare '1/.' '1/1'
    compare './.' '1/1'
} | tee seen
cat > expected <<'TXT'
./1 1/1: cell 0/0 1/1, called 1, discordant 1
.|1 0|1: cell 0/0 0/1, called 1, discordant 1
./1 ./1: cell 0/0 0/0, called 1, discordant 0
1/. 1/1: cell none, called 1, discordant 1
./. 1/1: cell ./. 1/1, called 0, discordant 0
TXT
diff expected seen
