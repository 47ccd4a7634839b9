"""Every command of a service. Nothing below imports this room."""
