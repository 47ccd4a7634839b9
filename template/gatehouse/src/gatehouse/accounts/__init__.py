"""What may happen to an account, and what follows. Knows no HTTP."""
