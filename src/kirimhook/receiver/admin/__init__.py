"""What the admin port says of a receiver: secrets, clock, inbox, worker.

`report` what one process says of itself and what they say together, `reporter` how it knows, `view` what it adds to
the pages of `kirimhook.admin`, `app` the ASGI application.
"""
