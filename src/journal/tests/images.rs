//! Images against the difference of the tables, over random transactions.

use proptest::prelude::*;

use super::model::Model;
use crate::backend::sqlite::tests::{Fixture, fixture};
use crate::backend::sqlite::{Durability, Mark, Writer};
use crate::clock::Clock;
use crate::journal::{Events, Journal, Limits, Position, read, verify};

const SCHEMA: &str = "
CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, r REAL, n,
  twice INTEGER GENERATED ALWAYS AS (id * 2) VIRTUAL,
  loud TEXT GENERATED ALWAYS AS (a || '!') STORED, late DEFAULT 5);
CREATE TABLE w (k TEXT, j INTEGER, v REAL, vg AS (j + 1) VIRTUAL, s, PRIMARY KEY (k, j)) WITHOUT ROWID;
CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE, x);
CREATE TABLE orphan (p INTEGER REFERENCES t ON DELETE SET NULL, wk TEXT);
CREATE TABLE log (what, which);
CREATE TABLE c (x UNIQUE ON CONFLICT REPLACE, y UNIQUE ON CONFLICT IGNORE, z UNIQUE ON CONFLICT FAIL);
CREATE INDEX child_p ON child (p);
CREATE TRIGGER ti AFTER INSERT ON t BEGIN
  INSERT INTO log VALUES ('t', new.id);
  SELECT CASE new.n WHEN 91 THEN raise(ABORT, 'abort') WHEN 92 THEN raise(FAIL, 'fail')
    WHEN 93 THEN raise(ROLLBACK, 'rollback') WHEN 94 THEN raise(IGNORE) END;
  INSERT OR REPLACE INTO w (k, j, v) VALUES ('trigger', new.id % 3, new.r);
END;
CREATE TRIGGER tu AFTER UPDATE OF a ON t BEGIN
  UPDATE w SET v = coalesce(v, 0) + 1, j = j + 10 WHERE k = old.a;
  DELETE FROM log WHERE which = old.id;
END;
CREATE TRIGGER wd BEFORE DELETE ON w BEGIN INSERT INTO log VALUES ('w', old.j); END;
CREATE TABLE plain (id INTEGER PRIMARY KEY, a UNIQUE, b UNIQUE);
CREATE VIEW seen AS SELECT id, a FROM t;
CREATE TRIGGER sv INSTEAD OF INSERT ON seen BEGIN
  INSERT INTO t (id, a) VALUES (new.id, new.a) ON CONFLICT DO NOTHING;
  INSERT INTO child (p) SELECT id FROM t WHERE id = new.id;
END;
";

#[derive(Clone, Debug)]
enum Step {
    /// A statement; false when SQLite may keep part of it after an error.
    Run(String, bool),
    Savepoint(u8),
    RollbackTo,
    Release,
    Commit,
    Rollback,
}

fn clause() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("OR ABORT"),
        Just("OR FAIL"),
        Just("OR IGNORE"),
        Just("OR REPLACE"),
        Just("OR ROLLBACK"),
    ]
}

fn text() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("NULL"),
        Just("'a'"),
        Just("'b'"),
        Just("'c'"),
        Just("x'00ff'"),
        Just("'trigger'")
    ]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![0..8i64, 88..95i64, Just(-1), Just(i64::MAX / 4)]
}

