"""Results in the formats of others: data frames, Papers with Code, model cards, TensorBoard, Weights & Biases."""
