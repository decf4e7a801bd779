// nextflow run main.nf --config cohort/cohort.toml --files 'cohort/*.{gz,tbi,fai,gzi,tsv}' --variants cohort/genotypes.vcf.gz
nextflow.enable.dsl = 2

include { HAPSIGHT_PREDICTDB ; HAPSIGHT_RUN ; HAPSIGHT_SCORE } from './modules/processes.nf'

params.config = null
params.files = null
params.variants = null

workflow {
    cohort = Channel.of(
        [[id: file(params.config).baseName], file(params.config, checkIfExists: true), files(params.files, checkIfExists: true)]
    )
    HAPSIGHT_RUN(cohort)
    HAPSIGHT_PREDICTDB(cohort.join(HAPSIGHT_RUN.out.run))
    if (params.variants) {
        HAPSIGHT_SCORE(cohort.map { meta, config, files -> [meta, config, files, file(params.variants, checkIfExists: true)] })
    }
}
