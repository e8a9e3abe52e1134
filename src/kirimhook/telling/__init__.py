"""Telling the operator in time, for both halves: a command or a URL of his own, with a summary instead of a storm."""
