"""The receiver on each kind of inbox, with the servers that it needs."""
