# susieR's side: `Rscript susie.R FOLDER`.
#
# Reads   shape.txt    people, variants
#         dosage.bin   int8 (variants x people, one variant after the other)
#         outcome.bin  double (people)
# Writes, for each fit k of `fits`, FOLDER/k.bin in doubles: processor seconds, ELBO, inclusion probabilities.
suppressMessages(library(susieR))
folder <- commandArgs(trailingOnly = TRUE)[1]
shape <- scan(file.path(folder, "shape.txt"), quiet = TRUE)
n <- shape[1]; p <- shape[2]
x <- matrix(as.double(readBin(file.path(folder, "dosage.bin"), "integer", n * p, size = 1)), n, p)
y <- readBin(file.path(folder, "outcome.bin"), "double", n)
fits <- list(
  fixed = function() susie(x, y, L = 5, estimate_prior_variance = FALSE, scaled_prior_variance = 0.1),
  refined = function() susie(x, y, L = 5, estimate_prior_variance = FALSE, scaled_prior_variance = 0.1, refine = TRUE),
  default = function() susie(x, y, L = 5),
  default_refined = function() susie(x, y, L = 5, refine = TRUE)
)
for (name in names(fits)) {
  seconds <- sum(system.time(fit <- fits[[name]]())[c("user.self", "sys.self")])
  writeBin(c(seconds, susie_get_objective(fit), fit$pip), file.path(folder, paste0(name, ".bin")))
}
