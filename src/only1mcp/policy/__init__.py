"""Pure deciders, one file each. They take values and `now`, and return decisions."""
