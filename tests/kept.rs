//! Texts in columns whose affinity makes numbers of them: what was written comes back.

use crate::common::raw::{Raw, assert_same};
use crate::common::{Journey, Pg, Proxy, crossfade};

/// Each declaration means numbers to SQLite; the first row says that the application keeps texts.
const FILE: &str = "
    CREATE TABLE t(id INTEGER PRIMARY KEY, zip STRING, r FLOAT, p POINT, j JSON, u STRING UNIQUE, d STRING DEFAULT '7');
    CREATE TABLE plain(id INTEGER PRIMARY KEY, zip TEXT, any);
    CREATE TABLE strict(id INTEGER PRIMARY KEY, a ANY) STRICT;
    INSERT INTO t VALUES (1, 'abc', 'x', 'y', '{\"a\":1}', 'one', 'z');
    INSERT INTO plain VALUES (1, 'abc', 'x'), (2, '01234', '007');
    INSERT INTO strict VALUES (1, 'x'), (2, '01');
";
const POSTGRES: &str = "
    CREATE TABLE t(id bigint PRIMARY KEY, zip text, r text, p text, j json, u text UNIQUE, d text DEFAULT '7');
    CREATE TABLE plain(id bigint PRIMARY KEY, zip text, \"any\" text);
    CREATE TABLE strict(id bigint PRIMARY KEY, a text);
    INSERT INTO t VALUES (1, 'abc', 'x', 'y', '{\"a\":1}', 'one', 'z');
    INSERT INTO plain VALUES (1, 'abc', 'x'), (2, '01234', '007');
    INSERT INTO strict VALUES (1, 'x'), (2, '01');
";

const TEXTS: [&str; 22] = [
    "1234",
    "01234",
    " 12",
    "12 ",
    "1.0",
    "1.5",
    "1.50",
    ".5",
    "5.",
    "1e3",
    "1.0e+20",
    "-0",
    "+7",
    "-7",
    "9223372036854775807",
    "9223372036854775808",
    "0.1",
    "12345678901234567890123",
    "2020-01-01",
    "",
    "1e",
    "0x10",
];

#[test]
fn texts_that_look_like_numbers_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(FILE).unwrap();
    let proxy = Proxy::on_file(&file, &[]);
    let database = Pg::shared().database("kept");
    Pg::shared().cluster.psql(&database, POSTGRES).unwrap();
    let mut script =
        String::from("P s|INSERT INTO t(id, zip, r, p, u) VALUES ($1, $2, $2, $2, $3)|\n");
    for (n, text) in TEXTS.iter().enumerate() {
        let id = 10 + n;
        script += &format!(
            "Q INSERT INTO t(id, zip, r, p, u) VALUES ({id}, '{text}', '{text}', '{text}', '{text}')\n"
        );
        if !text.is_empty() {
            script += &format!("B |s|{},{text},u{text}|\nE |0\nS\n", 100 + n);
        }
        script += &format!(
            "Q SELECT count(*) FROM t WHERE zip = '{text}' AND r = '{text}' AND p IN ('{text}') AND zip IS NOT NULL\n"
        );
    }
    script += "
        Q SELECT id, zip, r, p, u, d, length(zip), zip || '|' FROM t ORDER BY id
        Q SELECT zip, count(*) FROM t GROUP BY zip ORDER BY zip
        Q SELECT DISTINCT r FROM t ORDER BY r DESC
        Q SELECT count(*) FROM t a JOIN t b ON a.zip = b.r
        Q SELECT count(*) FROM t JOIN plain ON t.zip = plain.zip
        Q INSERT INTO t(id, u) VALUES (200, '01234')
        Q INSERT INTO t(id, u, zip) VALUES (201, '01234', '00') ON CONFLICT (u) DO UPDATE SET zip = excluded.zip, r = t.zip || '0', p = 5.50 RETURNING id, zip, r, p
        Q UPDATE t SET zip = '0' || id, r = id, p = r WHERE id < 13
        Q UPDATE t SET zip = zip, r = p, p = r WHERE id < 20
        Q UPDATE t SET (zip, r) = (SELECT '001', '2.50') WHERE id = 20
        Q INSERT INTO t(id, zip, r, u) SELECT id + 300, zip, \"any\", \"any\" FROM plain
        Q INSERT INTO plain(id, zip, \"any\") SELECT id + 300, zip, r FROM t WHERE id < 40
        Q SELECT * FROM plain ORDER BY id
        Q COPY t(id, zip, r, p, u) FROM STDIN
        d 400\\t007\\t1.0\\t+1\\t007a\\n401\\t 8\\t1e5\\t-0\\t008\\n
        c
        Q ALTER TABLE t ALTER COLUMN d SET DEFAULT '007'
        Q INSERT INTO t(id, zip) VALUES (402, DEFAULT) RETURNING d, zip
        Q SELECT id, zip, r, p, u, d FROM t ORDER BY id
        Q SELECT id FROM t ORDER BY zip, id
        Q SELECT id, zip FROM t WHERE zip BETWEEN '0' AND '1' ORDER BY id
        Q SELECT id FROM t WHERE zip LIKE '0%' ORDER BY id
        Q SELECT min(zip), max(r), string_agg(p, ',' ORDER BY id) FROM t
        Q INSERT INTO t(id, j) VALUES (500, '1.0'), (501, '12345678901234567890123'), (502, '7'), (503, ' [1.0] '), (504, '1e2')
        Q SELECT id, j, j::text || '|', j #>> '{}' FROM t WHERE id >= 500 ORDER BY id
        Q INSERT INTO strict VALUES (3, '007'), (4, '1.0')
        Q SELECT * FROM strict ORDER BY id
        Q DELETE FROM t WHERE zip = '01234'
        Q SELECT count(*) FROM t
    ";
    let run = |mut raw: Raw| raw.run(&script);
    let expected = run(Raw::postgres(&database));
    let found = run(Raw::proxy(&proxy));
    assert_same(&expected, &found, &proxy);
    // Numbers stay numbers where they are the same text, for the programs beside.
    let class = |sql: &str| {
        let file = rusqlite::Connection::open(&file).unwrap();
        file.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!(class("SELECT typeof(zip) || typeof(r) FROM t WHERE id = 100"), "integerblob");
    assert_eq!(class("SELECT typeof(zip) || typeof(r) FROM t WHERE id = 104"), "blobreal");
    assert_eq!(class("SELECT typeof(zip) FROM t WHERE id = 118"), "text");
}

#[test]
fn where_the_file_computes_with_the_column_they_are_refused_until_it_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let made = "CREATE TABLE t(id INTEGER PRIMARY KEY, zip STRING); CREATE TABLE log(zip TEXT);
        INSERT INTO t VALUES (1, 'abc');
        CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.zip); END;
        CREATE TABLE g(id INTEGER PRIMARY KEY, zip STRING, low TEXT AS (zip || ''));
        INSERT INTO g(id, zip) VALUES (1, 'abc');
        CREATE TABLE a(zip STRING PRIMARY KEY); INSERT INTO a VALUES ('x');
        CREATE TABLE b(zip TEXT REFERENCES a(zip)); INSERT INTO b VALUES ('x');";
    rusqlite::Connection::open(&file).unwrap().execute_batch(made).unwrap();
    let (_, report, _) = crossfade(&["assess", file.to_str().unwrap(), "--json"]);
    assert!(report.contains("CF0104") && report.contains("joins different types"), "{report}");
    let proxy = Proxy::on_file(&file, &[]);
    for table in ["t", "g"] {
        let (_, _, err) = proxy.psql(&format!("INSERT INTO {table}(id, zip) VALUES (2, '01234')"));
        assert!(err.contains("keeps numbers in") && err.contains("ALTER COLUMN"), "{err}");
        proxy.sql(&format!("INSERT INTO {table}(id, zip) VALUES (3, '1234')"));
        assert_eq!(proxy.sql(&format!("SELECT zip FROM {table} WHERE id > 1")), "1234");
    }
    assert_eq!(proxy.sql("SELECT string_agg(zip, ',') FROM log"), "1234");
    // As the hint says.
    let (_, _, err) = proxy.psql("ALTER TABLE a ALTER COLUMN zip TYPE text");
    assert!(err.is_empty(), "{err}");
}

