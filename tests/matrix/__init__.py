"""The update matrix: owners' edits, versions and answers; each case judged by behaviour."""
