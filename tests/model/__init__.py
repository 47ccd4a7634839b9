"""A stateful model of accounts, walked through HTTP."""