#[test]
fn they_are_the_same_on_postgresql_and_on_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(FILE).unwrap();
    let journey = Journey::start(&file, Pg::shared(), &[]);
    journey.mirror();
    let texts = |base: usize| -> String {
        let row =
            |(n, text): (usize, &&str)| format!("({}, '{text}', '{text}', '{text}')", base + n);
        let rows: Vec<String> = TEXTS.iter().enumerate().map(row).collect();
        format!("INSERT INTO t(id, zip, r, p) VALUES {}", rows.join(", "))
    };
    let shown = "SELECT string_agg(concat_ws('|', id, zip, r, p, j), ',' ORDER BY id) FROM t";
    journey.proxy.sql(&texts(10));
    journey.proxy.sql("INSERT INTO t(id, j) VALUES (100, '1.0')");
    journey.done(&["verify"]);
    let ours = journey.proxy.sql(shown);
    assert_eq!(Pg::shared().cluster.psql(&journey.database, shown).unwrap(), ours);
    journey.promote();
    journey.proxy.sql(&texts(200));
    journey.proxy.sql("UPDATE t SET zip = '00' || id, r = r || '.0' WHERE id < 20");
    let theirs = journey.proxy.sql(shown);
    journey.rollback();
    assert_eq!(journey.proxy.sql(shown), theirs);
    journey.done(&["verify"]);
}
