"""Scores of predictions against targets, one kind a file: plain functions of arrays."""
