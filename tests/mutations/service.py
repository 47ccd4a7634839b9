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
    "scope for reading notes": Mutation(
        "src/demo_service/notes/routes.py",
        'Reader = Annotated[Caller, requires("notes:read")]',
        'Reader = Annotated[Caller, requires("notes:write")]',
        "tests/test_notes.py",
    ),
    "scope for writing notes": Mutation(
        "src/demo_service/notes/routes.py",
        'Writer = Annotated[Caller, requires("notes:write")]',
        'Writer = Annotated[Caller, requires("notes:read")]',
        "tests/test_notes.py",
    ),
    "most notes of a page": Mutation(
        "src/demo_service/notes/routes.py",
        "Query(ge=1, le=100)",
        "Query(ge=1)",
        "tests/test_notes.py",
    ),
    "length of a title": Mutation(
        "src/demo_service/notes/routes.py",
        "StringConstraints(min_length=1, max_length=200)",
        "StringConstraints(min_length=1)",
        "tests/test_notes.py",
    ),
    "length of a note": Mutation(
        "src/demo_service/notes/routes.py",
        "Annotated[PlainText, StringConstraints(max_length=10_000)]",
        "PlainText",
        "tests/test_notes.py",
    ),
    "containers that cannot write": Mutation(
        "template/{% if with_docker %}compose.yaml{% endif %}.jinja",
        "  read_only: true\n",
        "",
        "tests/test_render.py spare",
        of_template=True,
    ),
    "privileges of a container": Mutation(
        "template/{% if with_docker %}compose.yaml{% endif %}.jinja",
        '  security_opt: ["no-new-privileges:true"]\n',
        "",
        "tests/test_render.py spare",
        of_template=True,
    ),
    "memory of a container": Mutation(
        "template/{% if with_docker %}compose.yaml{% endif %}.jinja",
        "  mem_limit: 512m\n",
        "",
        "tests/test_render.py spare",
        of_template=True,
    ),
    "port of this machine alone": Mutation(
        "template/{% if with_docker %}compose.yaml{% endif %}.jinja",
        'ports: ["127.0.0.1:8000:8000"]',
        'ports: ["8000:8000"]',
        "tests/test_render.py spare",
        of_template=True,
    ),
    "password of the superuser": Mutation(
        "template/gatehouse/database_role.sh",
        "ALTER ROLE CURRENT_USER PASSWORD NULL;\n",
        "",
        "tests/test_render.py role_of",
        of_template=True,
    ),
    "rights of the workflow of updates": Mutation(
        "template/{% if with_github %}.github{% endif %}/workflows/update.yml",
        "permissions: {}\n",
        "",
        "tests/test_update_workflow.py rights",
        of_template=True,
    ),
}
