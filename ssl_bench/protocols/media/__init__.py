"""What protocols of videos and of recordings share: loading, training batches, stored features."""
