//! Keys that PostgreSQL's own tables hold otherwise than SQLite does: of another type, in one spelling
//! where SQLite has two, under a collation that takes different texts for the same.

use crate::common::Journey;
use crate::own_schema::Own;

/// SQLite's type, PostgreSQL's, and two spellings of one value, the usual one first.
const SPELLED: &[(&str, &str, &str, &str)] = &[
    (
        "TEXT",
        "uuid",
        "'550e8400-e29b-41d4-a716-446655440000'",
        "'550E8400-E29B-41D4-A716-446655440000'",
    ),
    ("TEXT", "integer", "'7'", "'007'"),
    ("TEXT", "numeric", "'1.5'", "'1.50'"),
    ("TEXT", "timestamptz", "'2024-01-02 03:04:05+00'", "'2024-01-02T03:04:05Z'"),
    ("TEXT", "date", "'2024-01-02'", "'2024-1-2'"),
    (
        "BLOB",
        "uuid",
        "x'550e8400e29b41d4a716446655440000'",
        "CAST('550e8400-e29b-41d4-a716-446655440000' AS BLOB)",
    ),
];

/// Tables t0, t1 … (id, v), and their rows.
fn tables(kinds: &[(&str, &str, &str, &str)], rows: &str, types: &str) -> Own {
    let (mut file, mut schema) = (String::new(), types.to_owned());
    for (n, (ours, theirs, first, second)) in kinds.iter().enumerate() {
        file.push_str(&format!("CREATE TABLE t{n}(id {ours} PRIMARY KEY, v TEXT);"));
        let rows = rows.replace("FIRST", first).replace("SECOND", second);
        file.push_str(&format!("INSERT INTO t{n} VALUES {rows};"));
        schema.push_str(&format!("CREATE TABLE t{n}(id {theirs} PRIMARY KEY, v text);"));
    }
    Own::new(&file, &schema)
}

/// SQL for every table, as a client writes it.
fn each(kinds: &[(&str, &str, &str, &str)], sql: &str) -> Vec<String> {
    let of = |(n, kind): (usize, &(&str, &str, &str, &str))| {
        let bytes = |key: &str| key.replace("x'", "'\\x");
        let sql = sql.replace("TABLE", &format!("t{n}"));
        sql.replace("FIRST", &bytes(kind.2)).replace("SECOND", &bytes(kind.3))
    };
    kinds.iter().enumerate().map(of).collect()
}

fn run(journey: &Journey, list: Vec<String>) {
    for sql in list {
        journey.proxy.sql(&sql);
    }
}

fn open(journey: &Journey) -> Vec<(String, String)> {
    let all = journey.get("/api/v1/divergences");
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let open = all["divergences"].as_array().unwrap().iter().filter(|d| d["state"] == "open");
    open.map(|d| (text(&d["table"]), text(&d["class"]))).collect()
}

const HELD: &str = "SELECT count(DISTINCT (table_name, row_key)) FROM crossfade.quarantine";

#[test]
fn two_spellings_of_one_key_stay_two_rows() {
    let own = tables(SPELLED, "(SECOND, 'second'), (FIRST, 'first')", "");
    let journey = own.start();
    journey.copy();
    journey.await_status("phase", "mirroring");
    let all = SPELLED.len().to_string();
    let rows = |wanted: &str| {
        journey.level();
        for n in 0..SPELLED.len() {
            let shown = own.shadow(&format!("SELECT string_agg(v, ' ' ORDER BY v) FROM t{n}"));
            assert_eq!(shown, wanted, "t{n}");
        }
    };
    let app = |sql: &str| run(&journey, each(SPELLED, sql));
    // The one that came first is there, the other in quarantine under a name of its own.
    rows("second");
    assert_eq!(own.shadow(HELD), all);
    journey.done(&["verify"]);
    // What is written by one goes to no other.
    app("UPDATE TABLE SET v = 'changed' WHERE v = 'second'");
    rows("changed");
    app("UPDATE TABLE SET v = 'one' WHERE v = 'first'");
    rows("changed");
    let held = "SELECT string_agg(DISTINCT convert_from(bytes, 'UTF8'), ' ') \
                FROM crossfade.quarantine WHERE column_name = 'v'";
    assert_eq!(own.shadow(held), "one");
    assert_eq!(own.shadow(HELD), all);
    journey.done(&["verify"]);
    // A row that is lost is missed, whatever else is in quarantine.
    for n in 0..SPELLED.len() {
        own.shadow(&format!("DELETE FROM t{n}"));
    }
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    rows("changed");
    assert_eq!(own.shadow(HELD), all);
    // Of two that are expected repair writes one, and holds the other.
    own.shadow("DELETE FROM crossfade.quarantine");
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    rows("changed");
    assert_eq!(own.shadow(HELD), all);
    journey.done(&["verify"]);
    app("DELETE FROM TABLE WHERE v = 'one'");
    rows("changed");
    assert_eq!(own.shadow(HELD), "0");
    journey.done(&["verify"]);
    // A new spelling waits as well, and leaves alone.
    app("INSERT INTO TABLE VALUES (FIRST, 'new')");
    rows("changed");
    assert_eq!(own.shadow(HELD), all);
    app("DELETE FROM TABLE WHERE v = 'changed'");
    rows("");
    journey.done(&["verify"]);
    let classes: Vec<String> = open(&journey).into_iter().map(|(_, class)| class).collect();
    assert!(!classes.iter().any(|c| c == "foreign_write"), "{classes:?}");
}

