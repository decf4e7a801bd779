#!/bin/sh
# Question: what does `vcftools --recode` write of phased calls with a missing allele, with no filter at all, and how
# many missing alleles does it see before and after?
#
# Guess: the calls as they were (not written down before the run); a half-missing call counts as one with a gap,
# wherever the gap stands (written before).
#
# Versions: vcftools 0.1.16 (Debian 12; the last release).
#
# Seen: where a missing allele stands behind the bar, the call is cut there. `1|.` is written as `1` and `.|.` as `.`:
# on an autosome a diploid person becomes haploid, and the gap is gone. `.|1`, `1/.` and `./.` stay whole.
# `--missing-site` cuts them too: for `1|.` no allele is missing (0 of 7), for `.|1` one of 8, for `.|.` one of 7, for
# `./.` two of 8. `--max-missing` counts rightly in the first step, not in the file that was written: `--max-missing
# 0.8` drops a site with `.|.` and keeps it in the second step; `--max-missing 1` does the same with `1|.`. Such calls
# come from merging phased files and from masking them. No warning.
#
# Output (three people as 0|0 0|1 1|1, or the same with a slash, and a fourth with the call named; what is written of
# it, N_MISS and N_DATA of --missing-site, and which --max-missing keep the site, asked of the file and of its copy):
#   1|. written as 1, missing 0 of 7, kept by 0.8, the copy by 0.8 1
#   .|1 written as .|1, missing 1 of 8, kept by 0.8, the copy by 0.8
#   .|. written as ., missing 1 of 7, kept by none, the copy by 0.8
#   1/. written as 1/., missing 1 of 8, kept by 0.8, the copy by 0.8
#   ./. written as ./., missing 2 of 8, kept by none, the copy by none
set -eu
vcftools --version 2> /dev/null | grep -q '(0.1.16)' || { echo 'needs vcftools 0.1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

recode() {
    vcftools --vcf "$@" --recode --stdout 2> said
}
kept() {
    by=
    for least in 0.8 1; do
        recode "$1" --max-missing "$least" | grep -qv '^#' && by="$by $least"
    done
    echo "${by:- none}"
}
for call in '1|.' '.|1' '.|.' '1/.' './.'; do
    bar=$(printf %s "$call" | tr -d '01.')
    {
        printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
        printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d' \
            "1 10 . A G . PASS . GT 0${bar}0 0${bar}1 1${bar}1 $call" | tr ' ' '\t'
    } > x.vcf
    recode x.vcf > copy.vcf
    missing=$(vcftools --vcf x.vcf --missing-site --stdout 2> said | awk 'NR == 2 {print $5 " of " $3}')
    echo "$call written as $(tail -n 1 copy.vcf | cut -f 13), missing $missing, kept by$(kept x.vcf), the copy" \
        "by$(kept copy.vcf)"
done | tee seen
cat > expected <<'TXT'
1|. written as 1, missing 0 of 7, kept by 0.8, the copy by 0.8 1
.|1 written as .|1, missing 1 of 8, kept by 0.8, the copy by 0.8
.|. written as ., missing 1 of 7, kept by none, the copy by 0.8
1/. written as 1/., missing 1 of 8, kept by 0.8, the copy by 0.8
./. written as ./., missing 2 of 8, kept by none, the copy by none
TXT
diff expected seen
