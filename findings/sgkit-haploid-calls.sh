#!/bin/sh
# Question: what do sgkit's quality statistics make of men's haploid calls on chrX, read from the VCF Zarr that
# bio2zarr writes?
#
# Guess, written before the run: a haploid call counts as one allele. (Of the call rate nothing was written; sgkit's
# documentation says that variant_stats and sample_stats raise ValueError where ploidies are mixed.)
#
# Versions: sgkit 0.10.0, bio2zarr 0.1.7, cyvcf2 0.35.0, zarr 2.18.7, xarray 2025.3.0, numpy 2.1.3, bcftools 1.16
# (Debian 12).
#
# Seen: allele counts are right, everything that counts calls takes men's as missing: their call rate is 0, the sites'
# is the share of women, and `filter_partial_calls` sets men's calls to missing. `infer_call_ploidy` says 2 for each of
# them. No error: sgkit asks whether an attribute, mixed_ploidy, stands at call_genotype, and bio2zarr, of the same
# project, does not write it. With the attribute set by hand the statistics raise and the ploidy is right; whether the
# calls need it is not looked at. The usual filter on call rates takes every man out.
#
# Output (two men, two women, three sites without a missing call):
#   as read: allele counts [[2, 4], [4, 2], [1, 5]]
#   as read: call rate of sites [0.5, 0.5, 0.5], of people [0.0, 0.0, 1.0, 1.0]
#   as read: ploidy at the first site [2, 2, 2, 2]
#   as read: filter_partial_calls leaves [0, 0, 3, 3] calls
#   mixed_ploidy set: variant_stats ValueError, ploidy [1, 1, 2, 2]
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet sgkit==0.10.0 'bio2zarr[vcf]==0.1.7' cyvcf2==0.35.0 zarr==2.18.7 \
    xarray==2025.3.0 numpy==2.1.3; } || { echo 'could not install' >&2; exit 2; }

{
    printf '##fileformat=VCFv4.2\n##contig=<ID=chrX,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT man1 man2 woman1 woman2' \
        'chrX 10 . A G . PASS . GT 1 0 0|1 1|1' 'chrX 20 . A G . PASS . GT 1 0 0|1 0|0' \
        'chrX 30 . A G . PASS . GT 1 1 1|1 0|1' | tr ' ' '\t'
} > x.vcf
bcftools view -O z -o x.vcf.gz x.vcf
bcftools index -t x.vcf.gz
env/bin/vcf2zarr convert --no-progress x.vcf.gz x.vcz

cat > run.py <<'PY'
import warnings

warnings.simplefilter("ignore")
import sgkit

data = sgkit.load_dataset("x.vcz")
sites, people = sgkit.variant_stats(data).compute(), sgkit.sample_stats(data).compute()
print(f"as read: allele counts {sites.variant_allele_count.values.tolist()}")
print(f"as read: call rate of sites {sites.variant_call_rate.values.tolist()}, "
      f"of people {people.sample_call_rate.values.tolist()}")
print(f"as read: ploidy at the first site {sgkit.infer_call_ploidy(data).call_ploidy.values[0].tolist()}")
left = ~sgkit.filter_partial_calls(data).call_genotype_complete_mask.values.any(axis=2)
print(f"as read: filter_partial_calls leaves {left.sum(axis=0).tolist()} calls")
data.call_genotype.attrs["mixed_ploidy"] = True
try:
    sgkit.variant_stats(data).compute()
    answer = "no error"
except ValueError:
    answer = "ValueError"
print(f"mixed_ploidy set: variant_stats {answer}, "
      f"ploidy {sgkit.infer_call_ploidy(data).call_ploidy.values[0].tolist()}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
as read: allele counts [[2, 4], [4, 2], [1, 5]]
as read: call rate of sites [0.5, 0.5, 0.5], of people [0.0, 0.0, 1.0, 1.0]
as read: ploidy at the first site [2, 2, 2, 2]
as read: filter_partial_calls leaves [0, 0, 3, 3] calls
mixed_ploidy set: variant_stats ValueError, ploidy [1, 1, 2, 2]
TXT
diff expected seen
