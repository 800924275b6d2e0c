"""Data sets, transforms and features."""
