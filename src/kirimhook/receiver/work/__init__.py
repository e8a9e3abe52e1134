"""What a worker is made of: the handlers' loop, the source it works from, and the verdicts between them."""
