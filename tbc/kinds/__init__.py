"""A module for each kind of value: it checks the arguments of an add_* method and makes the bytes to store.

No module here uses event files or writers. Numbers, text, tensors and histograms with the default bins have no module:
tbc/_core.pyx encodes them.
"""
