"""Linear prediction from dosages: elastic nets, BLUP, SuSiE, learned priors."""
