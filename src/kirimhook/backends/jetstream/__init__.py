"""The inbox on NATS JetStream: a replicated log with no single machine to lose. Needs the extra `nats`."""
