"""How long servers take for their pages, with few rows and with many."""
