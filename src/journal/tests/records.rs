//! Records: chain, parts, savepoints, trimming, restarts.

use super::model::Model;
use crate::backend::sqlite::tests::{Fixture, fixture, foreign};
use crate::backend::sqlite::{Durability, Options, Sqlite};
use crate::clock::Clock;
use crate::error::state;
use crate::journal::{
    DdlEvent, Event, EventStream, Events, Journal, Limits, Note, Origin, Position, Record, find,
    head, position, read, verify,
};
use crate::value::Cell;

const ALL: Limits = Limits { records: 1000, bytes: 1 << 30, until: Position(1 << 40) };

async fn attached(sql: &str) -> (Fixture, Journal) {
    let db = fixture(Durability::Normal, 4);
    let journal = Journal::open(&db, Clock::manual(77, 1)).await.unwrap();
    let writer = db.writer(None).await.unwrap();
    writer.batch(sql).unwrap();
    writer.commit().unwrap();
    journal.attach(3).await.unwrap();
    (db, journal)
}

async fn run(db: &Sqlite, sql: &str) -> Position {
    let writer = db.writer(None).await.unwrap();
    writer.batch(sql).unwrap();
    writer.commit().unwrap().position
}

async fn records(db: &Sqlite, from: Position) -> Vec<Record> {
    read(&db.reader(None).await.unwrap(), from, ALL).unwrap()
}

fn events(record: &Record) -> &[Event] {
    match &record.events {
        Events::Loaded(events) => events,
        Events::Large => panic!("not loaded"),
    }
}

#[tokio::test]
async fn nothing_is_written_in_phase_direct() {
    let db = fixture(Durability::Normal, 1);
    let journal = Journal::open(&db, Clock::system()).await.unwrap();
    run(&db, "CREATE TABLE t (a); INSERT INTO t VALUES (1)").await;
    let reader = db.reader(None).await.unwrap();
    assert_eq!(head(&reader).unwrap(), None);
    assert_eq!(journal.lineage(), None);
    assert!(!db.has_recorder());
    let rows = reader.query_integer("SELECT count(*) FROM _crossfade_journal", &[]).unwrap();
    assert_eq!(rows, Some(0));
    let writer = db.writer(None).await.unwrap();
    assert!(!writer.recording());
    assert_eq!(writer.images_since(writer.mark().unwrap()).unwrap(), None);
}

#[tokio::test]
async fn records_form_one_chain_and_empty_transactions_take_no_number() {
    let (db, journal) = attached("CREATE TABLE t (a)").await;
    let start = journal.head().unwrap();
    let first = run(&db, "INSERT INTO t VALUES (1), (2)").await;
    assert_eq!(first, start.position.next());
    // Nothing changed, or nothing that is recorded: no number.
    assert_eq!(run(&db, "SELECT 1").await, first);
    assert_eq!(run(&db, "CREATE TEMP TABLE x (a); INSERT INTO x VALUES (1)").await, first);
    let dropped = db.writer(None).await.unwrap();
    dropped.execute("INSERT INTO t VALUES (9)", &[]).unwrap();
    assert_eq!(dropped.position(), first.next());
    drop(dropped);
    let second = run(&db, "DELETE FROM t WHERE a = 1").await;
    assert_eq!(second, first.next());
    let all = records(&db, first).await;
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].previous, start.hash);
    assert_eq!(all[1].previous, all[0].hash);
    assert_eq!((all[0].epoch, all[0].committed_at_us, all[0].origin), (3, 77, Origin::Sqlite));
    assert_eq!(Some(all[0].lineage), journal.lineage());
    assert_eq!(events(&all[0]).len(), 2);
    let reader = db.reader(None).await.unwrap();
    assert_eq!(find(&reader, second).unwrap(), Some(all[1].hash));
    assert_eq!(find(&reader, start.position).unwrap(), Some(start.hash));
    assert_eq!(find(&reader, second.next()).unwrap(), None);
    assert_eq!(position(&reader).unwrap(), second);
    assert_eq!(head(&reader).unwrap(), journal.head());
    // Limits.
    let few = Limits { records: 1, ..ALL };
    assert_eq!(read(&reader, first, few).unwrap().len(), 1);
    let until = Limits { until: first, ..ALL };
    assert_eq!(read(&reader, first, until).unwrap().len(), 1);
    assert!(read(&reader, second.next(), ALL).unwrap().is_empty());
}

