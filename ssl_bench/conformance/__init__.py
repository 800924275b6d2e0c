"""Does a model keep the contract of ``backbones/backbone.py``, and does every protocol that it offers something to run on it?"""
