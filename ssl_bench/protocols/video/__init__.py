"""Classification of video clips: fine-tuned (MAE-ST's recipe) and on frozen features."""
