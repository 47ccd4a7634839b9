"""How often, and who asks."""
