"""Notes: the example feature. Delete it when you like."""
