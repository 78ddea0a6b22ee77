"""The console through psycopg: typed columns, both formats, parameters, blocks, errors."""
import datetime
import sys

import psycopg
from psycopg.rows import dict_row

url = sys.argv[1]

for binary in (False, True):
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as conn:
        cur = conn.cursor(binary=binary)
        (status,) = cur.execute("SHOW STATUS").fetchall()
        assert status["phase"] == "direct", status
        assert status["epoch"] == 1 and isinstance(status["position"], int), status
        assert status["lag_ms"] is None and status["coverage"] is None, status
        types = {c.name: c.type_code for c in cur.description}
        assert types["epoch"] == 20 and types["phase"] == 25, types
        assert types["coverage"] == 701 and types["verified_at"] == 1184, types

        (paused,) = cur.execute("PAUSE").fetchall()
        assert paused["text"] == "done" and paused["step"] is None, paused
        cur.execute("RESUME")
        rows = cur.execute(
            "SELECT at, who, what FROM events WHERE who = %s AND what LIKE %s ORDER BY at",
            ("console:anna", "pause%"),
        ).fetchall()
        assert rows, rows
        age = datetime.datetime.now(datetime.timezone.utc) - rows[-1]["at"]
        assert age < datetime.timedelta(minutes=5), age
        row = cur.execute(
            "SELECT %s::int8 AS n, %s::float8 AS f, %s::bool AS b, %s::text AS t, now() AS at",
            (7, 1.5, True, "é"),
            prepare=True,
        ).fetchone()
        assert (row["n"], row["f"], row["b"], row["t"]) == (7, 1.5, True, "é"), row
        (flag,) = cur.execute("SELECT bool_and(keyed) IS NULL AS none FROM tables").fetchall()
        assert flag["none"] is True, flag
        try:
            cur.execute("PROMOTE DRY RUN")
            raise SystemExit("promoted without PostgreSQL")
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            assert error.diag.message_primary == "no PostgreSQL is attached", error

# psycopg opens a block by itself unless told not to.
with psycopg.connect(url) as conn:
    assert conn.execute("SELECT count(*) FROM config").fetchone()[0] > 10
    try:
        conn.execute("SELECT 1/0")
        raise SystemExit("divided by zero")
    except psycopg.errors.DivisionByZero:
        pass
    try:
        conn.execute("SELECT 1")
        raise SystemExit("a failed block went on")
    except psycopg.errors.InFailedSqlTransaction:
        conn.rollback()
    with conn.transaction():
        assert conn.execute("SHOW PHASE").fetchone()[0] == "direct"

# Rows in parts.
with psycopg.connect(url, autocommit=True) as conn:
    names = [row[0] for row in conn.cursor().stream("SELECT key FROM config ORDER BY key")]
    assert names == sorted(names) and len(names) > 10, names
