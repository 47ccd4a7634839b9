"""Keys and tokens. Knows no database and no web framework."""
