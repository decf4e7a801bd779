#!/bin/sh
# Question: which posterior inclusion probability does susieR's `susie` give a variant that does not vary among the
# people at hand?
#
# Guess, written before the run: 0, as no data can speak for it.
#
# Versions: susieR 0.12.35 (Debian 12).
#
# Seen: it keeps its share of the prior in every effect that finds nothing, since its Bayes factor is exactly 1. With a
# fixed prior variance (`estimate_prior_variance = FALSE`), the Bayes factors of real variants without an effect are
# below 1, so that the constant one comes out on top, with a PIP of about a half, in every gene that has no signal. With
# the default, the prior variance of such effects is mostly estimated at 0, and every PIP is 0; where it is not, the
# constant variant has what its neighbours have. The manual says that such a column is not standardised, and nothing of its
# PIP. Variants like that are what is left over when a cohort is cut to one population.
#
# Output (300 people, 40 variants without effect of which the 20th is constant, 5 effects, 20 simulated genes; PIPs are
# medians over the genes):
#   fixed prior variance: the constant variant is on top in 20 of 20, its PIP 0.5, the largest of the others 0.3
#   estimated (default): the constant variant is on top in 0 of 20; where any PIP is over 0, its own is, too: TRUE
set -eu
command -v Rscript > /dev/null || { echo 'needs R' >&2; exit 2; }
[ "$(Rscript -e 'cat(as.character(packageVersion("susieR")))' 2> /dev/null)" = 0.12.35 ] ||
    { echo 'needs susieR 0.12.35 (Debian 12: r-cran-susier)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.R <<'R'
suppressMessages(library(susieR))
set.seed(2)
people <- 300; variants <- 40; genes <- 20; constant <- 20
pips <- function(x, y, ...) susie(x, y, L = 5, ...)$pip
found <- replicate(genes, {
  x <- matrix(rbinom(people * variants, 2, 0.3), people, variants)
  x[, constant] <- 2
  y <- rnorm(people)
  fixed <- pips(x, y, estimate_prior_variance = FALSE)
  estimated <- pips(x, y)
  c(which.max(fixed) == constant, fixed[constant], max(fixed[-constant]),
    estimated[constant] > 0 & which.max(estimated) == constant, max(estimated) > 0, estimated[constant] > 0)
})
n <- rowSums(found)
middle <- apply(found, 1, median)
cat(sprintf("fixed prior variance: the constant variant is on top in %d of %d, its PIP %.1f, the largest of the others %.1f\n",
            n[1], genes, middle[2], middle[3]))
cat(sprintf("estimated (default): the constant variant is on top in %d of %d; where any PIP is over 0, its own is, too: %s\n",
            n[4], genes, all(found[5, ] == found[6, ])))
R
Rscript run.R | tee seen
cat > expected <<'TXT'
fixed prior variance: the constant variant is on top in 20 of 20, its PIP 0.5, the largest of the others 0.3
estimated (default): the constant variant is on top in 0 of 20; where any PIP is over 0, its own is, too: TRUE
TXT
diff expected seen
