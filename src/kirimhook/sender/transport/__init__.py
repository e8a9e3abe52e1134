"""Where deliveries leave: which addresses and URLs are allowed, and one HTTPS attempt from name to last byte."""

from __future__ import annotations

from kirimhook.sender.transport.addresses import forbidden, networks
from kirimhook.sender.transport.client import Transport
from kirimhook.sender.transport.exchange import Exchange
from kirimhook.sender.transport.names import SystemResolver
from kirimhook.sender.transport.urls import BadUrl, Resolver, check, parse

__all__ = ["BadUrl", "Exchange", "Resolver", "SystemResolver", "Transport", "check", "forbidden", "networks", "parse"]
