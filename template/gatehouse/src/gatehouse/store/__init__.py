"""The database: its tables, its engine, its pages."""
