"""How fast kirimhook acknowledges and works, against a bare server on the same machine. See README.md."""