#[tokio::test]
async fn notes_ddl_muting_and_origin_are_kept_in_order() {
    let (db, journal) = attached("CREATE TABLE t (a)").await;
    let writer = db.writer(None).await.unwrap();
    writer.execute("INSERT INTO t VALUES (1)", &[]).unwrap();
    let note = Note { tag: "INSERT 0".into(), affected: 1, ..Note::default() };
    writer.note(&Event::Statement(Box::new(note.clone())));
    writer.mute(true);
    writer.batch("CREATE TABLE u AS SELECT * FROM t; DROP TABLE t; CREATE TABLE t (b)").unwrap();
    writer.execute("INSERT INTO u VALUES (5)", &[]).unwrap();
    writer.mute(false);
    let ddl = DdlEvent { tag: "CREATE TABLE".into(), postgres: vec!["CREATE TABLE u".into()] };
    writer.note(&Event::Ddl(ddl.clone()));
    writer.execute("INSERT INTO u VALUES (6)", &[]).unwrap();
    journal.set_origin(&writer, Origin::Postgres(0x16_b374));
    let at = writer.commit().unwrap().position;
    let all = records(&db, at).await;
    assert_eq!(all[0].origin, Origin::Postgres(0x16_b374));
    match events(&all[0]) {
        [Event::Row(_), Event::Statement(n), Event::Ddl(d), Event::Row(row)] => {
            assert_eq!((&**n, d, row.table.as_str()), (&note, &ddl, "u"));
        }
        other => panic!("{other:?}"),
    }
    // An origin alone makes a record; the next transaction is a client's again.
    let writer = db.writer(None).await.unwrap();
    journal.set_origin(&writer, Origin::Postgres(9));
    let at = writer.commit().unwrap().position;
    run(&db, "INSERT INTO u VALUES (7)").await;
    let all = records(&db, at).await;
    assert_eq!((all[0].origin, all[1].origin), (Origin::Postgres(9), Origin::Sqlite));
    assert!(events(&all[0]).is_empty());
}

#[tokio::test]
async fn a_large_transaction_travels_in_parts_and_savepoints_take_theirs_along() {
    let (db, journal) = attached("CREATE TABLE t (id INTEGER PRIMARY KEY, a)").await;
    let mut model = Model::dump(&db.reader(None).await.unwrap());
    let writer = db.writer(None).await.unwrap();
    let fill = |from: i64, rows: i64, size: i64| {
        let sql = "INSERT INTO t SELECT value, randomblob(?3) FROM \
                   (WITH RECURSIVE n(value) AS (SELECT ?1 UNION ALL SELECT value + 1 FROM n \
                   WHERE value < ?1 + ?2 - 1) SELECT value FROM n)";
        let cells = [from, rows, size].map(Cell::Integer);
        let _ = writer.mark().unwrap();
        assert_eq!(writer.execute(sql, &cells).unwrap(), u64::try_from(rows).unwrap());
    };
    fill(0, 30, 100_000);
    let outer = writer.savepoint("outer").unwrap();
    fill(100, 1, 3 << 20);
    let inner = writer.savepoint("inner").unwrap();
    // Beyond the memory bound: through the spill file.
    fill(200, 120, 100_000);
    fill(400, 30, 100_000);
    writer.rollback_to("inner", inner).unwrap();
    fill(600, 3, 10);
    writer.release("inner").unwrap();
    fill(700, 20, 100_000);
    writer.rollback_to("outer", outer).unwrap();
    fill(800, 90, 100_000);
    let at = writer.commit().unwrap().position;
    let reader = db.reader(None).await.unwrap();
    assert_eq!(verify(&reader, at).unwrap(), journal.head());
    // By the whole, and as a stream.
    let all = read(&reader, at, ALL).unwrap();
    let mut whole = model.clone();
    whole.apply(events(&all[0])).unwrap();
    assert_eq!(whole, Model::dump(&reader));
    let small = Limits { bytes: 1 << 20, ..ALL };
    assert_eq!(read(&reader, at, small).unwrap()[0].events, Events::Large);
    let mut stream = EventStream::open(&reader, at).unwrap();
    while let Some(event) = stream.next().unwrap() {
        model.apply(&[event]).unwrap();
    }
    assert_eq!(model, whole);
    let sql = "SELECT max(length(body)), count(*) FROM _crossfade_journal";
    let row = reader.query_row(sql, &[]).unwrap().unwrap();
    assert!(matches!(row[0], Cell::Integer(n) if n <= (1 << 20) + 200), "{row:?}");
    assert!(matches!(row[1], Cell::Integer(n) if n > 11), "{row:?}");
}

