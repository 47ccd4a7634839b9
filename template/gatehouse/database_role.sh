#!/bin/sh
# Run once by the image of PostgreSQL, where compose.yaml starts it with an empty volume: makes the
# service's role, which owns its one database and is no superuser (ASVS 13.2.2). The superuser keeps
# no password: it gets in from inside the container alone.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=name="$POSTGRES_DB" --set=password="$POSTGRES_PASSWORD" <<'END'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
ALTER DATABASE :"name" OWNER TO :"name";
REVOKE ALL ON DATABASE :"name", postgres, template1 FROM PUBLIC;
ALTER ROLE CURRENT_USER PASSWORD NULL;
END
