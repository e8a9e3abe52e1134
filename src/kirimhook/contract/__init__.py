"""What travels between the two halves: no I/O, no clock, no randomness; they are arguments."""