#[tokio::test]
async fn damage_is_found() {
    let (db, journal) = attached("CREATE TABLE t (a)").await;
    let first = run(&db, "INSERT INTO t VALUES ('aaaa')").await;
    run(&db, "INSERT INTO t VALUES ('bbbb')").await;
    run(&db, "INSERT INTO t VALUES ('cccc')").await;
    for damage in [
        "UPDATE _crossfade_journal SET body = substr(body, 1, length(body) - 1) WHERE position = :p",
        "UPDATE _crossfade_journal SET body = CAST(substr(body, 1, length(body) - 1) || 'x' AS BLOB) WHERE position = :p",
        "DELETE FROM _crossfade_journal WHERE position = :p",
        "UPDATE _crossfade_journal SET part = 1 WHERE position = :p",
        "UPDATE _crossfade_journal SET body = (SELECT body FROM _crossfade_journal WHERE position = :p + 1) WHERE position = :p",
    ] {
        let own = db.dedicated().unwrap();
        own.batch("BEGIN").unwrap();
        own.batch(&damage.replace(":p", &first.next().to_string())).unwrap();
        let error = verify(&own, first).unwrap_err();
        assert_eq!(error.sqlstate(), state::DATA_CORRUPTED, "{damage}");
        own.batch("ROLLBACK").unwrap();
        assert_eq!(verify(&own, first).unwrap(), journal.head());
    }
}

#[tokio::test]
async fn trimming_stops_at_holds_and_leaves_the_mark() {
    let (db, journal) = attached("CREATE TABLE t (a)").await;
    let start = journal.head().unwrap().position;
    for i in 0..1200 {
        run(&db, &format!("INSERT INTO t VALUES ({i})")).await;
    }
    let last = db.position();
    db.wait_synced(last).await.unwrap();
    let bytes = journal.bytes();
    let hold = journal.hold(Position(start.0 + 100));
    let again = journal.hold(Position(start.0 + 100));
    assert_eq!(journal.trim(last).await.unwrap(), 99);
    drop(hold);
    assert_eq!(journal.trim(last).await.unwrap(), 0);
    drop(again);
    let reader = db.reader(None).await.unwrap();
    let mark = find(&reader, Position(last.0 - 1)).unwrap();
    assert_eq!(journal.trim(last).await.unwrap(), 1100);
    assert_eq!(find(&reader, Position(last.0 - 1)).unwrap(), mark);
    assert_eq!(find(&reader, Position(last.0 - 2)).unwrap(), None);
    assert_eq!(read(&reader, last, ALL).unwrap().len(), 1);
    assert!(read(&reader, Position(last.0 - 1), ALL).is_err());
    assert!(journal.bytes() * 1000 < bytes);
    // All of it: the head is then the mark.
    let head = journal.head();
    assert_eq!(journal.trim(last.next()).await.unwrap(), 1);
    assert_eq!(journal.trim(last.next()).await.unwrap(), 0);
    assert_eq!((journal.head(), journal.bytes()), (head, 0));
    assert_eq!(super::super::head(&reader).unwrap(), head);
    assert_eq!(super::super::position(&reader).unwrap(), last);
    let next = run(&db, "INSERT INTO t VALUES (0)").await;
    assert_eq!(next, last.next());
    assert_eq!(verify(&reader, next).unwrap(), journal.head());
}

