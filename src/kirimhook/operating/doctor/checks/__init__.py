"""What is checked, by subject: each module ends in its rows of the table."""
