"""Training a whole network on labels: fine-tuning on all of them, and on 1 % or 10 %."""
