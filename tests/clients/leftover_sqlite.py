"""psycopg 3 sending SQL that was written for SQLite, with parameters."""
import datetime as dt
import sys

import psycopg

url = sys.argv[1]
with psycopg.connect(url) as conn:
    cur = conn.cursor()
    cur.execute("INSERT OR REPLACE INTO kv(k, v, n) VALUES (%s, %s, %s)", ("one", "uno", 5))
    cur.execute("SELECT ifnull(v, %s), n FROM kv WHERE k = %s", ("none", "one"))
    assert cur.fetchall() == [("uno", 5)]
    cur.execute("INSERT OR IGNORE INTO kv(k, v) VALUES (%s, %s)", ("one", "lost"))
    assert cur.rowcount == 0
    cur.execute("SELECT `name` FROM [users] WHERE name LIKE %s AND active = 1 ORDER BY id", ("a%",))
    assert cur.fetchall() == [("Ann",), ("ann",)]
    cur.execute("SELECT name FROM users WHERE created > datetime(%s, '-1 month') ORDER BY id", ("2024-03-20 00:00:00",))
    assert [r[0] for r in cur.fetchall()] == ["bob", "Zoë_%", ""], "dates"
    cur.execute(
        "INSERT INTO users(name, email, active, created) VALUES (%s, %s, %s, datetime('now'))",
        ("Py", "py@example.org", True),
    )
    cur.execute("SELECT last_insert_rowid()")
    (rowid,) = cur.fetchone()
    cur.execute("SELECT name, created FROM users WHERE rowid = %s", (rowid,))
    name, created = cur.fetchone()
    assert name == "Py" and isinstance(created, dt.datetime)
    cur.execute("SELECT strftime('%%Y', created), count(*), total(age) FROM users GROUP BY 1 ORDER BY 1")
    assert len(cur.fetchall()) > 1
    cur.execute("PRAGMA table_info(kv)")
    assert [row[1] for row in cur.fetchall()] == ["k", "v", "n"]
    cur.execute("SELECT id FROM users ORDER BY id LIMIT %s, %s", (1, 2))
    assert [r[0] for r in cur.fetchall()] == [2, 3]
    conn.rollback()
    cur.execute("SELECT count(*) FROM users WHERE ifnull(email, '') = 'py@example.org'")
    assert cur.fetchone() == (0,)

# Binary results, and statements prepared by name.
with psycopg.connect(url, autocommit=True, prepare_threshold=0) as conn:
    for binary in (False, True):
        cur = conn.cursor(binary=binary)
        for age in (17, 31):
            cur.execute("SELECT count(*), ifnull(max(score), 0.0) FROM users WHERE age = %s", (age,))
            count, score = cur.fetchone()
            assert count >= 1 and isinstance(score, float)
    try:
        conn.execute("SELECT name REGEXP 'x' FROM users")
        raise SystemExit("REGEXP was not refused")
    except psycopg.errors.SyntaxError as error:
        assert "REGEXP" in (error.diag.message_hint or ""), error.diag.message_hint
print("ok")
