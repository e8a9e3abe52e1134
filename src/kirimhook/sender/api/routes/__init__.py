"""The calls of contract section 5, by what they are about. A call's docstring is its text in the document."""
