"""The SQL of a sender, as plain functions over an open connection. One text for SQLite and PostgreSQL.

What the two do not share is in `bulk` (many rows at once) and `locks`. What is hot is written as SQL, the rest with
SQLAlchemy's constructs.
"""
