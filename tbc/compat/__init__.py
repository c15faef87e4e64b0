"""tbc with the interfaces of other packages, for programs that were written for those."""