/// The same in tables that Crossfade makes, which have no key on PostgreSQL then: SQLite's type, a type
/// that a person gives if that is not empty, two spellings.
const MADE: &[(&str, &str, &str, &str)] = &[
    ("DATETIME", "", "'2024-01-01 00:00:00'", "'2024-01-01T00:00:00'"),
    ("DATE", "", "'2024-01-01'", "'2024-1-1'"),
    ("TIME", "", "'10:00:00'", "'10:00'"),
    ("BOOLEAN", "", "1", "'true'"),
    ("BLOB", "", "'abc'", "x'616263'"),
    ("TEXT", "", "'abc'", "x'616263'"),
    ("TEXT", "inet", "'10.0.0.1'", "'10.0.0.1/32'"),
    ("TEXT", "macaddr", "'08:00:2b:01:02:03'", "'08002b010203'"),
    ("TEXT", "char(4)", "'a'", "'a '"),
    ("REAL", "real", "1.1", "1.10000000001"),
];

#[test]
fn rows_of_one_key_to_postgres_stay_two_where_it_refuses_the_key() {
    let (mut file, mut config) = (String::new(), String::new());
    for (n, (ty, given, first, second)) in MADE.iter().enumerate() {
        file.push_str(&format!(
            "CREATE TABLE t{n}(id {ty} PRIMARY KEY, v TEXT);
             INSERT INTO t{n} VALUES ({first}, 'first'), ({second}, 'second');"
        ));
        if !given.is_empty() {
            config.push_str(&format!("[tables.t{n}.columns]\nid = \"{given}\"\n"));
        }
    }
    let own = Own::new(&file, "SELECT 1");
    let journey = own.start_with(&config);
    journey.copy();
    journey.await_status("phase", "mirroring");
    let rows = |wanted: &str| {
        journey.level();
        for (n, kind) in MADE.iter().enumerate() {
            let shown = own.shadow(&format!("SELECT string_agg(v, ' ' ORDER BY v) FROM t{n}"));
            assert_eq!(shown, wanted, "t{n} {kind:?}");
        }
        journey.done(&["verify"]);
    };
    rows("first second");
    run(&journey, each(MADE, "UPDATE TABLE SET v = 'changed' WHERE v = 'first'"));
    rows("changed second");
    // A row that is lost is missed although the other one has its key.
    (0..MADE.len()).for_each(|n| drop(own.shadow(&format!("DELETE FROM t{n} WHERE v = 'second'"))));
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    rows("changed second");
    run(&journey, each(MADE, "DELETE FROM TABLE WHERE v = 'changed'"));
    rows("second");
    assert_eq!(own.shadow("SELECT count(*) FROM crossfade.quarantine"), "0");
}

