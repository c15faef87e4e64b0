"""What is logged, a module for each kind: it checks the arguments of an add_* and makes the bytes that are stored.

Nothing here knows of event files or writers. Numbers, text, tensors and histograms on the default bins need no module:
tbc/_core.pyx encodes them.
"""
