"""The pages of a receiver, on its admin port: what is in the inbox, why, and how to put it back."""