/// A key without letter case, and references in other letters.
#[test]
fn references_to_a_key_without_case_are_mirrored_as_they_are_written() {
    let own = Own::new(
        "CREATE TABLE p(id TEXT COLLATE NOCASE PRIMARY KEY, v TEXT);
         INSERT INTO p VALUES ('Abc', 'x'), ('def', 'y'), ('ghi', 'z');
         CREATE TABLE c(id INTEGER PRIMARY KEY, p TEXT COLLATE NOCASE REFERENCES p(id)
           ON DELETE CASCADE ON UPDATE CASCADE);
         INSERT INTO c VALUES (1, 'abc'), (2, 'DEF'), (3, 'Abc'), (4, 'ghi');",
        "SELECT 1",
    );
    let journey = own.start();
    journey.mirror();
    for sql in [
        "INSERT INTO c VALUES (5, 'ABC')",
        "UPDATE c SET p = 'dEf' WHERE id = 2",
        "UPDATE p SET id = 'aBC' WHERE id = 'Abc'",
        "DELETE FROM p WHERE id = 'def'",
        "UPDATE p SET id = 'jkl' WHERE id = 'ghi'",
        "UPDATE p SET v = v || '!'",
    ] {
        journey.proxy.sql(sql);
    }
    journey.level();
    for sql in ["SELECT * FROM p ORDER BY v", "SELECT * FROM c ORDER BY id"] {
        assert_eq!(own.shadow(sql), journey.proxy.sql(sql), "{sql}");
    }
    journey.done(&["verify"]);
    own.shadow("SET session_replication_role = replica; UPDATE c SET p = 'Abc' WHERE id = 5");
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
}

/// Types under which PostgreSQL takes letters of both cases for the same.
const FOLDED: &[(&str, &str, &str, &str)] = &[
    ("TEXT", "citext", "'a'", "'A'"),
    ("TEXT", "text COLLATE folded", "'a'", "'A'"),
    ("TEXT", "varchar(9) COLLATE folded", "'ab'", "'aB'"),
];

#[test]
fn texts_that_are_the_same_to_postgres_alone_stay_two_rows() {
    let types = "CREATE EXTENSION IF NOT EXISTS citext; CREATE COLLATION folded \
                 (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";
    let own = tables(FOLDED, "(SECOND, 'second')", types);
    // The index alone may have the collation.
    own.shadow(
        "CREATE TABLE i(id text NOT NULL, v text); CREATE UNIQUE INDEX ON i (id COLLATE folded)",
    );
    rusqlite::Connection::open(own.file())
        .unwrap()
        .execute_batch(
            "CREATE TABLE i(id TEXT PRIMARY KEY, v TEXT); INSERT INTO i VALUES ('A', 'second')",
        )
        .unwrap();
    let journey = own.start();
    journey.mirror();
    let rows = |wanted: &str| {
        journey.level();
        for table in ["t0", "t1", "t2", "i"] {
            let shown = own.shadow(&format!("SELECT string_agg(v, ' ' ORDER BY v) FROM {table}"));
            assert_eq!(shown, wanted, "{table}");
        }
    };
    let app = |sql: &str| {
        run(&journey, each(FOLDED, sql));
        let sql = sql.replace("TABLE", "i").replace("FIRST", "'a'").replace("SECOND", "'A'");
        journey.proxy.sql(&sql);
    };
    app("INSERT INTO TABLE VALUES (FIRST, 'first')");
    rows("second");
    assert_eq!(own.shadow(HELD), "4");
    journey.done(&["verify"]);
    app("UPDATE TABLE SET v = 'changed' WHERE id = SECOND");
    rows("changed");
    journey.done(&["repair"]);
    rows("changed");
    app("DELETE FROM TABLE WHERE id = FIRST");
    rows("changed");
    assert_eq!(own.shadow(HELD), "0");
    journey.done(&["verify"]);
    app("UPDATE TABLE SET id = FIRST WHERE id = SECOND");
    rows("changed");
    assert_eq!(own.shadow("SELECT id FROM t1"), "a");
    journey.done(&["verify"]);
    let classes: Vec<(String, String)> = open(&journey);
    assert!(!classes.iter().any(|(_, c)| c == "foreign_write"), "{classes:?}");
}

/// Types between which every value passes one to one, or in its usual spelling: SQLite's, PostgreSQL's,
/// two values.
const OTHER: &[(&str, &str, &str, &str)] = &[
    ("INTEGER", "numeric(20)", "1", "2"),
    ("INTEGER", "numeric", "1", "2"),
    ("INTEGER", "double precision", "1", "2"),
    ("INTEGER", "text", "1", "2"),
    ("INTEGER", "varchar(20)", "1", "2"),
    ("REAL", "numeric", "1.5", "2.25"),
    ("BOOLEAN", "smallint", "0", "1"),
    (
        "TEXT",
        "uuid",
        "'550e8400-e29b-41d4-a716-446655440001'",
        "'550e8400e29b41d4a716446655440002'",
    ),
    ("TEXT", "date", "'2024-01-01'", "'2024-01-02'"),
    ("TEXT", "timestamptz", "'2024-01-01T00:00:00Z'", "'2024-01-02 00:00:00'"),
    ("TEXT", "bigint", "'1'", "'02'"),
    ("TEXT", "char(8)", "'a'", "'bb'"),
    ("TEXT", "bytea", "'a'", "'b'"),
];

