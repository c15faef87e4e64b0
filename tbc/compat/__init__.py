"""Other writers' interfaces to tbc, for programs that were written for those."""
