"""The embedded inbox: one SQLite file, one writer thread, group commit.

`settings` what can be set, `schema` the tables, `locks` who may write, `failures` what an error means,
`waiters` who waits for a commit, `writer` the thread that commits; then what runs in it: `intake` (put),
`leasing` (lease, renew, settle, transact), `records` (list, put back, counts), `retention` (purge).
"""