#[test]
fn keys_of_other_types_are_compared_where_their_rows_change_and_go() {
    let own = tables(OTHER, "(FIRST, 'first'), (SECOND, 'second')", "");
    let journey = own.start();
    journey.mirror();
    let app = |sql: &str| run(&journey, each(OTHER, sql));
    // An ordinary statement is no difference.
    app("UPDATE TABLE SET v = 'changed' WHERE id = FIRST");
    app("UPDATE TABLE SET v = v || '!'");
    journey.level();
    assert_eq!(open(&journey), []);
    journey.dry_run();
    app("DELETE FROM TABLE WHERE v LIKE 'second%'");
    journey.level();
    assert_eq!(open(&journey), []);
    let task = journey.dry_run();
    assert!(task.to_string().contains("looked at 26 keys: 0 differ"), "{task}");
    for (n, kind) in OTHER.iter().enumerate() {
        assert_eq!(own.shadow(&format!("SELECT v FROM t{n}")), "changed!", "t{n}");
        own.shadow(&format!("INSERT INTO t{n} SELECT {}, 'back'", kind.3));
    }
    // What is there again is found by its key.
    assert_eq!(journey.promote_with(&["--dry-run"]).0, 4);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    journey.promote();
}

#[test]
fn chunks_of_keys_of_other_types_are_compared() {
    let kinds: Vec<(&str, &str)> =
        OTHER.iter().filter(|k| k.0 == "INTEGER").map(|k| (k.1, k.2)).collect();
    let (mut file, mut schema) = (String::new(), String::new());
    for (n, (theirs, _)) in kinds.iter().enumerate() {
        file.push_str(&format!(
            "CREATE TABLE t{n}(id INTEGER PRIMARY KEY, v TEXT); WITH RECURSIVE c(x) AS \
             (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 21000) \
             INSERT INTO t{n} SELECT x, 'r' || x FROM c;"
        ));
        schema.push_str(&format!("CREATE TABLE t{n}(id {theirs} PRIMARY KEY, v text);"));
    }
    let own = Own::new(&file, &schema);
    let journey = own.start();
    journey.mirror();
    for n in 0..kinds.len() {
        journey.proxy.sql(&format!("UPDATE t{n} SET v = v || 'x'"));
    }
    journey.level();
    assert_eq!(open(&journey), []);
    journey.dry_run();
    own.shadow("UPDATE t0 SET v = 'other' WHERE id = 20999; INSERT INTO t1 VALUES (1.5, 'extra')");
    assert_eq!(journey.promote_with(&["--dry-run"]).0, 4);
    journey.done(&["repair"]);
    journey.dry_run();
    journey.promote();
}

const TRIGGERS: &str = "[postgres]\nway_back = \"triggers\"\n";

#[test]
fn the_way_back_leaves_what_the_application_stored() {
    comes_back("");
}

#[test]
fn row_triggers_leave_what_the_application_stored() {
    comes_back(TRIGGERS);
}

