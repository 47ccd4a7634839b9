"""The rendered service that is its owner's, and how it runs."""

from mutations import Mutation

MUTATIONS = {
    "owner check": Mutation(
        "src/demo_service/notes/routes.py",
        "if note is None or note.owner_id != caller.user_id:",
        "if note is None:",
        "tests/test_notes.py",
    ),
    "owner's list": Mutation(
        "src/demo_service/notes/routes.py",
        "select(Note).where(Note.owner_id == caller.user_id)",
        "select(Note)",
        "tests/test_notes.py",
    ),
}
