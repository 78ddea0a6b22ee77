"""psycopg 3: types, transactions, pipeline, server-side cursor, COPY, cancel."""
import datetime as dt
import decimal
import sys
import threading
import time
import uuid

import psycopg
from psycopg import errors

url = sys.argv[1]
with psycopg.connect(url) as conn:
    cur = conn.cursor()
    cur.execute(
        "create table t(id serial primary key, i int, l bigint, n numeric(30,10), f float8, b bool,"
        " s text, v varchar(5), y bytea, d date, ts timestamp, tz timestamptz, u uuid, j jsonb)"
    )
    row = (
        7, 2**60, decimal.Decimal("12345678901234567890.0000000001"), 1.5, True, "007 'quoted'; -- $1 %s",
        "abcde", bytes(range(256)), dt.date(2024, 2, 29), dt.datetime(2024, 1, 2, 3, 4, 5, 678901),
        dt.datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=dt.timezone.utc),
        uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), psycopg.types.json.Jsonb({"a": [1, None, "x"]}),
    )
    marks = ", ".join(["%s"] * len(row))
    for binary in (False, True):
        cur = conn.cursor(binary=binary)
        cur.execute(f"insert into t(i,l,n,f,b,s,v,y,d,ts,tz,u,j) values ({marks}) returning *", row)
        got = cur.fetchone()[1:]
        for sent, found in zip(row[:-1], got[:-1]):
            assert sent == found, (binary, sent, found)
        assert got[-1] == {"a": [1, None, "x"]}, got[-1]
    conn.commit()
    for text in ("007", "true", "1e5", "2024-01-01", "pg_tablespace"):
        cur.execute("update t set s = %s", (text,))
        cur.execute("select count(*), max(s) from t where s = %s", (text,))
        assert cur.fetchone() == (2, text)
    conn.commit()

    # errors carry their codes and names
    try:
        cur.execute("insert into t(id) values (1)")
        raise AssertionError("no error")
    except errors.UniqueViolation as e:
        assert e.diag.constraint_name == "t_pkey", e.diag.constraint_name
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    try:
        cur.execute("select 1")
        raise AssertionError("no error")
    except errors.InFailedSqlTransaction:
        pass
    conn.rollback()

    # nested transactions are savepoints
    with conn.transaction():
        cur.execute("insert into t(s) values ('outer')")
        try:
            with conn.transaction():
                cur.execute("insert into t(s) values ('inner')")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
    conn.commit()
    cur.execute("select s from t where s in ('outer', 'inner')")
    assert cur.fetchall() == [("outer",)]
    conn.commit()

    # executemany uses a pipeline
    cur.execute("create table many(a int)")
    cur.executemany("insert into many values (%s)", [(i,) for i in range(500)])
    conn.commit()
    with conn.pipeline():
        results = [conn.execute("select %s::int + count(*) from many", (i,)) for i in range(20)]
    assert [r.fetchone()[0] for r in results] == [500 + i for i in range(20)]
    conn.commit()
    with conn.cursor(name="c") as named:
        named.itersize = 100
        named.execute("select a from many where a >= %s order by a", (10,))
        assert [r[0] for r in named] == list(range(10, 500))
    conn.commit()

    with cur.copy("copy many from stdin") as copy:
        for i in range(1000):
            copy.write_row((i,))
    with cur.copy("copy (select a from many order by a limit 3) to stdout") as copy:
        assert [r for r in copy.rows()] == [("0",), ("0",), ("1",)]
    with cur.copy("copy many (a) from stdin (format binary)") as copy:
        copy.set_types(["int4"])
        copy.write_row((77,))
    conn.commit()

    def cancel():
        time.sleep(0.3)
        conn.cancel()

    threading.Thread(target=cancel).start()
    try:
        cur.execute("select pg_sleep(30)")
        raise AssertionError("not cancelled")
    except errors.QueryCanceled:
        conn.rollback()
    cur.execute("select 1")
    assert cur.fetchone() == (1,)
print("ok")
