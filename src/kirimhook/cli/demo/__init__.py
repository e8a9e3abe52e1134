"""The demo: its stage, its traffic, its provider, its account, and the play that joins them."""
