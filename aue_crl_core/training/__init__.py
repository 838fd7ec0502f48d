"""Training: a run, its stages in turn, the loop that all of them share."""