fn statement() -> impl Strategy<Value = String> {
    let c = clause;
    prop_oneof![
        (c(), number(), text(), number()).prop_map(|(c, i, a, n)| format!(
            "INSERT {c} INTO t (id, a, r, n) VALUES ({i}, {a}, {n}, 1), ({i} + 1, {a} || 'x', 2.5, {n}), (NULL, {a} || {n}, 3, 'q')"
        )),
        (c(), number(), text(), number()).prop_map(|(c, i, a, n)| format!(
            "UPDATE {c} t SET id = id + {i}, a = {a}, r = {n} WHERE id % 3 = {n} % 3"
        )),
        (c(), text(), number()).prop_map(|(c, a, n)| format!("UPDATE {c} t SET a = {a}, r = r + 1 WHERE id < {n}")),
        (number()).prop_map(|n| format!("DELETE FROM t WHERE id >= {n}")),
        (number(), text()).prop_map(|(i, a)| format!(
            "INSERT INTO t (id, a) VALUES ({i}, {a}) ON CONFLICT (id) DO UPDATE SET a = excluded.a || id, n = 7"
        )),
        (c(), text(), number()).prop_map(|(c, k, j)| format!(
            "INSERT {c} INTO w (k, j, v, s) VALUES ({k}, {j}, {j}, 'y'), ({k}, {j} % 3, 1.5, NULL)"
        )),
        (c(), text(), number()).prop_map(|(c, k, j)| format!("UPDATE {c} w SET k = {k}, j = j + {j} WHERE j < 4")),
        (number()).prop_map(|j| format!("DELETE FROM w WHERE j <= {j}")),
        (c(), number()).prop_map(|(c, p)| format!("INSERT {c} INTO child (p, x) VALUES ({p}, zeroblob(10)), (NULL, 'x')")),
        (number()).prop_map(|p| format!("INSERT INTO orphan SELECT id, a FROM t WHERE id < {p}")),
        (c(), number(), number(), number()).prop_map(|(c, x, y, z)| format!(
            "INSERT {c} INTO c VALUES ({x}, {y}, {z}), ({z}, {x}, {y}), ({y}, {y}, {x})"
        )),
        (c(), number()).prop_map(|(c, x)| format!("UPDATE {c} c SET x = {x}, y = y + 1, z = z - 1")),
        (c(), number(), number()).prop_map(|(c, a, b)| format!(
            "INSERT {c} INTO plain VALUES (NULL, {a}, {b}), ({a}, {b}, {a}), ({b}, NULL, 3)"
        )),
        (c(), number()).prop_map(|(c, a)| format!("UPDATE {c} plain SET id = id + 1, a = {a} WHERE b > 1")),
        Just("DELETE FROM plain".to_owned()),
        Just("DELETE FROM log".to_owned()),
        Just("DELETE FROM t".to_owned()),
        Just("UPDATE log SET what = what".to_owned()),
        Just("UPDATE w SET v = v".to_owned()),
        (number(), text()).prop_map(|(i, a)| format!("INSERT INTO seen VALUES ({i}, {a})")),
        (number(), text()).prop_map(|(i, a)| format!("INSERT INTO t (id, a) VALUES ({i}, {a}) RETURNING id, loud")),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => statement().prop_map(|sql| {
            // RAISE(FAIL) and FAIL clauses keep what came before the failing row.
            let whole = !sql.contains("FAIL") && !sql.contains("92") && !sql.contains("INTO c ") && !sql.contains("c SET");
            Step::Run(sql, whole)
        }),
        2 => (0..3u8).prop_map(Step::Savepoint),
        2 => Just(Step::RollbackTo),
        1 => Just(Step::Release),
        1 => Just(Step::Commit),
        1 => Just(Step::Rollback),
    ]
}

/// Plays a session: what it may do after an error is what PostgreSQL allows.
struct Session<'a> {
    fixture: &'a Fixture,
    writer: Option<Writer>,
    savepoints: Vec<(String, Mark)>,
}

impl Session<'_> {
    async fn play(&mut self, step: &Step) {
        if self.writer.is_none() {
            self.writer = Some(self.fixture.writer(None).await.unwrap());
            self.savepoints.clear();
        }
        let writer = self.writer.as_ref().unwrap();
        match step {
            Step::Run(sql, whole) => {
                let mark = writer.mark().unwrap();
                if writer.execute(sql, &[]).is_ok() {
                    writer.images_since(mark).unwrap().expect("still in the buffer");
                } else if !writer.in_transaction() {
                    self.writer = None;
                } else if *whole {
                    writer.truncate(mark).unwrap();
                } else if let Some((name, mark)) = self.savepoints.last() {
                    writer.rollback_to(name, *mark).unwrap();
                } else {
                    self.writer = None;
                }
            }
            Step::Savepoint(n) => {
                let name = format!("s\"{n}");
                let mark = writer.savepoint(&name).unwrap();
                self.savepoints.push((name, mark));
            }
            Step::RollbackTo => {
                if let Some((name, mark)) = self.savepoints.last() {
                    writer.rollback_to(name, *mark).unwrap();
                }
            }
            Step::Release => {
                if let Some((name, _)) = self.savepoints.pop() {
                    writer.release(&name).unwrap();
                }
            }
            Step::Commit => self.commit(),
            Step::Rollback => self.writer = None,
        }
    }

    fn commit(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.commit().unwrap();
        }
    }
}

async fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let fixture = fixture(Durability::Normal, 1);
    let journal = Journal::open(&fixture, Clock::manual(5, 1)).await.unwrap();
    let writer = fixture.writer(None).await.unwrap();
    writer.batch(SCHEMA).unwrap();
    writer.commit().unwrap();
    let start = journal.attach(1).await.unwrap();
    let mut model = Model::dump(&fixture.reader(None).await.unwrap());
    let mut session = Session { fixture: &fixture, writer: None, savepoints: Vec::new() };
    for step in &steps {
        session.play(step).await;
    }
    session.commit();
    let reader = fixture.reader(None).await.unwrap();
    let limits = Limits { records: 10_000, bytes: 1 << 30, until: fixture.position() };
    for record in read(&reader, start.position.next(), limits).unwrap() {
        let Events::Loaded(events) = record.events else { panic!("not loaded") };
        if let Err(fault) = model.apply(&events) {
            return Err(TestCaseError::fail(fault));
        }
    }
    prop_assert_eq!(&model, &Model::dump(&reader));
    let head = verify(&reader, start.position.next()).unwrap().unwrap_or(start);
    prop_assert_eq!(head.position, fixture.position());
    prop_assert_eq!(Some(head), journal.head());
    prop_assert!(head.position >= Position(1));
    Ok(())
}

/// Transactions tried; `make soak` may raise it.
const CASES: u32 = 96;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn images_equal_the_difference_of_the_tables(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(steps))?;
    }
}
