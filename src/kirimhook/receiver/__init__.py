"""The consumer: verify, store, acknowledge, then work."""
