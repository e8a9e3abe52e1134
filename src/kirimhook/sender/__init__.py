"""Who sends: subscriptions, secrets, signed deliveries, dead letters and replay. Needs the extra `sender`."""
