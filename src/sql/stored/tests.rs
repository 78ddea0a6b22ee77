//! CREATE texts of every kind that the sample files hold.

use super::*;

fn table(sql: &str) -> Table {
    match read(sql).unwrap_or_else(|e| panic!("{sql}: {e}")) {
        Object::Table(table) => table,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn columns_with_types_and_constraints() {
    let t = table(
        "CREATE TABLE [Order \"x\"](id INTEGER PRIMARY KEY AUTOINCREMENT, \
         price NUMERIC(10, -2) NOT NULL ON CONFLICT FAIL CHECK (price > 0), \
         `n` DOUBLE PRECISION CONSTRAINT u UNIQUE, u \"BIGINT UNSIGNED\", bare, \
         c TEXT COLLATE nocase REFERENCES \"P\"(code) ON UPDATE SET NULL \
           DEFERRABLE INITIALLY DEFERRED, \
         area INT GENERATED ALWAYS AS (id * 2) STORED, up TEXT AS (upper(c)))",
    );
    assert_eq!(t.name, "Order \"x\"");
    let names: Vec<&str> = t.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "price", "n", "u", "bare", "c", "area", "up"]);
    assert!(t.columns[0].primary_key.as_ref().is_some_and(|k| k.autoincrement && !k.descending));
    assert_eq!(t.columns[1].declared.as_deref(), Some("NUMERIC(10,-2)"));
    assert_eq!(t.columns[1].type_args, ["10", "-2"]);
    assert_eq!(t.columns[1].not_null.as_ref().unwrap().conflict, Some(Conflict::Fail));
    assert_eq!(t.columns[1].checks, [(None, "price > 0".to_owned())]);
    assert_eq!(t.columns[2].type_name, "DOUBLE PRECISION");
    assert_eq!(t.columns[2].unique[0].name.as_deref(), Some("u"));
    assert_eq!(t.columns[3].type_name, "BIGINT UNSIGNED");
    assert_eq!(t.columns[4].declared, None);
    let key = &t.columns[5].references[0];
    assert_eq!((key.table.as_str(), key.referenced[0].as_str()), ("P", "code"));
    assert_eq!((key.on_update, key.deferrable, key.deferred), (Action::SetNull, true, true));
    assert_eq!(t.columns[5].collation.as_deref(), Some("NOCASE"));
    assert_eq!(t.columns[6].declared.as_deref(), Some("INT"));
    assert!(t.columns[6].generated.as_ref().is_some_and(|g| g.stored));
    assert_eq!(t.columns[7].generated.as_ref().unwrap().expression, "upper(c)");
}

#[test]
fn defaults_are_read_as_sqlite_reads_them() {
    let sql = "CREATE TABLE d(a DEFAULT -1, b DEFAULT (2), c DEFAULT 'it''s', e DEFAULT \"dq\", \
               f DEFAULT x'abff', g DEFAULT CURRENT_TIMESTAMP, h DEFAULT (datetime('now')), \
               i DEFAULT true, j DEFAULT 1e3, k DEFAULT 0x1F, l DEFAULT word, m DEFAULT NULL, \
               n DEFAULT 99999999999999999999, o DEFAULT -9223372036854775808)";
    let defaults: Vec<super::Default> =
        table(sql).columns.into_iter().map(|c| c.default.unwrap()).collect();
    use super::Default as D;
    assert_eq!(
        defaults,
        [
            D::Integer(-1),
            D::Integer(2),
            D::Text("it's".into()),
            D::Text("dq".into()),
            D::Blob(vec![0xab, 0xff]),
            D::CurrentTimestamp,
            D::Expression("datetime('now')".into()),
            D::Bool(true),
            D::Number("1e3".into()),
            D::Integer(31),
            D::Text("word".into()),
            D::Null,
            D::Number("99999999999999999999".into()),
            D::Integer(i64::MIN),
        ]
    );
}

