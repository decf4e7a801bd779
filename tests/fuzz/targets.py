"""Every reader of hapsight, by name."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from tests.fuzz import genomes, plink, published, runs, settings, signals, tables
from tests.fuzz.harness import Target

__all__ = ["TARGETS"]


def good_gz(good: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: gzip.compress(good(), mtime=0)


TARGETS = {
    target.name: target
    for target in (
        Target("expression", "e.bed", tables.good_expression, tables.expression),
        Target("expression_gz", "e.bed.gz", good_gz(tables.good_expression), tables.expression),
        Target("covariates", "c.tsv", tables.good_covariates, tables.covariates),
        Target("sample_sheet", "s.tsv", tables.good_sheet, tables.sheet),
        Target("gtf", "g.gtf", tables.good_gtf, tables.gtf),
        Target("bed", "g.bed", tables.good_bed, tables.bed),
        Target("genes_tsv", "g.tsv", tables.good_tsv, tables.genes_tsv),
        Target("mpra", "m.tsv", tables.good_mpra, tables.mpra),
        Target("crispri", "k.tsv", tables.good_crispri, tables.crispri),
        Target("eqtl", "q.tsv", tables.good_eqtl, tables.eqtl),
        Target("effects", "f.tsv", tables.good_effects, tables.effects),
        Target("vcf", "v.vcf", genomes.good_vcf, genomes.vcf_text),
        Target("vcf_gz", "v.vcf.gz", genomes.good_vcf_gz, genomes.vcf_gz),
        Target("fai", "r.fa.fai", genomes.good_fai, genomes.fai),
        Target("config", "c.toml", settings.good_config, settings.config),
        Target("gblinear", "t.save", settings.good_booster, settings.booster),
        Target("safetensors", "w.safetensors", settings.good_safetensors, settings.safetensors_file),
        Target("torch", "w.pth", settings.good_torch, settings.torch_file),
        Target("keras", "w.h5", settings.good_keras, settings.keras),
        Target("mini", "n.safetensors", settings.good_mini, settings.mini),
        Target("targets", "targets.txt", settings.good_targets, settings.targets_list),
        Target("predictdb", "p.db", settings.good_predictdb, settings.predictdb),
        Target("pgen", "p.pgen", plink.good(".pgen"), plink.plink),
        Target("pvar", "p.pvar", plink.good(".pvar"), plink.plink),
        Target("psam", "p.psam", plink.good(".psam"), plink.plink),
        Target("bigwig", "t.bw", signals.good_bigwig, signals.signal),
        Target("conservation", "c.bw", signals.good_bigwig, signals.conservation),
        Target("allele_counts", "as.vcf", published.good_allele_counts, published.allele_counts),
        Target("haplotypic_counts", "ann.txt", published.good_haplotypic_counts, published.haplotypic_counts),
        Target("features", "f.bed", published.good_features, published.features),
        Target("regulons", "r.tsv", published.good_regulons, published.regulons),
        Target("gene_covariates", "v.tsv", published.good_gene_covariates, published.gene_covariates),
        Target("signs", "s.tsv", published.good_signs, published.signs),
        Target("signs_parquet", "s.parquet", published.good_signs_parquet, published.signs, 100),
        Target("effects_parquet", "f.parquet", published.good_effects, published.effects_parquet, 100),
        Target("variant_scores", "v.csv", published.good_variant_scores, published.given_effects),
        Target("info", "e.vcf", published.good_info, published.given_effects),
        Target("sed_hdf5", "sed.h5", published.good_sed, published.given_effects, 100),
        Target("sasse2023", "s1.tsv", published.good_sasse, published.sasse),
        Target("huang2023", "h.csv", published.good_huang, published.huang),
        Target("record", "run.json", runs.good_record, runs.record),
        Target("per_gene", "per_gene.parquet", runs.good_per_gene, runs.per_gene),
        Target("unit_table", "u.genes.parquet", runs.good_per_gene, runs.unit),
        Target("unit_seal", "u.json", runs.good_seal, runs.unit),
        Target("pattern", "pattern.txt", runs.good_pattern, runs.pattern),
    )
}
