"""Updates of a service: what a release may do, and what becomes of an owner's edits."""

MUTATIONS = {}
