"""How a start is refused: one clear line, exit code 1."""


class StartRefused(SystemExit):
    """The service must not start. The text names the setting or route and the remedy.

    A `SystemExit`, so that every launcher (our commands, plain uvicorn, a reloader's child)
    prints this one line instead of a traceback, and no `except Exception` on the way can
    carry on with an unsafe service. It never holds a setting's value.
    """
