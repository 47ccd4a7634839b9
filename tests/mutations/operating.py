"""Settings, commands, migrations, imports and `doctor`."""

MUTATIONS = {}
