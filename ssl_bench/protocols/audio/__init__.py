"""Classification and tagging of recordings: fine-tuned (Audio-MAE's recipe) and on frozen features."""
