"""`kirimhook sender` and the commands below it."""