#[test]
fn table_constraints_and_options() {
    let t = table(
        "CREATE TABLE t(a TEXT, b INT, CONSTRAINT pk PRIMARY KEY(b DESC, a COLLATE NOCASE), \
         UNIQUE('a'), CHECK (a IN ('x', 'y')), \
         FOREIGN KEY(a, b) REFERENCES p ON DELETE CASCADE MATCH FULL) WITHOUT ROWID, STRICT",
    );
    assert!(t.without_rowid && t.strict);
    assert_eq!(t.constraints[0].name.as_deref(), Some("pk"));
    let ConstraintKind::PrimaryKey { keys, .. } = &t.constraints[0].kind else { panic!() };
    assert!(keys[0].descending);
    assert_eq!(keys[1].column.as_deref(), Some("a"));
    assert_eq!(keys[1].collation.as_deref(), Some("NOCASE"));
    let ConstraintKind::Unique { keys, .. } = &t.constraints[1].kind else { panic!() };
    assert_eq!(keys[0].column.as_deref(), Some("a"));
    let ConstraintKind::Check { expression, .. } = &t.constraints[2].kind else { panic!() };
    assert_eq!(expression, "a IN ('x', 'y')");
    let ConstraintKind::ForeignKey(key) = &t.constraints[3].kind else { panic!() };
    assert_eq!((key.columns.len(), key.referenced.len()), (2, 0));
    assert_eq!(key.match_name.as_deref(), Some("FULL"));
}

#[test]
fn indexes_views_triggers_and_virtual_tables() {
    let Object::Index(index) =
        read("CREATE UNIQUE INDEX i ON t(lower(email), city DESC) WHERE deleted = 0").unwrap()
    else {
        panic!()
    };
    assert!(index.unique);
    assert_eq!(index.keys[0].column, None);
    assert_eq!(index.keys[0].expression, "lower(email)");
    assert_eq!(index.filter.as_deref(), Some("deleted = 0"));
    let Object::View(view) = read("CREATE VIEW v(x) AS SELECT a FROM t WHERE a > 1").unwrap()
    else {
        panic!()
    };
    assert_eq!((view.columns.len(), view.query.as_str()), (1, "SELECT a FROM t WHERE a > 1"));
    let sql = "CREATE TRIGGER g AFTER UPDATE OF a ON t WHEN new.a > 1 BEGIN \
               INSERT INTO log VALUES (new.a); DELETE FROM x; END";
    let Object::Trigger(trigger) = read(sql).unwrap() else { panic!() };
    assert_eq!((trigger.time, trigger.event), (TriggerTime::After, TriggerEvent::Update));
    assert_eq!((trigger.columns.len(), trigger.statements.len()), (1, 2));
    let Object::Virtual(v) = read("CREATE VIRTUAL TABLE f USING fts5(a, tokenize='x y')").unwrap()
    else {
        panic!()
    };
    assert_eq!((v.module.as_str(), v.args.len()), ("fts5", 2));
}

#[test]
fn what_is_no_create_is_refused() {
    assert_eq!(read("SELECT 1").unwrap_err().sqlstate().as_str(), "0A000");
    assert_eq!(read("CREATE TABL t(a)").unwrap_err().sqlstate().as_str(), "42601");
    assert_eq!(read("").unwrap_err().sqlstate().as_str(), "0A000");
    let deep = format!("CREATE VIEW v AS SELECT {}1{}", "(".repeat(30_000), ")".repeat(30_000));
    assert_eq!(read(&deep).unwrap_err().sqlstate().as_str(), "54001");
}

const SAMPLE: [&str; 6] = [
    "CREATE TABLE [Order \"x\"](id INTEGER PRIMARY KEY AUTOINCREMENT, p NUMERIC(10,2) DEFAULT -1.5)",
    "CREATE TABLE t(a, b TEXT COLLATE NOCASE CHECK (b IN ('x')), FOREIGN KEY(a) REFERENCES p) STRICT",
    "CREATE UNIQUE INDEX i ON t(lower(a) DESC, `b`) WHERE c IS NOT 1",
    "CREATE VIEW v(x) AS WITH q AS (SELECT 1) SELECT a, count(*) FROM t GROUP BY 1",
    "CREATE TRIGGER g AFTER UPDATE OF a ON t WHEN new.a > 1 BEGIN SELECT RAISE(ABORT, 'x'); END",
    "CREATE VIRTUAL TABLE f USING fts5(a, tokenize='x y')",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 400, failure_persistence: None, ..proptest::prelude::ProptestConfig::default()
    })]

    /// Damaged texts end in a model or an error.
    #[test]
    fn damaged_texts_never_panic(
        index in 0_usize..6,
        at in 0.0..1.0_f64,
        len in 0_usize..10,
        insert in "[\\PC'\"`\\[\\](),;]{0,3}",
    ) {
        let chars: Vec<char> = SAMPLE[index].chars().collect();
        let start = (at * chars.len() as f64) as usize;
        let end = (start + len).min(chars.len());
        let text: String =
            chars[..start].iter().copied().chain(insert.chars()).chain(chars[end..].iter().copied()).collect();
        let _ = read(&text);
    }
}
