"""Ways of pretraining without labels: one file each."""
