"""Passwords. Knows no database and no web framework."""
