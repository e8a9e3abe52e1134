"""For the tests of those who use kirimhook: signed requests, a clock, dev certificates, the `webhooks` fixture."""
