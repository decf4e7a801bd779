#!/bin/sh
# Question: do hail's quality statistics count men's haploid calls on chrX as heterozygous, homozygous or neither?
#
# Guess, written before the run: allele counts take them as one allele each, and `is_hom_var`, which asks for two
# identical alternate alleles, is false for them, so that they are neither. (Of n_het by itself nothing was written.)
#
# Versions: hail 0.2.139 with pyspark 3.5.9, numpy 2.4.6, Java 17 (hail asks for 11, and says so).
#
# Seen: allele counts are right. `variant_qc` has every man as a heterozygote: its n_het is the number of calls less
# that of homozygous ones, and homozygote_count has diploid calls alone. `sample_qc` has the same calls as
# homozygotes, and `is_hom_var` of a haploid 1 is true. So sites of chrX show an excess of heterozygotes of half the
# cohort, in a table where the Hardy-Weinberg test beside it leaves men out, as documented. n_het is documented as the
# number of heterozygous samples.
#
# Output (three men, two women: 1, 0, 1, 0|1, 1|1):
#   variant_qc: AC 2 5, homozygotes 0 1, n_called 5, n_het 4
#   sample_qc of the men: n_het 0 0 0, n_hom_var 1 0 1
#   calls that are is_het: 1, is_hom_var: 3
set -eu
command -v java > /dev/null || { echo 'needs Java (17 was used)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet hail==0.2.139 pyspark==3.5.9 numpy==2.4.6 setuptools; } ||
    { echo 'could not install' >&2; exit 2; }

{
    printf '##fileformat=VCFv4.2\n##contig=<ID=X,length=155270560>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT man1 man2 man3 woman1 woman2' \
        'X 5000010 . A G . PASS . GT 1 0 1 0|1 1|1' | tr ' ' '\t'
} > x.vcf

cat > run.py <<'PY'
import hail as hl

local = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
         "spark.driver.memory": "1g"}
hl.init(master="local[1]", quiet=True, log="hail.log", tmp_dir=".", local_tmpdir=".", spark_conf=local)
calls = hl.import_vcf("x.vcf", reference_genome="GRCh37")
site = hl.variant_qc(calls).rows().collect()[0].variant_qc
print("variant_qc: AC", *site.AC, end=", homozygotes ")
print(*site.homozygote_count, end=f", n_called {site.n_called}, n_het {site.n_het}\n")
men = [person.sample_qc for person in hl.sample_qc(calls).cols().collect() if person.s.startswith("man")]
print("sample_qc of the men: n_het", *(man.n_het for man in men), end=", n_hom_var ")
print(*(man.n_hom_var for man in men))
tests = (calls.GT.is_het(), calls.GT.is_hom_var())
het, hom_var = calls.aggregate_entries(tuple(hl.agg.count_where(test) for test in tests))
print(f"calls that are is_het: {het}, is_hom_var: {hom_var}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said > printed || { cat said >&2; exit 1; }
grep -E '^(variant_qc|sample_qc|calls)' printed | tee seen
cat > expected <<'TXT'
variant_qc: AC 2 5, homozygotes 0 1, n_called 5, n_het 4
sample_qc of the men: n_het 0 0 0, n_hom_var 1 0 1
calls that are is_het: 1, is_hom_var: 3
TXT
diff expected seen || { cat said >&2; exit 1; }
