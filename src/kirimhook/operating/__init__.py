"""What an operator's commands do, without the command line: rotate a secret, replay in bulk, reconcile, examine.

Each is importable, takes its clock and its way to wait as arguments, and tells its progress to whoever calls it.
`files` what they keep on disk.
"""
