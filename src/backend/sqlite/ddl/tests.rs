//! DDL on a real file, and what the planner makes of the result.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::backend::sqlite::catalog::prepare;
use crate::backend::sqlite::{Options, Sqlite, errors, functions, system};
use crate::sql::ast::Statement;
use crate::sql::plan::{Action, FrozenSource};
use crate::sql::{parse, plan};
use crate::value::storage;

/// A file with its catalog, and a session's view of it.
pub(crate) struct Bench {
    pub(crate) sqlite: Sqlite,
    pub(crate) side: Arc<Side>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) temporary: Arc<Temporary>,
    pub(crate) findings: Vec<crate::backend::sqlite::adopt::Finding>,
    _folder: Option<tempfile::TempDir>,
}

fn name_errors(sqlite: &Sqlite, catalog: &Arc<Catalog>) {
    let catalog = Arc::clone(catalog);
    sqlite.set_error_map(Arc::new(move |failure| {
        errors::from_sqlite(failure, &catalog, &super::Temporary::new())
    }));
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self::open(&folder.path().join("test.db")).await;
        bench._folder = Some(folder);
        bench
    }

    pub(crate) async fn open(path: &std::path::Path) -> Self {
        let identity = system::Identity { database: "app".into(), user: "anna".into() };
        let state = system::State::new(Arc::default(), identity, None);
        let shown = Arc::clone(&state);
        let install: Arc<crate::backend::sqlite::Install> = Arc::new(move |connection| {
            functions::install(connection)?;
            system::install(connection, &shown)
        });
        let mut options = Options::new(path);
        options.durability = crate::backend::sqlite::Durability::Normal;
        let sqlite = Sqlite::open(options, install).unwrap();
        let writer = sqlite.writer(None).await.unwrap();
        let prepared = prepare(&writer).unwrap();
        writer.commit().unwrap();
        state.share_sequences(Arc::clone(&prepared.side.sequences));
        state.set_catalog(Arc::clone(&prepared.catalog));
        name_errors(&sqlite, &prepared.catalog);
        Self {
            sqlite,
            side: prepared.side,
            catalog: prepared.catalog,
            temporary: Arc::default(),
            findings: prepared.findings,
            _folder: None,
        }
    }

    /// Runs statements, each in its own transaction; rows of the last as text.
    pub(crate) async fn run(&mut self, text: &str) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        for parsed in parse(text)? {
            let writer = self.sqlite.writer(None).await?;
            rows = self.one(&writer, &parsed)?;
            writer.commit()?;
        }
        Ok(rows)
    }

    fn one(&mut self, writer: &Writer, parsed: &crate::sql::ast::Parsed) -> Result<Vec<String>> {
        let path = ["public".to_owned()];
        if let Statement::Ddl(ddl) = &parsed.statement {
            let side = Arc::clone(&self.side);
            let (catalog, temporary) = (Arc::clone(&self.catalog), Arc::clone(&self.temporary));
            let freeze = |frozen: &Frozen| self.freeze(writer, frozen);
            let environment = Environment {
                check_bodies: true,
                side: &side,
                catalog: &catalog,
                temporary: &temporary,
                search_path: &path,
                freeze: &freeze,
            };
            let applied = apply(writer, ddl, &environment)?;
            self.catalog = applied.catalog;
            name_errors(&self.sqlite, &self.catalog);
            self.temporary = applied.temporary;
            let notices = applied.notices.iter().map(|n| format!("NOTICE {}", n.message()));
            let mut lines: Vec<String> = notices.collect();
            lines.push(applied.tag);
            lines.extend(applied.postgres);
            return Ok(lines);
        }
        let context = Context {
            catalog: &self.catalog,
            temporary: &self.temporary,
            search_path: &path,
            param_types: &[],
        };
        let planned = plan(parsed, &context)?;
        let Action::Query(query) = &planned.action else {
            return Err(Error::unsupported("this statement in a test"));
        };
        let mut statement = writer.prepare(&query.sqlite)?;
        for (position, frozen) in query.frozen.iter().enumerate() {
            let value = self.freeze(writer, frozen)?;
            statement.bind(position + 1, value.as_ref())?;
        }
        let mut rows = Vec::new();
        while statement.step()? {
            let cells = (0..statement.column_count()).map(|i| {
                let (ty, codec) = (planned.columns[i].ty, query.codecs[i]);
                let datum = storage::decode(codec, ty, statement.column(i)).unwrap();
                if datum.is_null() {
                    return "NULL".to_owned();
                }
                let mut out = Vec::new();
                crate::value::text::format(&datum, ty, &crate::value::Style::default(), &mut out);
                String::from_utf8(out).unwrap()
            });
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
        Ok(rows)
    }

    fn freeze(&self, writer: &Writer, frozen: &Frozen) -> Result<Cell> {
        Ok(match &frozen.source {
            FrozenSource::NextValue(name) => {
                let sequence = &self.catalog.sequences[name];
                Cell::Integer(self.side.sequences.next(writer, sequence)?.0)
            }
            FrozenSource::Uuid => Cell::Text("550e8400-e29b-41d4-a716-446655440000".into()),
            _ => Cell::Text("2024-05-06 07:08:09".into()),
        })
    }

    /// What the file itself holds.
    pub(crate) async fn raw(&self, sql: &str) -> Vec<Vec<Cell>> {
        let reader = self.sqlite.reader(None).await.unwrap();
        crate::backend::sqlite::catalog::rows(&reader, sql, &[]).unwrap()
    }

    pub(crate) async fn ok(&mut self, text: &str) -> Vec<String> {
        match self.run(text).await {
            Ok(rows) => rows,
            Err(error) => panic!("{text}: {error}"),
        }
    }

    pub(crate) async fn fails(&mut self, text: &str) -> (String, String) {
        match self.run(text).await {
            Ok(rows) => panic!("{text} gave {rows:?}"),
            Err(error) => (error.sqlstate().as_str().to_owned(), error.message().to_owned()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_have_implicit_names_and_plain_stored_text() {
    let mut b = Bench::new().await;
    let shipped = b
        .ok("CREATE TABLE parent(id serial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE, \
             price numeric(10,2) DEFAULT 0 CHECK (price >= 0), t timestamptz DEFAULT now(), \
             CHECK (length(name) > 0))")
        .await;
    assert_eq!(
        shipped,
        [
            "CREATE TABLE",
            "CREATE SEQUENCE public.parent_id_seq AS integer START WITH 1 INCREMENT BY 1 \
             MINVALUE 1 MAXVALUE 2147483647",
            "CREATE TABLE public.parent (id integer DEFAULT nextval('parent_id_seq'::regclass) \
             NOT NULL, name character varying(40) NOT NULL, price numeric(10,2) DEFAULT 0, \
             t timestamp with time zone DEFAULT now(), CONSTRAINT parent_pkey PRIMARY KEY (id), \
             CONSTRAINT parent_name_key UNIQUE (name), \
             CONSTRAINT parent_price_check CHECK ((price >= 0)), \
             CONSTRAINT parent_name_check CHECK ((length(name) > 0)))",
            "ALTER SEQUENCE public.parent_id_seq OWNED BY public.parent.id",
        ]
    );
    let stored = b.raw("SELECT sql FROM sqlite_schema WHERE name = 'parent'").await;
    let Cell::Text(sql) = &stored[0][0] else { panic!("no text") };
    assert!(!sql.contains("pg_") && !sql.contains("public"), "{sql}");
    assert!(
        sql.contains(
            "\"id\" INTEGER NOT NULL CONSTRAINT \"parent_pkey\" PRIMARY KEY AUTOINCREMENT"
        )
    );
    assert!(sql.contains("CHECK ((\"price\" >= 0))"), "{sql}");
    b.ok("INSERT INTO parent(name, price) VALUES ('a', 1.5), ('b', 2)").await;
    let rows = b.ok("SELECT id, name, price FROM parent ORDER BY id").await;
    assert_eq!(rows, ["1|a|1.50", "2|b|2.00"]);
    assert_eq!(b.fails("INSERT INTO parent(name, price) VALUES ('c', -1)").await.0, "23514");
    assert_eq!(b.fails("CREATE TABLE parent(a int)").await.0, "42P07");
    let notice = b.ok("CREATE TABLE IF NOT EXISTS parent(a int)").await;
    assert_eq!(notice[0], "NOTICE relation \"parent\" already exists, skipping");
    assert_eq!(b.fails("CREATE TABLE x(a int, a int)").await.0, "42701");
    assert_eq!(b.fails("CREATE TABLE x(a int PRIMARY KEY, b int PRIMARY KEY)").await.0, "42P16");
    assert_eq!(b.fails("CREATE TABLE x(a nosuch)").await.0, "42704");
    assert_eq!(b.fails("CREATE TABLE x(a int REFERENCES nowhere)").await.0, "42P01");
    assert_eq!(b.fails("CREATE TABLE x(a int REFERENCES parent(price))").await.0, "42830");
    assert_eq!(b.fails("CREATE TABLE x(a text REFERENCES parent)").await.0, "42804");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_are_added_changed_and_dropped() {
    let mut b = Bench::new().await;
    b.ok("CREATE TABLE t(id int PRIMARY KEY, a text)").await;
    b.ok("INSERT INTO t VALUES (1, '10'), (2, '20')").await;
    b.ok("ALTER TABLE t ADD COLUMN b int NOT NULL DEFAULT 7").await;
    b.ok("ALTER TABLE t ADD COLUMN c timestamp DEFAULT now()").await;
    b.ok("ALTER TABLE t ADD COLUMN d serial").await;
    let rows = b.ok("SELECT * FROM t ORDER BY id").await;
    assert_eq!(rows, ["1|10|7|2024-05-06 07:08:09|1", "2|20|7|2024-05-06 07:08:09|2"]);
    assert_eq!(b.fails("ALTER TABLE t ADD COLUMN e int NOT NULL").await.0, "23502");
    assert_eq!(b.fails("ALTER TABLE t ADD COLUMN a int").await.0, "42701");
    b.ok("ALTER TABLE t ALTER COLUMN b DROP DEFAULT").await;
    assert_eq!(b.ok("SELECT b FROM t ORDER BY id").await, ["7", "7"]);
    let refused = b.fails("ALTER TABLE t ALTER COLUMN a TYPE int").await;
    assert_eq!(
        refused,
        ("42804".into(), "column \"a\" cannot be cast automatically to type integer".into())
    );
    b.ok("ALTER TABLE t ALTER COLUMN a TYPE int USING a::int").await;
    assert_eq!(b.ok("SELECT a + 1 FROM t ORDER BY id").await, ["11", "21"]);
    b.ok("ALTER TABLE t ALTER COLUMN a TYPE numeric(6,1)").await;
    assert_eq!(b.ok("SELECT a FROM t ORDER BY id").await, ["10.0", "20.0"]);
    b.ok("ALTER TABLE t ALTER COLUMN a SET NOT NULL").await;
    assert_eq!(b.fails("INSERT INTO t(id, b) VALUES (3, 1)").await.0, "23502");
    b.ok("ALTER TABLE t RENAME COLUMN a TO amount").await;
    b.ok("ALTER TABLE t DROP COLUMN c").await;
    assert_eq!(b.ok("SELECT * FROM t ORDER BY id").await, ["1|10.0|7|1", "2|20.0|7|2"]);
    b.ok("ALTER TABLE t RENAME TO u").await;
    assert_eq!(b.ok("SELECT amount FROM u WHERE id = 2").await, ["20.0"]);
    assert_eq!(b.fails("SELECT 1 FROM t").await.0, "42P01");
    assert_eq!(b.fails("ALTER TABLE u DROP COLUMN nosuch").await.0, "42703");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn constraints_come_and_go() {
    let mut b = Bench::new().await;
    b.ok("CREATE TABLE p(a int NOT NULL, b text)").await;
    b.ok("INSERT INTO p VALUES (1, 'x'), (2, 'y')").await;
    b.ok("ALTER TABLE p ADD PRIMARY KEY (a)").await;
    let alias = b.raw("SELECT sql FROM sqlite_schema WHERE name = 'p'").await;
    assert!(
        format!("{alias:?}").contains("INTEGER NOT NULL CONSTRAINT \\\"p_pkey\\\" PRIMARY KEY")
    );
    assert_eq!(b.fails("ALTER TABLE p ADD PRIMARY KEY (b)").await.0, "42P16");
    b.ok("CREATE TABLE c(id int PRIMARY KEY, pid int, v int)").await;
    b.ok("INSERT INTO c VALUES (1, 1, 5), (2, 9, 6)").await;
    let broken = b.fails("ALTER TABLE c ADD FOREIGN KEY (pid) REFERENCES p").await;
    assert_eq!(broken.0, "23503");
    assert!(broken.1.contains("c_pid_fkey"));
    b.ok("DELETE FROM c WHERE id = 2").await;
    b.ok("ALTER TABLE c ADD FOREIGN KEY (pid) REFERENCES p ON DELETE CASCADE").await;
    assert_eq!(b.fails("INSERT INTO c VALUES (3, 77, 1)").await.0, "23503");
    // Changing the parent must not touch the children.
    b.ok("ALTER TABLE p ADD CONSTRAINT p_b_check CHECK (b <> 'z')").await;
    b.ok("ALTER TABLE p ALTER COLUMN b SET NOT NULL").await;
    assert_eq!(b.ok("SELECT count(*) FROM c").await, ["1"]);
    assert_eq!(b.fails("ALTER TABLE c ADD CHECK (v > 5)").await.0, "23514");
    b.ok("ALTER TABLE c ADD UNIQUE (v)").await;
    assert_eq!(b.fails("INSERT INTO c VALUES (3, 1, 5)").await.0, "23505");
    b.ok("ALTER TABLE c DROP CONSTRAINT c_v_key").await;
    b.ok("INSERT INTO c VALUES (3, 1, 5)").await;
    assert_eq!(
        b.fails("ALTER TABLE c ADD UNIQUE (v)").await.1,
        "could not create unique index \"c_v_key\""
    );
    assert_eq!(b.fails("DROP TABLE p").await.0, "2BP01");
    assert_eq!(b.fails("ALTER TABLE p DROP CONSTRAINT p_pkey").await.0, "2BP01");
    assert_eq!(b.fails("TRUNCATE p").await.0, "0A000");
    let dropped = b.ok("DROP TABLE p CASCADE").await;
    assert_eq!(dropped[0], "NOTICE drop cascades to constraint c_pid_fkey on table c");
    assert_eq!(b.ok("SELECT count(*) FROM c").await, ["2"]);
    b.ok("INSERT INTO c VALUES (4, 77, 1)").await;
    assert_eq!(b.fails("ALTER TABLE c DROP CONSTRAINT nosuch").await.0, "42704");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_views_sequences_and_copies() {
    let mut b = Bench::new().await;
    b.ok("CREATE TABLE t(id serial PRIMARY KEY, a text, b int)").await;
    assert!(
        b.ok("CREATE INDEX ON t(a, b DESC)").await[1]
            .starts_with("CREATE INDEX t_a_b_idx ON public.t")
    );
    b.ok("CREATE UNIQUE INDEX part ON t(b) WHERE b > 10").await;
    // lower() folds more than SQLite knows: only in the catalog.
    b.ok("CREATE INDEX low ON t(lower(a))").await;
    assert_eq!(b.fails("CREATE UNIQUE INDEX low2 ON t USING gin (initcap(a))").await.0, "0A000");
    let names = b
        .raw("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1")
        .await;
    assert_eq!(names.len(), 2);
    b.ok("INSERT INTO t(a, b) VALUES ('x', 1), ('y', 11), ('z', 1)").await;
    assert_eq!(b.fails("INSERT INTO t(a, b) VALUES ('x', 11)").await.0, "23505");
    b.ok("CREATE VIEW v AS SELECT * FROM t WHERE b = 1").await;
    b.ok("ALTER TABLE t ADD COLUMN later int").await;
    assert_eq!(b.ok("SELECT * FROM v ORDER BY id").await, ["1|x|1", "3|z|1"]);
    assert_eq!(b.fails("DROP TABLE t").await.0, "2BP01");
    assert_eq!(b.fails("ALTER TABLE t DROP COLUMN b").await.0, "2BP01");
    assert_eq!(b.fails("ALTER TABLE t ALTER COLUMN b TYPE text").await.0, "0A000");
    assert_eq!(b.fails("DROP TABLE v").await, ("42809".into(), "\"v\" is not a table".into()));
    b.ok("DROP VIEW v").await;
    b.ok("DROP INDEX low, part").await;
    assert_eq!(b.fails("DROP INDEX t_pkey").await.0, "2BP01");
    assert_eq!(
        b.ok("CREATE TABLE copy AS SELECT a, b + 1 AS n FROM t WHERE b = 1").await,
        ["SELECT 2"]
    );
    assert_eq!(b.ok("SELECT a, n FROM copy ORDER BY a").await, ["x|2", "z|2"]);
    b.ok("CREATE SEQUENCE s INCREMENT 5 START 10").await;
    assert_eq!(b.ok("SELECT nextval('s'), nextval('s')").await, ["10|15"]);
    assert_eq!(b.fails("DROP SEQUENCE t_id_seq").await.0, "2BP01");
    b.ok("ALTER SEQUENCE s RESTART WITH 100").await;
    assert_eq!(b.ok("SELECT nextval('s')").await, ["100"]);
    b.ok("TRUNCATE t RESTART IDENTITY").await;
    b.ok("INSERT INTO t(a) VALUES ('again')").await;
    assert_eq!(b.ok("SELECT id, a FROM t").await, ["1|again"]);
    b.ok("DROP TABLE IF EXISTS t, nosuch, copy").await;
    assert!(b.catalog.relations.is_empty());
    assert_eq!(b.catalog.sequences.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.db");
    let before = {
        let mut b = Bench::open(&path).await;
        b.ok("CREATE TABLE p(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
              n numeric(30,4), j jsonb, d date DEFAULT '2020-01-01', u uuid UNIQUE)")
            .await;
        b.ok("CREATE TABLE c(p bigint REFERENCES p, CHECK (p > 0))").await;
        b.ok("CREATE VIEW v AS SELECT id FROM p").await;
        b.ok("INSERT INTO p(n, j) VALUES (1.5, '{\"a\": 1}')").await;
        b.catalog.clone()
    };
    let mut b = Bench::open(&path).await;
    assert!(b.findings.is_empty(), "{:?}", b.findings);
    for (name, relation) in &before.relations {
        let again = &b.catalog.relations[name];
        assert_eq!(format!("{relation:?}"), format!("{again:?}"));
    }
    assert_eq!(before.sequences, b.catalog.sequences);
    assert_eq!(b.ok("SELECT n, j, d FROM p").await, ["1.5000|{\"a\": 1}|2020-01-01"]);
    // 32 values were marked; a restart without a clean stop leaves a gap, never a repeat.
    b.ok("INSERT INTO p(n) VALUES (2)").await;
    assert_eq!(b.ok("SELECT id FROM v ORDER BY id").await, ["1", "33"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_change_leaves_nothing() {
    let mut b = Bench::new().await;
    b.ok("CREATE TABLE t(a int)").await;
    b.ok("INSERT INTO t VALUES (1), (1)").await;
    let schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2";
    let before = (b.raw(schema).await, b.catalog.clone());
    assert!(b.run("ALTER TABLE t ADD COLUMN b serial, ADD PRIMARY KEY (a)").await.is_err());
    assert_eq!(before.0, b.raw(schema).await);
    assert!(Arc::ptr_eq(&before.1, &b.catalog));
    assert_eq!(b.raw("SELECT count(*) FROM _crossfade_sequences").await, [[Cell::Integer(0)]]);
}
