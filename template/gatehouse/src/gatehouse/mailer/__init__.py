"""Mail that was promised is sent, also after a crash."""
