//! Statements and connections: values, cache, cancel, loans.

use super::*;
use crate::value::CellRef;

#[tokio::test]
async fn values_survive_binding_and_reading() {
    let db = fixture(Durability::Normal, 1);
    let reader = db.reader(None).await.unwrap();
    let mut s = reader.prepare("SELECT ?1, ?2, ?3, ?4, ?5, ?6, typeof(?6)").unwrap();
    let cells = [
        CellRef::Null,
        CellRef::Integer(i64::MIN),
        CellRef::Real(-0.5),
        CellRef::Text(b"a\0\xff"),
        CellRef::Blob(b"\0\x01"),
        CellRef::Blob(b""),
    ];
    assert_eq!(s.parameter_count(), 6);
    for _ in 0..2 {
        for (i, cell) in cells.iter().enumerate() {
            s.bind(i + 1, *cell).unwrap();
        }
        assert!(s.step().unwrap());
        for (i, cell) in cells.iter().enumerate() {
            assert_eq!(s.column(i), *cell, "column {i}");
        }
        assert_eq!(s.column(6), CellRef::Text(b"blob"));
        assert_eq!(s.column(7), CellRef::Null);
        assert_eq!(s.column(usize::MAX), CellRef::Null);
        assert!(!s.step().unwrap());
        // It does not start again by itself.
        assert!(!s.step().unwrap());
        assert_eq!(s.column(0), CellRef::Null);
        s.reset();
    }
    assert_eq!(s.bind(7, CellRef::Null).unwrap_err().sqlstate(), state::UNDEFINED_PARAMETER);
    assert_eq!(s.bind(0, CellRef::Null).unwrap_err().sqlstate(), state::UNDEFINED_PARAMETER);
}

#[tokio::test]
async fn cached_statements_come_back_clean_and_survive_schema_changes() {
    let db = fixture(Durability::Normal, 1);
    setup(&db, "CREATE TABLE t (a); INSERT INTO t VALUES (1)").await;
    let reader = db.reader(None).await.unwrap();
    let sql = "SELECT *, ?1 FROM t";
    let mut first = reader.prepare(sql).unwrap();
    let second = reader.prepare(sql).unwrap();
    first.bind(1, CellRef::Integer(5)).unwrap();
    assert!(first.step().unwrap());
    assert_eq!(first.column(1), CellRef::Integer(5));
    drop((first, second));
    setup(&db, "ALTER TABLE t ADD COLUMN b DEFAULT 7").await;
    let mut again = reader.prepare(sql).unwrap();
    assert!(again.step().unwrap());
    assert_eq!(again.column(1), CellRef::Integer(7));
    // Bindings of the last user are gone.
    assert_eq!(again.column(2), CellRef::Null);
    assert_eq!(again.column_count(), 3);
    assert_eq!(again.column_name(1), "b");
    drop(again);
    // Far more texts than the cache holds.
    for i in 0..2000 {
        assert_eq!(reader.query_integer(&format!("SELECT {i}"), &[]).unwrap(), Some(i));
    }
}

#[tokio::test]
async fn texts_that_are_not_one_statement_are_refused() {
    let db = fixture(Durability::Normal, 1);
    let reader = db.reader(None).await.unwrap();
    for text in ["", "  -- nothing", "SELECT 1; SELECT 2", "SELECT 1\0; DROP TABLE t"] {
        assert!(reader.prepare(text).is_err(), "{text:?}");
    }
    assert!(reader.prepare("SELECT 1; ").is_ok());
    assert!(reader.prepare("SELEC 1").is_err());
    reader.batch("SELECT 1; SELECT 2; -- end").unwrap();
    // A reader cannot write.
    assert!(reader.execute("CREATE TABLE x (a)", &[]).is_err());
}

#[tokio::test]
async fn main_is_also_called_public() {
    let db = fixture(Durability::Normal, 1);
    setup(&db, "CREATE TABLE public.t (a); INSERT INTO main.t VALUES (1)").await;
    assert_eq!(count(&db, "SELECT count(*) FROM public.t").await, 1);
    let reader = db.reader(None).await.unwrap();
    let row = reader.query_row("SELECT sql FROM sqlite_schema", &[]).unwrap().unwrap();
    assert_eq!(row, [Cell::Text("CREATE TABLE t (a)".into())]);
}

const FOREVER: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                       SELECT count(*) FROM n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadline_and_interrupt_end_a_read_and_leave_its_transaction() {
    let db = fixture(Durability::Normal, 1);
    let reader = db.reader(None).await.unwrap();
    reader.execute("BEGIN", &[]).unwrap();
    reader.set_deadline(soon(20));
    let error = reader.execute(FOREVER, &[]).unwrap_err();
    assert_eq!(error.sqlstate(), state::QUERY_CANCELED);
    assert!(error.message().contains("timeout"));
    reader.set_deadline(None);
    assert!(reader.in_transaction());
    let interrupter = reader.interrupter();
    let other = interrupter.clone();
    let task = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        other.interrupt();
    });
    let error = blocking(|| reader.execute(FOREVER, &[])).unwrap_err();
    assert_eq!(error.sqlstate(), state::QUERY_CANCELED);
    assert!(error.message().contains("user request"));
    task.await.unwrap();
    // What was cancelled is over: the next statement runs.
    interrupter.interrupt();
    assert_eq!(reader.query_integer("SELECT 1", &[]).unwrap(), Some(1));
    drop(reader);
    // A late interrupt does not reach the connection's next user.
    let reader = db.reader(None).await.unwrap();
    assert!(!reader.in_transaction());
    let mut s = reader.prepare("SELECT 1 UNION ALL SELECT 2").unwrap();
    assert!(s.step().unwrap());
    interrupter.interrupt();
    assert!(s.step().unwrap());
}

