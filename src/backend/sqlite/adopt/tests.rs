//! Files that other programs made.
#![allow(clippy::unwrap_used)]

use super::FindingKind;
use crate::backend::sqlite::ddl::tests::Bench;
use crate::backend::sqlite::system::format_type;
use crate::schema::Codec;

/// A file made by plain SQLite, then opened by us.
async fn adopted(sql: &str) -> (Bench, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection.execute_batch(sql).unwrap();
    drop(connection);
    (Bench::open(&path).await, folder)
}

fn types(bench: &Bench, table: &str) -> Vec<String> {
    let relation = &bench.catalog.relations[table];
    let named = relation.columns.iter().map(|c| {
        let codec = if c.codec.plain() == Codec::Identity {
            String::new()
        } else {
            format!(" {:?}", c.codec.plain())
        };
        format!("{} {}{codec}", c.name, format_type(c.ty.oid, c.ty.typmod))
    });
    named.collect()
}

fn found(bench: &Bench, kind: FindingKind) -> usize {
    bench.findings.iter().filter(|f| f.kind == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_columns_have_their_declared_types() {
    let (mut b, _folder) = adopted(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n VARCHAR(5), p DECIMAL(10,2), f REAL, \
           b BOOLEAN NOT NULL DEFAULT 1, at DATETIME DEFAULT CURRENT_TIMESTAMP, d DATE, raw BLOB, \
           u CHAR(32), j JSON, i INTEGER);
         INSERT INTO t VALUES (3, 'abc', 1.5, 2.5, 1, '2024-01-02 03:04:05.120000', '2024-01-02', \
           x'00ff', '550e8400e29b41d4a716446655440000', '{}', 7),
           (4, 'é', 2, 3.0, 0, '2024-01-02T03:04:05', '2024-01-03', NULL, \
           '550e8400e29b41d4a716446655440001', '5', 8),
           (5, 'é', 2, 3.0, 0, NULL, '2024-01-03', NULL, '550e8400e29b41d4a716446655440002', NULL, 8),
           (9, 'é', 2, 3.0, 0, NULL, '2024-01-03', NULL, '550e8400e29b41d4a716446655440003', NULL, 8);",
    )
    .await;
    assert_eq!(
        types(&b, "t"),
        [
            "id bigint",
            "n character varying(5)",
            "p numeric(10,2) NumericNative",
            "f double precision",
            "b boolean",
            "at timestamp without time zone DateTimeLoose",
            "d date",
            "raw bytea",
            "u uuid UuidHex",
            "j json TextLoose",
            "i bigint",
        ]
    );
    let t = &b.catalog.relations["t"];
    assert_eq!(t.columns[4].default.as_deref(), Some("true"));
    assert_eq!(t.columns[5].default.as_deref(), Some("timezone('utc'::text, now())"));
    let rows = b.ok("SELECT p, b, at, u, j FROM t WHERE id < 5 ORDER BY id").await;
    assert_eq!(
        rows,
        [
            "1.50|t|2024-01-02 03:04:05.12|550e8400-e29b-41d4-a716-446655440000|{}",
            "2.00|f|2024-01-02 03:04:05|550e8400-e29b-41d4-a716-446655440001|5",
        ]
    );
    // The identity goes on behind what SQLite has given out.
    b.ok("INSERT INTO t(n, b) VALUES ('x', true)").await;
    assert_eq!(b.ok("SELECT max(id) FROM t").await, ["10"]);
    assert_eq!(found(&b, FindingKind::Type), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_breaks_a_type_is_served_whole_and_listed() {
    let (mut b, _folder) = adopted(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, w DATETIME, s VARCHAR(3), x BLOB, \
           big INTEGER, q BOOLEAN, z CHAR(32));
         INSERT INTO t VALUES (1, 'abc', '04/03/2021', 'long text', 'text', 9223372036854775807, 2, \
           'd41d8cd98f00b204e9800998ecf8427e');
         INSERT INTO t VALUES (2, 3.7, 'now', 'a', x'ff', 9223372036854775808.0, 1, NULL);
         INSERT INTO t VALUES (3, x'00', 1614834367, 'b', 12, 1, 0, NULL);",
    )
    .await;
    assert_eq!(
        types(&b, "t"),
        [
            "id bigint",
            "n bytea BytesLoose",
            "w text TextLoose",
            "s text",
            "x bytea BytesLoose",
            "big numeric NumericNative",
            "q bigint",
            "z character varying(32)",
        ]
    );
    assert_eq!(found(&b, FindingKind::Type), 6);
    let rows = b.ok("SELECT w, s, x, q FROM t ORDER BY id").await;
    assert_eq!(
        rows,
        ["04/03/2021|long text|\\x74657874|2", "now|a|\\xff|1", "1614834367|b|\\x3132|0"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_keys_checks_and_views_are_taken_over() {
    let (mut b, _folder) = adopted(
        "CREATE TABLE Album(AlbumId INTEGER PRIMARY KEY AUTOINCREMENT, [Title] TEXT UNIQUE, \
           ctid TEXT, n INTEGER CHECK(n > 0), g TEXT CHECK(g GLOB 'a*'), \
           e TEXT DEFAULT (lower(hex(randomblob(4)))), nc TEXT COLLATE NOCASE UNIQUE);
         INSERT INTO Album(Title, n, g) VALUES ('x', 1, 'ab');
         INSERT INTO Album(AlbumId, Title) VALUES (50, 'gone'); DELETE FROM Album WHERE AlbumId = 50;
         CREATE TABLE track(id INTEGER PRIMARY KEY, album INT REFERENCES Album ON DELETE CASCADE, \
           lost INT REFERENCES nowhere(id), mixed TEXT REFERENCES Album(AlbumId));
         INSERT INTO track(album) VALUES (1), (99);
         CREATE TABLE nullkey(k TEXT PRIMARY KEY); INSERT INTO nullkey VALUES (NULL), (NULL);
         CREATE INDEX by_n ON Album(n) WHERE n > 5;
         CREATE VIEW titles AS SELECT upper(title) AS t, n FROM album;
         CREATE VIEW broken AS SELECT * FROM nowhere;",
    )
    .await;
    let album = &b.catalog.relations["album"];
    assert_eq!((album.name.as_str(), album.sqlite_name.as_str()), ("album", "Album"));
    let names: Vec<&str> = album.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["albumid", "Title", "ctid_", "n", "g", "e", "nc"]);
    assert!(album.columns[5].sqlite_default.is_some());
    let uniques: Vec<&str> = album.uniques.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(uniques, ["album_pkey", "album_Title_key"]);
    assert_eq!(
        album.indexes[0].definition,
        "CREATE UNIQUE INDEX album_nc_key ON public.album \
        USING btree (lower(nc COLLATE \"C\"))"
    );
    let checks: Vec<bool> = album.checks.iter().map(|c| c.sqlite).collect();
    assert_eq!(checks, [false, true]);
    let track = &b.catalog.relations["track"];
    assert_eq!(track.foreign_keys.len(), 1);
    assert!(track.foreign_keys[0].not_valid);
    assert_eq!(found(&b, FindingKind::ForeignKey), 1);
    assert_eq!(found(&b, FindingKind::KeyTypes), 1);
    assert!(b.catalog.relations["nullkey"].primary_key.is_none());
    assert!(!b.catalog.relations.contains_key("broken"));
    assert_eq!(b.ok("SELECT t, n FROM titles").await, ["X|1"]);
    // SQLite's own default fills a column that our INSERT leaves out.
    b.ok("INSERT INTO album(\"Title\", n, g) VALUES ('y', 6, 'a')").await;
    assert_eq!(b.ok("SELECT albumid, length(e) FROM album WHERE n = 6").await, ["51|8"]);
    assert_eq!(b.fails("INSERT INTO album(g) VALUES ('b')").await.0, "23514");
    assert_eq!(
        b.fails("INSERT INTO album(\"Title\") VALUES ('y')").await.1,
        "duplicate key value violates unique constraint \"album_Title_key\""
    );
    // Changing a table that is not ours keeps what it has. (Failed inserts use up numbers.)
    b.ok("ALTER TABLE album ALTER COLUMN n SET DEFAULT 7").await;
    b.ok("ALTER TABLE album ADD COLUMN extra int").await;
    b.ok("INSERT INTO album(\"Title\") VALUES ('z')").await;
    assert_eq!(b.ok("SELECT albumid, n FROM album WHERE \"Title\" = 'z'").await, ["54|7"]);
    assert_eq!(b.fails("INSERT INTO album(g) VALUES ('b')").await.0, "23514");
    assert_eq!(b.ok("SELECT count(*) FROM track").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_changed_behind_our_back_is_taken_over_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.db");
    {
        let mut b = Bench::open(&path).await;
        b.ok("CREATE TABLE t(id int PRIMARY KEY, v varchar(9) DEFAULT 'x', CHECK (v ~ 'x'))").await;
        b.ok("CREATE TABLE gone(a int)").await;
    }
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "ALTER TABLE t ADD COLUMN extra DATE; DROP TABLE gone; CREATE TABLE fresh(a)",
        )
        .unwrap();
    drop(connection);
    let b = Bench::open(&path).await;
    assert_eq!(types(&b, "t"), ["id integer", "v character varying(9)", "extra date"]);
    let t = &b.catalog.relations["t"];
    assert_eq!(t.columns[1].default.as_deref(), Some("'x'::character varying"));
    assert!(t.checks[0].in_plan);
    let names: Vec<&String> = b.catalog.relations.keys().collect();
    assert_eq!(names, ["fresh", "t"]);
}
