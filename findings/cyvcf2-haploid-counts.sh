#!/bin/sh
# Question: how do cyvcf2's ready-made counts treat men's haploid calls on chrX?
#
# Guess, written before the run: `aaf` counts a man's one allele once (alternate alleles over alleles called, as
# AC/AN), and `gt_types` of a haploid alternate call is HOM_ALT whichever alternate allele it is.
#
# Versions: cyvcf2 0.35.0.
#
# Seen: both are wrong. `aaf` counts a man's allele twice: two men `1` `0` and two women `0|1` `1|1` give 0.625 (5 of 8)
# where AC/AN is 4 of 6. A haploid `1` is HOM_ALT, but a haploid `2`, the second ALT, is UNKNOWN: `gt_bases` says
# `./.`, `num_unknown` counts it, `call_rate` falls. The call itself is intact in `genotypes`. In a file of men only,
# where every call has one allele, the same `2` is read the same way. A MAF or call-rate filter on chrX that takes
# these attributes filters on other numbers than bcftools or plink2 give.
#
# Output (aaf; the men's gt_types with 2 for UNKNOWN and 3 for HOM_ALT; num_unknown):
#   men 1 0, women 0|1 1|1: aaf 0.625, AC/AN 0.667, types [3, 0], unknown 0
#   men 2 1, women 1|2 2|2: types [2, 3], bases ['./.', 'T'], unknown 1, genotypes [[2], [1]]
#   men only, 2 1: types [2, 3], unknown 1
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet cyvcf2==0.35.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import cyvcf2

HEADER = """##fileformat=VCFv4.2
##contig=<ID=chrX,length=156040895>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT """


def read(samples, alt, calls):
    with open("x.vcf", "w") as out:
        out.write(HEADER.replace("CHROM POS ID REF ALT QUAL FILTER INFO FORMAT ", "\t".join(
            ["CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]) + "\n"))
        out.write("\t".join(["chrX", "5000000", ".", "C", alt, ".", "PASS", ".", "GT", *calls]) + "\n")
    return next(cyvcf2.VCF("x.vcf"))


both = ["m1", "m2", "f1", "f2"]
v = read(both, "T", ["1", "0", "0|1", "1|1"])
alleles = [a for call in v.genotypes for a in call[:-1]]
print(f"men 1 0, women 0|1 1|1: aaf {v.aaf:.3f}, AC/AN {sum(alleles) / len(alleles):.3f}, "
      f"types {v.gt_types[:2].tolist()}, unknown {v.num_unknown}")
v = read(both, "T,G", ["2", "1", "1|2", "2|2"])
print(f"men 2 1, women 1|2 2|2: types {v.gt_types[:2].tolist()}, bases {v.gt_bases[:2].tolist()}, "
      f"unknown {v.num_unknown}, genotypes {[call[:-1] for call in v.genotypes[:2]]}")
v = read(["m1", "m2"], "T,G", ["2", "1"])
print(f"men only, 2 1: types {v.gt_types.tolist()}, unknown {v.num_unknown}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
men 1 0, women 0|1 1|1: aaf 0.625, AC/AN 0.667, types [3, 0], unknown 0
men 2 1, women 1|2 2|2: types [2, 3], bases ['./.', 'T'], unknown 1, genotypes [[2], [1]]
men only, 2 1: types [2, 3], unknown 1
TXT
diff expected seen
