"""What a protocol sees of a model, and how a card becomes one."""
