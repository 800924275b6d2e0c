"""Protocols that train nothing: attention masks, retrieval, copy detection, label propagation."""
