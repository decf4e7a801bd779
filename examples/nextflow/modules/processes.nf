// hapsight as processes. The configuration names files without folders, as they are staged beside it, and has `output = "run"`.
// It is copied, since paths in it are taken from where it lies, and Nextflow stages links.

process HAPSIGHT_RUN {
    tag "${meta.id}"

    input:
    tuple val(meta), path(config), path(files)

    output:
    tuple val(meta), path("run", type: "dir"), emit: run
    tuple val(meta), path("${meta.id}.report.html"), emit: report

    script:
    """
    cp -L ${config} configuration.toml
    hapsight check configuration.toml
    hapsight run configuration.toml --workers ${task.cpus}
    cp run/report.html ${meta.id}.report.html
    """
}

process HAPSIGHT_PREDICTDB {
    tag "${meta.id}"

    input:
    tuple val(meta), path(config), path(files), path(run)

    output:
    tuple val(meta), path("${meta.id}.db"), path("${meta.id}.txt.gz"), emit: weights

    script:
    """
    cp -L ${config} configuration.toml
    hapsight predictdb export configuration.toml ${meta.id}.db --method elastic_net --covariance ${meta.id}.txt.gz
    """
}

process HAPSIGHT_SCORE {
    tag "${meta.id}"

    input:
    tuple val(meta), path(config), path(files), path(variants, stageAs: "scored/*")

    output:
    tuple val(meta), path("${meta.id}.scores.vcf.gz"), emit: scores

    script:
    """
    cp -L ${config} configuration.toml
    hapsight score configuration.toml --vcf ${variants} --out ${meta.id}.scores.vcf.gz
    """
}
