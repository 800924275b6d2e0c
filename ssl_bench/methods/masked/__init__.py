"""Methods that predict what was masked."""
