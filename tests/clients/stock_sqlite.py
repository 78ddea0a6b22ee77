"""Opens a file with the stock sqlite3, as any other tool would: checks it, reads everything, writes."""
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.text_factory = bytes


def rows(sql):
    return connection.execute(sql).fetchall()


def name_of(raw):
    return '"' + raw.decode().replace('"', '""') + '"'


assert rows("PRAGMA integrity_check") == [(b"ok",)], rows("PRAGMA integrity_check")
assert rows("PRAGMA quick_check") == [(b"ok",)]
objects = rows("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
own = [o for o in objects if not o[1].startswith(b"_crossfade")]
assert own, "the file has objects of the application"
for kind, name in own:
    if kind in (b"table", b"view"):
        rows(f"SELECT * FROM {name_of(name)} LIMIT 1000")
        rows(f"SELECT count(*) FROM {name_of(name)}")
# Indexes, checks, triggers and generated columns are stored with SQLite's own functions only:
# another tool can write to every table.
connection.execute("BEGIN")
for kind, name in own:
    if kind != b"table":
        continue
    columns = rows(f"PRAGMA table_xinfo({name_of(name)})")
    plain = [c for c in columns if c[6] == 0]
    if plain:
        column = name_of(plain[0][1])
        connection.execute(f"UPDATE {name_of(name)} SET {column} = {column}")
connection.execute("REINDEX")
connection.execute("ROLLBACK")
sql = b" ".join(r[0] for r in rows("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\\_crossfade%' ESCAPE '\\'"))
assert b"pg_" not in sql.lower().replace(b"pgbench", b""), "stored DDL carries no function of the proxy's"
print(f"{len(own)} objects")
