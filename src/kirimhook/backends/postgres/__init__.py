"""The inbox on PostgreSQL: several receivers and workers around one database. Needs asyncpg.

`settings` what can be set, `tables` and `functions` what is in the database, `migrate` puts it there, `failures` what
an error means, `texts` and `rows` how events stand there, `link` a connection that is made anew, `session` all that
an open inbox has; then what runs in it: `intake` (put), `desk` (lease, renew, settle; `settling` the batches),
`transacting` (`guard` what a handler may do), `waiting`, `filters` and `records` (lists, counts), `put_back`,
`retention` (purge), `adopting`, `erasing`, `bookmarks`; `inbox` has the verbs.
"""
