"""Records: one immutable file for each (model, task, seed). Knows no torch."""
