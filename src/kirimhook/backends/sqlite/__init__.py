"""The embedded inbox: one SQLite file, one writer thread, group commit.

`settings` what can be set, `schema` the tables, `file` the file as the writer has it (`kirimhook.sqlite_file`: its lock
and paths), `failures` what an error means, `waiters` who waits for a commit, `writer` the thread that commits,
`reader` the one that reads; then what runs in them: `intake` (put), `leasing` (lease, renew), `settling` (settle,
transact; `guard` what a handler may do), `filters` and `records` (lists, counts), `put_back`,
`adopting`, `retention` (purge), `erasing`, `bookmarks`.
"""
