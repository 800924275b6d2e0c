"""Protocols whose targets have a place in the image: segmentation, depth, detection."""
