"""psycopg 3: create, insert, query, update, transaction, savepoint, rollback; types both ways."""
import datetime as dt
import decimal
import sys
import uuid

import psycopg
from psycopg import errors

conn = psycopg.connect(sys.argv[1], autocommit=True)
cur = conn.cursor()
cur.execute(
    "CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(10,2),"
    " active boolean DEFAULT true, made timestamptz, day date, at time, data jsonb, raw bytea,"
    " ref uuid, big bigint, small smallint, ratio double precision, CHECK (price >= 0))"
)
ref = uuid.uuid4()
made = dt.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=dt.timezone.utc)
row = (
    "wünderbar '\"; --", decimal.Decimal("12.50"), True, made, made.date(), dt.time(1, 2, 3, 4),
    psycopg.types.json.Jsonb({"b": [1, None, "x"], "a": True}), b"\x00\xff\x10", ref,
    2**53 + 1, -7, 0.1,
)
cur.execute(
    "INSERT INTO item (name, price, active, made, day, at, data, raw, ref, big, small, ratio)"
    " VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) RETURNING id", row)
assert cur.fetchone() == (1,)
for binary in (False, True):
    c = conn.cursor(binary=binary)
    c.execute("SELECT name, price, active, made, day, at, data, raw, ref, big, small, ratio FROM item")
    got = c.fetchone()
    assert got == row[:6] + ({"b": [1, None, "x"], "a": True},) + row[7:], (binary, got)
    c.execute("SELECT price * 3, price / 7, sum(price), avg(big), count(*) FROM item GROUP BY price")
    got = c.fetchone()
    assert got[0] == decimal.Decimal("37.50") and got[4] == 1, got
    assert str(got[1]) == "1.7857142857142857", got

with conn.transaction():
    cur.execute("UPDATE item SET price = price + 1 WHERE id = %s", (1,))
    try:
        with conn.transaction():
            cur.execute("INSERT INTO item (name) VALUES (%s)", (row[0],))
    except errors.UniqueViolation as e:
        assert e.diag.constraint_name == "item_name_key", e.diag.constraint_name
    else:
        raise AssertionError("23505 expected")
    cur.execute("INSERT INTO item (name, price) VALUES ('second', 2)")
cur.execute("SELECT count(*), sum(price) FROM item")
assert cur.fetchone() == (2, decimal.Decimal("15.50"))

try:
    with conn.transaction():
        cur.execute("DELETE FROM item")
        raise RuntimeError
except RuntimeError:
    pass
cur.execute("SELECT count(*) FROM item")
assert cur.fetchone() == (2,)

for sql, error in (
    ("INSERT INTO item (name) VALUES (NULL)", errors.NotNullViolation),
    ("INSERT INTO item (name, price) VALUES ('x', -1)", errors.CheckViolation),
    ("SELECT * FROM missing", errors.UndefinedTable),
    ("SELECT missing FROM item", errors.UndefinedColumn),
    ("SELECT 1/0", errors.DivisionByZero),
    ("SELECT 'x'::int", errors.InvalidTextRepresentation),
    ("SELEC 1", errors.SyntaxError),
    ("SELECT 2147483647 + 1", errors.NumericValueOutOfRange),
    ("INSERT INTO item (name, small) VALUES ('y', 70000)", errors.NumericValueOutOfRange),
):
    try:
        cur.execute(sql)
    except error:
        pass
    else:
        raise AssertionError(f"{error} expected for {sql}")

with conn.pipeline():
    cur.execute("INSERT INTO item (name, price) VALUES ('p1', 1)")
    cur.execute("INSERT INTO item (name, price) VALUES ('p2', 1)")
with cur.copy("COPY item (name, price) FROM STDIN") as copy:
    for n in range(1000):
        copy.write_row((f"copy {n}", n))
cur.execute("SELECT count(*) FROM item WHERE name LIKE 'copy %'")
assert cur.fetchone() == (1000,)
with conn.transaction():
    server = conn.cursor("c")
    server.execute("SELECT name FROM item ORDER BY name")
    assert len(server.fetchmany(10)) == 10
    assert len(server.fetchall()) == 994
with cur.copy("COPY (SELECT id, name FROM item WHERE id < 4 ORDER BY id) TO STDOUT") as copy:
    assert len(list(copy.rows())) == 2
print("psycopg ok")
