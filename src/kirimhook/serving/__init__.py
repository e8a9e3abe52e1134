"""Serving the receiver: the HTTP server with its limits, its processes and their control."""
