"""Parts that methods share: views, heads, masking, EMA."""
