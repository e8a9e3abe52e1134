"""Deliveries: the process that receives them, the databases that hold them, and what is measured beside them."""