/// Keys in spellings of the file's own: as uuid and char(n) on PostgreSQL, and moments in tables that
/// Crossfade makes.
fn comes_back(config: &str) {
    let own = Own::new(
        "CREATE TABLE p(id TEXT PRIMARY KEY, j TEXT, at TIMESTAMP, v TEXT);
         CREATE TABLE c(id INTEGER PRIMARY KEY, p TEXT REFERENCES p(id));
         CREATE TABLE w(id TEXT PRIMARY KEY, code TEXT, v TEXT);
         CREATE TABLE m(at TIMESTAMP PRIMARY KEY, v TEXT);
         CREATE TABLE e(id INTEGER PRIMARY KEY, at TIMESTAMP REFERENCES m(at));
         INSERT INTO p VALUES ('550E8400-E29B-41D4-A716-446655440000', '{\"b\":1,  \"a\":2}',
             '2024-01-02T03:04:05', 'x'), ('550e8400e29b41d4a716446655440001', 'null',
             '2024-01-02 03:04:05', 'x');
         INSERT INTO c VALUES (1, '550E8400-E29B-41D4-A716-446655440000');
         INSERT INTO w VALUES ('a', 'abc', 'x'), ('bb', '', 'x'), ('c', 'd', 'x');
         INSERT INTO m VALUES ('2024-01-02T03:04:05', 'x'), ('2024-01-03 03:04:05', 'x');
         INSERT INTO e VALUES (1, '2024-01-02T03:04:05');",
        "CREATE TABLE p(id uuid PRIMARY KEY, j jsonb, at timestamp, v text);
         CREATE TABLE c(id bigint PRIMARY KEY, p uuid REFERENCES p(id));
         CREATE TABLE w(id char(4) PRIMARY KEY, code char(6), v text)",
    );
    let journey = if config.is_empty() { own.start() } else { own.start_with(config) };
    journey.mirror();
    journey.promote();
    for sql in [
        "UPDATE p SET v = 'y'",
        "UPDATE w SET v = 'y' WHERE id <> 'c'",
        "DELETE FROM w WHERE id = 'c'",
        "INSERT INTO w VALUES ('d', 'ef', 'z')",
        "UPDATE w SET code = 'efg' WHERE id = 'd'",
        "UPDATE m SET v = 'y'",
        "INSERT INTO c VALUES (2, '550e8400-e29b-41d4-a716-446655440000')",
        "INSERT INTO c VALUES (3, '550e8400-e29b-41d4-a716-446655440001')",
        "UPDATE c SET p = '550e8400-e29b-41d4-a716-446655440001' WHERE id = 1",
        "INSERT INTO e VALUES (2, '2024-01-02 03:04:05')",
    ] {
        own.shadow(sql);
    }
    journey.rollback();
    let all = |table: &str, columns: &str| {
        own.stored(&format!(
            "SELECT group_concat(r, char(10)) FROM (SELECT {columns} AS r FROM {table} ORDER BY 1)"
        ))
    };
    assert_eq!(
        all("p", "id || ' ' || j || ' ' || at || ' ' || v"),
        "550E8400-E29B-41D4-A716-446655440000 {\"b\":1,  \"a\":2} 2024-01-02T03:04:05 y\n\
         550e8400e29b41d4a716446655440001 null 2024-01-02 03:04:05 y"
    );
    assert_eq!(all("w", "id || '|' || code || '|' || v"), "a|abc|y\nbb||y\nd|efg|z");
    assert_eq!(all("m", "at || ' ' || v"), "2024-01-02T03:04:05 y\n2024-01-03 03:04:05 y");
    assert_eq!(all("pragma_foreign_key_check", "count(*)"), "0");
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM c JOIN p ON p.id = c.p"), "3");
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM e JOIN m ON m.at = e.at"), "2");
    assert_eq!(own.stored("SELECT p FROM c WHERE id = 1"), "550e8400e29b41d4a716446655440001");
    journey.done(&["verify"]);
}

#[test]
fn the_way_back_leaves_a_row_in_quarantine_alone() {
    left_alone("");
}

#[test]
fn row_triggers_leave_a_row_in_quarantine_alone() {
    left_alone(TRIGGERS);
}

fn left_alone(config: &str) {
    let own = tables(SPELLED, "(SECOND, 'second'), (FIRST, 'first')", "");
    let journey = if config.is_empty() { own.start() } else { own.start_with(config) };
    journey.mirror();
    let all = journey.get("/api/v1/divergences");
    for one in all["divergences"].as_array().unwrap() {
        journey.done(&["divergences", "accept", one["id"].as_str().unwrap(), "--reason", "known"]);
    }
    journey.promote();
    let rows = |wanted: &str| {
        for n in 0..SPELLED.len() {
            let sql = format!("SELECT group_concat(v, ' ') FROM (SELECT v FROM t{n} ORDER BY v)");
            crate::common::eventually(&format!("t{n} has {wanted}: {}", own.stored(&sql)), || {
                own.stored(&sql) == wanted
            });
        }
    };
    let there = |sql: &str| {
        (0..SPELLED.len()).for_each(|n| drop(own.shadow(&sql.replace("TABLE", &format!("t{n}")))));
    };
    there("UPDATE TABLE SET v = 'changed'");
    rows("changed first");
    there("DELETE FROM TABLE");
    rows("first");
    journey.rollback();
    journey.done(&["verify"]);
    assert_eq!(own.shadow(HELD), SPELLED.len().to_string());
}
