"""Protocols of the transfer suites: classifiers on frozen features, their strength chosen on validation images."""