#[tokio::test]
async fn interrupted_write_takes_its_transaction_along() {
    let db = fixture(Durability::Normal, 1);
    setup(&db, "CREATE TABLE t (a)").await;
    let writer = db.writer(None).await.unwrap();
    writer.execute("INSERT INTO t VALUES (1)", &[]).unwrap();
    writer.set_deadline(soon(20));
    let sql = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
               SELECT i FROM n";
    let error = writer.execute(sql, &[]).unwrap_err();
    assert_eq!(error.sqlstate(), state::QUERY_CANCELED);
    assert!(!writer.in_transaction());
    let error = writer.commit().unwrap_err();
    assert_eq!(error.sqlstate(), state::TRANSACTION_ROLLBACK);
    assert_eq!(count(&db, "SELECT count(*) FROM t").await, 0);
    db.writer(soon(100)).await.unwrap();
}

#[tokio::test]
async fn pool_is_bounded_and_waits_in_order() {
    let db = fixture(Durability::Normal, 2);
    let first = db.reader(None).await.unwrap();
    let second = db.reader(None).await.unwrap();
    assert_eq!(db.figures().readers_in_use, 2);
    let error = db.reader(soon(20)).await.err().unwrap();
    assert_eq!(error.sqlstate(), state::QUERY_CANCELED);
    let waiting = tokio::spawn({
        let db = db.db.clone();
        async move { db.reader(soon(5000)).await.map(|r| r.query_integer("SELECT 3", &[])) }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(first);
    assert_eq!(waiting.await.unwrap().unwrap().unwrap(), Some(3));
    drop(second);
    assert_eq!(db.figures().readers_in_use, 0);
    assert_eq!(db.figures().retired, 0);
}

#[tokio::test]
async fn forgotten_statement_does_not_hold_a_pooled_snapshot() {
    let db = fixture(Durability::Normal, 1);
    setup(&db, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)").await;
    let reader = db.reader(None).await.unwrap();
    let mut open = reader.prepare("SELECT a FROM t").unwrap();
    assert!(open.step().unwrap());
    let done = reader.prepare("SELECT 1").unwrap();
    drop(reader);
    setup(&db, "INSERT INTO t VALUES (3)").await;
    assert_eq!(count(&db, "SELECT count(*) FROM t").await, 3);
    assert_eq!(db.figures().retired, 1);
    // Its row is still readable, but it does not run on.
    assert_eq!(open.column(0), CellRef::Integer(1));
    assert!(open.step().is_err());
    drop((open, done));
}

#[tokio::test]
async fn functions_errors_and_constraint_codes_come_through() {
    let dir = tempfile::tempdir().unwrap();
    let install = |conn: &rusqlite::Connection| {
        let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
        conn.create_scalar_function("boom", 0, flags, |_| -> rusqlite::Result<i64> {
            Err(rusqlite::Error::UserFunctionError("\u{1}22012\u{1}division by zero".into()))
        })
        .map_err(codes::opening)
    };
    let db = Sqlite::open(Options::new(dir.path().join("a.db")), Arc::new(install)).unwrap();
    let writer = db.writer(None).await.unwrap();
    writer.batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b NOT NULL CHECK (b > 0))").unwrap();
    let code = |sql: &str| writer.execute(sql, &[]).unwrap_err().sqlstate();
    assert_eq!(code("SELECT boom()"), state::DIVISION_BY_ZERO);
    writer.execute("INSERT INTO t VALUES (1, 1)", &[]).unwrap();
    assert_eq!(code("INSERT INTO t VALUES (1, 1)"), state::UNIQUE_VIOLATION);
    assert_eq!(code("INSERT INTO t VALUES (2, NULL)"), state::NOT_NULL_VIOLATION);
    assert_eq!(code("INSERT INTO t VALUES (2, -1)"), state::CHECK_VIOLATION);
}

#[tokio::test]
async fn statements_move_between_threads_and_outlive_the_pool() {
    let Fixture { db, dir } = fixture(Durability::Normal, 1);
    let reader = db.reader(None).await.unwrap();
    let mut s = reader.prepare("SELECT 'still here'").unwrap();
    assert!(s.step().unwrap());
    drop((reader, db));
    let text = std::thread::spawn(move || match s.column(0) {
        CellRef::Text(t) => t.to_vec(),
        _ => Vec::new(),
    });
    assert_eq!(text.join().unwrap(), b"still here");
    drop(dir);
}
