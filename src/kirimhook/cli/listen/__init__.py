"""`kirimhook listen`: the events of an account, handled on the machine of whoever develops the handlers."""
