# R glmnet as the judge of the elastic net: `Rscript glmnet_nested.R FOLDER`.
#
# Reads   shape.txt    people, variants, outer folds, alpha, thresh
#         dosage.bin   int8 (variants x people, one variant after the other)
#         outcome.bin  double (fold x people); of training people only used
#         factors.bin  double (variants): penalty.factor
#         inner.bin    int32 (fold x people); 1.. inner fold of training people, 0 for the people held out
# Writes, for outer fold k, FOLDER/k.<name>.bin in doubles:
#         lambda       the path
#         coefficients intercept and variants, one lambda after the other
#         error        cross-validated squared error, folds fitted at the lambdas of the path
#         default      the same by cv.glmnet's default: each fold its own lambdas, interpolated
#         chosen       lambda.min of both
#         predicted    people x 2: predictions at both lambda.min
#         seconds      processor time of the default call
suppressMessages(library(glmnet))
folder <- commandArgs(trailingOnly = TRUE)[1]
at <- function(name) file.path(folder, name)
shape <- scan(at("shape.txt"), quiet = TRUE)
n <- shape[1]; p <- shape[2]; folds <- shape[3]; alpha <- shape[4]; thresh <- shape[5]
x <- matrix(as.double(readBin(at("dosage.bin"), "integer", n * p, size = 1)), n, p)
outcome <- matrix(readBin(at("outcome.bin"), "double", n * folds), n, folds)
factors <- readBin(at("factors.bin"), "double", p)
inner <- matrix(readBin(at("inner.bin"), "integer", n * folds), n, folds)
for (k in seq_len(folds)) {
  put <- function(values, name) writeBin(as.double(values), at(paste0(k - 1, ".", name, ".bin")))
  train <- inner[, k] > 0
  foldid <- inner[train, k]; y <- outcome[train, k]; xt <- x[train, , drop = FALSE]
  seconds <- system.time(
    default <- cv.glmnet(xt, y, alpha = alpha, foldid = foldid, thresh = thresh, maxit = 1e7, penalty.factor = factors)
  )[c("user.self", "sys.self")]
  path <- default$glmnet.fit
  common <- cv.glmnet(xt, y, alpha = alpha, foldid = foldid, thresh = thresh, lambda = path$lambda, maxit = 1e7,
                      penalty.factor = factors)
  put(path$lambda, "lambda")
  put(as.matrix(coef(path)), "coefficients")
  put(common$cvm, "error")
  put(default$cvm, "default")
  put(c(common$lambda.min, default$lambda.min), "chosen")
  put(predict(path, x, s = c(common$lambda.min, default$lambda.min)), "predicted")
  put(sum(seconds), "seconds")
}
