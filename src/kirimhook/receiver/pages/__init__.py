"""The pages on a receiver's admin port: what is in the inbox, how fast it moves, and what operators do about it.

`app` the ASGI application, `routes` all that it answers, `visit` what a page works with, `access` who is let in,
`rates` the counters of the last hour, `handle` the inbox they look into. Only `rates`, `handle`, `loopback` and `tries`
can be imported without the extra `pages`.
"""
