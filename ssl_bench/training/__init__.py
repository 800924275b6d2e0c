"""One readable training loop for all methods, and its parts."""
