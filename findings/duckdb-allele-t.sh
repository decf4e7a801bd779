#!/bin/sh
# Question: of which type is the column of alternate alleles when DuckDB reads a table of variants?
#
# Guess, written before the run: VARCHAR, also where all alleles are T.
#
# Versions: duckdb 2.0.1.
#
# Seen: where every allele of the file is T (the lead variant of one gene, the hits of a small study), the column is
# BOOLEAN, and T is true. Identifiers put together from it end in `true`, a table of it put together with another
# gene's has `true` beside T, and what is exported has `true` for the allele. A filter `alt = 'T'` still works, so
# that nothing looks wrong at first. The same query reads another gene's file, with a C among the alleles, as text. A
# join with text raises an error if another allele is in the other file. polars and pandas keep text. `types={'alt':
# 'VARCHAR'}` mends it. The documentation names BOOLEAN among the types that are tried, and not that T is one.
#
# Output (two genes' files, read by one query each):
#   gene 1, alleles T T: BOOLEAN; 1:100:C:true 2:200:G:true
#   gene 2, alleles T C: VARCHAR; 3:300:A:T 4:400:G:C
#   gene 1 exported: true true
#   alleles of both in tables, then together: T C true true
#   alleles of both in one reading: T T T C
#   gene 1, alt = 'T': 2 rows
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet duckdb==2.0.1; } || { echo 'could not install' >&2; exit 2; }

printf 'chrom\tpos\tref\talt\n1\t100\tC\tT\n2\t200\tG\tT\n' > gene1.tsv
printf 'chrom\tpos\tref\talt\n3\t300\tA\tT\n4\t400\tG\tC\n' > gene2.tsv

cat > run.py <<'PY'
import duckdb


def column(query):
    return [row[0] for row in duckdb.sql(query).fetchall()]


for gene, alleles in ((1, "T T"), (2, "T C")):
    kind = column(f"SELECT typeof(alt) FROM 'gene{gene}.tsv'")[0]
    names = column(f"SELECT chrom || ':' || pos || ':' || ref || ':' || alt FROM 'gene{gene}.tsv' ORDER BY pos")
    print(f"gene {gene}, alleles {alleles}: {kind};", *names)
duckdb.sql("COPY (SELECT alt FROM 'gene1.tsv') TO 'out.tsv' (HEADER false)")
print("gene 1 exported:", *open("out.tsv").read().split())
for gene in (1, 2):
    duckdb.sql(f"CREATE TABLE gene{gene} AS FROM 'gene{gene}.tsv'")
print("alleles of both in tables, then together:", *column("SELECT alt FROM (FROM gene2 UNION ALL FROM gene1)"))
print("alleles of both in one reading:",
      *column("SELECT alt FROM read_csv(['gene1.tsv', 'gene2.tsv']) ORDER BY pos"))
print("gene 1, alt = 'T':", len(column("SELECT alt FROM 'gene1.tsv' WHERE alt = 'T'")), "rows")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
gene 1, alleles T T: BOOLEAN; 1:100:C:true 2:200:G:true
gene 2, alleles T C: VARCHAR; 3:300:A:T 4:400:G:C
gene 1 exported: true true
alleles of both in tables, then together: T C true true
alleles of both in one reading: T T T C
gene 1, alt = 'T': 2 rows
TXT
diff expected seen || { cat said >&2; exit 1; }