#[tokio::test]
async fn history_goes_on_after_a_restart_and_a_new_lineage_starts_anew() {
    let (Fixture { db, dir }, journal) = attached("CREATE TABLE t (a)").await;
    run(&db, "INSERT INTO t VALUES (1)").await;
    let before = journal.head().unwrap();
    let lineage = journal.lineage();
    let path = db.path().to_owned();
    drop((journal, db));
    let db = Sqlite::open(Options::new(path), std::sync::Arc::new(|_| Ok(()))).unwrap();
    let journal = Journal::open(&db, Clock::system()).await.unwrap();
    assert_eq!((journal.head(), journal.lineage(), journal.epoch()), (Some(before), lineage, 3));
    assert_eq!((db.position(), db.durable()), (before.position, before.position));
    let writer = db.writer(None).await.unwrap();
    let then = journal.set_epoch(&writer, 4).unwrap();
    writer.commit_with(|_| then()).unwrap();
    let next = run(&db, "INSERT INTO t VALUES (2)").await;
    let all = records(&db, next).await;
    assert_eq!((all[0].previous, all[0].epoch), (before.hash, 4));
    let head = journal.attach(5).await.unwrap();
    assert_eq!(head.position, next);
    assert_ne!(journal.lineage(), lineage);
    assert_eq!(run(&db, "INSERT INTO t VALUES (3)").await, next.next());
    assert_eq!(records(&db, next.next()).await[0].previous, head.hash);
    journal.detach().await.unwrap();
    assert_eq!(journal.lineage(), None);
    assert!(run(&db, "INSERT INTO t VALUES (4)").await > next.next());
    let head = journal.attach(6).await.unwrap();
    assert!(head.position > next.next());
    drop(dir);
}

#[tokio::test]
async fn a_savepoint_behind_the_writers_back_cannot_commit_a_hole() {
    let (db, _journal) = attached("CREATE TABLE t (a)").await;
    let writer = db.writer(None).await.unwrap();
    let big = "INSERT INTO t VALUES (randomblob(1500000))";
    writer.execute(big, &[]).unwrap();
    writer.execute("SAVEPOINT x", &[]).unwrap();
    writer.mark().unwrap();
    writer.execute("ROLLBACK TO x", &[]).unwrap();
    assert!(writer.commit().is_err());
    let reader = db.reader(None).await.unwrap();
    assert_eq!(reader.query_integer("SELECT count(*) FROM t", &[]).unwrap(), Some(0));
}

#[tokio::test]
async fn virtual_tables_are_left_out_and_do_not_raise_an_alarm() {
    let (db, _journal) = attached(
        "CREATE TABLE t (a); CREATE VIRTUAL TABLE f USING fts5(a);
         CREATE TRIGGER ft AFTER INSERT ON t BEGIN INSERT INTO f VALUES (new.a); END",
    )
    .await;
    let at = run(&db, "INSERT INTO t VALUES ('some words')").await;
    let all = records(&db, at).await;
    match events(&all[0]) {
        [Event::Row(image)] => assert_eq!(image.table, "t"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_and_utf16_files_survive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("utf16.db");
    foreign(&path, "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a)");
    let db = Sqlite::open(Options::new(&path), std::sync::Arc::new(|_| Ok(()))).unwrap();
    let journal = Journal::open(&db, Clock::system()).await.unwrap();
    journal.attach(1).await.unwrap();
    let mut model = Model::dump(&db.reader(None).await.unwrap());
    let at = run(&db, "INSERT INTO t VALUES ('grün €'); UPDATE t SET a = a || '!'").await;
    model.apply(events(&records(&db, at).await[0])).unwrap();
    assert_eq!(model, Model::dump(&db.reader(None).await.unwrap()));

    let (db, _journal) = attached("CREATE TABLE t (a)").await;
    let mut model = Model::dump(&db.reader(None).await.unwrap());
    let at = run(&db, "INSERT INTO t VALUES (CAST(x'ff00fe' AS TEXT))").await;
    model.apply(events(&records(&db, at).await[0])).unwrap();
    assert_eq!(model, Model::dump(&db.reader(None).await.unwrap()));
}
