"""What is logged, a module for each kind: it checks the arguments of an add_* and makes the bytes that are stored.

Nothing here knows of files or writers. Numbers and text have no module: tbc/_core.pyx encodes them.
"""
