//! Tests of parse analysis on text: what a statement means, in a compact notation.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::plan::FrozenSource;
use super::super::{Context, ir, parse};
use super::{Analysis, analyze, expression};
use crate::error::Error;
use crate::schema::{Catalog, Column, Identity, Relation, RelationKind, Sequence, Unique};
use crate::sql::ir::{Body, Expr, ExprKind, InsertSource};
use crate::value::{Cell, Type, oid};

fn column(name: &str, ty: Type) -> Column {
    Column::new(0, name, ty)
}

fn certain(mut column: Column) -> Column {
    column.not_null = true;
    column
}

fn relation(oid_: u32, name: &str, columns: Vec<Column>, key: &[usize]) -> Relation {
    let mut relation = Relation::new(oid_, name, RelationKind::Table);
    relation.columns = columns;
    for (i, column) in relation.columns.iter_mut().enumerate() {
        column.attnum = i16::try_from(i + 1).unwrap();
    }
    relation.primary_key = (!key.is_empty()).then(|| key.to_vec());
    relation.uniques.push(Unique {
        name: format!("{name}_pkey"),
        oid: oid_ + 1,
        columns: key.to_vec(),
        primary: true,
        constraint: true,
        deferral: Default::default(),
    });
    relation
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::system_only();
    let mut id = column("id", Type::new(oid::INT4));
    id.not_null = true;
    id.default = Some("nextval('t_id_seq'::regclass)".to_owned());
    id.sequence = Some("t_id_seq".to_owned());
    let mut at = column("at", Type::new(oid::TIMESTAMPTZ));
    at.default = Some("now()".to_owned());
    let numeric = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(10, 2));
    let t = relation(
        20_000,
        "t",
        vec![
            id,
            column("v", Type::with_typmod(oid::VARCHAR, 24)),
            column("n", numeric),
            at,
            column("ok", Type::new(oid::BOOL)),
        ],
        &[0],
    );
    let mut key = column("id", Type::new(oid::INT8));
    key.identity = Some(Identity::Always);
    key.sequence = Some("p_id_seq".to_owned());
    let p = relation(
        20_010,
        "p",
        vec![
            certain(key),
            column("t_id", Type::new(oid::INT4)),
            column("name", Type::new(oid::TEXT)),
        ],
        &[0],
    );
    let mut view = relation(20_020, "w", vec![column("id", Type::new(oid::INT4))], &[]);
    view.kind = RelationKind::View;
    view.view_sql = Some("SELECT t.id FROM t WHERE t.ok".to_owned());
    for relation in [t, p, view] {
        catalog.relations.insert(relation.name.clone(), Arc::new(relation));
    }
    for (i, name) in ["t_id_seq", "p_id_seq"].into_iter().enumerate() {
        let sequence = Sequence {
            oid: 21_000 + u32::try_from(i).unwrap(),
            name: name.to_owned(),
            ty: Type::new(oid::INT8),
            start: 1,
            increment: 1,
            min: 1,
            max: i64::MAX,
            cycle: false,
            owned_by: None,
        };
        catalog.sequences.insert(name.to_owned(), Arc::new(sequence));
    }
    catalog
}

fn run_with(sql: &str, params: &[u32]) -> Result<Analysis, Error> {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let temporary = BTreeMap::new();
    let context = Context {
        catalog: &catalog,
        temporary: &temporary,
        search_path: &path,
        param_types: params,
    };
    let parsed = parse(sql)?;
    analyze(&parsed[0].statement, &context)
}

fn run(sql: &str) -> Analysis {
    run_with(sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}"))
}

fn outputs(sql: &str) -> Vec<(String, u32, i32)> {
    run(sql).columns().iter().map(|c| (c.name.clone(), c.ty.oid, c.ty.typmod)).collect()
}

fn params(sql: &str) -> Vec<u32> {
    run(sql).params.iter().map(|t| t.oid).collect()
}

/// SQLSTATE, message and position of the error.
fn error(sql: &str) -> (String, String, u32) {
    let e = run_with(sql, &[]).expect_err(sql);
    (e.sqlstate().to_string(), e.message().to_owned(), e.fields().position)
}

fn targets(analysis: &Analysis) -> &[Expr] {
    let ir::Statement::Select(query) = &analysis.statement else { panic!("not a query") };
    let Body::Select(select) = &query.body else { panic!("not a SELECT") };
    &select.targets
}

fn rows(analysis: &Analysis) -> &[Vec<Expr>] {
    let ir::Statement::Insert(insert) = &analysis.statement else { panic!("not an INSERT") };
    let InsertSource::Values(rows) = &insert.source else { panic!("not VALUES") };
    rows
}

#[test]
fn names_and_types_of_outputs() {
    let wanted = [
        ("?column?", oid::INT4, -1),
        ("lower", oid::TEXT, -1),
        ("v", oid::VARCHAR, 24),
        ("n", oid::NUMERIC, 655_366),
        ("case", oid::INT4, -1),
        ("coalesce", oid::VARCHAR, 24),
        ("exists", oid::BOOL, -1),
        ("id", oid::INT8, -1),
    ];
    let sql = "SELECT id + 1, lower(v), v, n, CASE WHEN ok THEN 1 END, coalesce(v, v), \
               EXISTS (SELECT 1), id::bigint FROM t";
    let wanted: Vec<(String, u32, i32)> =
        wanted.into_iter().map(|(n, o, m)| (n.to_owned(), o, m)).collect();
    assert_eq!(outputs(sql), wanted);
}

#[test]
fn parameters_take_the_type_their_place_asks_for() {
    let sql =
        "SELECT * FROM t WHERE id = $1 AND v = $2 AND n < $3 AND at > $4 AND ok = $5 LIMIT $6";
    let wanted = [oid::INT4, oid::TEXT, oid::NUMERIC, oid::TIMESTAMPTZ, oid::BOOL, oid::INT8];
    assert_eq!(params(sql), wanted);
    assert_eq!(params("INSERT INTO t (v, n) VALUES ($1, $2)"), [oid::VARCHAR, oid::NUMERIC]);
    assert_eq!(params("SELECT $1"), [oid::TEXT]);
    assert_eq!(error("SELECT $1 IS NULL").0, "42P18");
    assert_eq!(error("SELECT $1 IS NULL, $1 = id FROM t").0, "42P08");
    let declared = run_with("SELECT $1", &[oid::DATE]).unwrap();
    assert_eq!(declared.params, [Type::new(oid::DATE)]);
}

#[test]
fn errors_are_worded_and_placed_as_in_postgresql() {
    let missing = |code: &str, text: &str, pos: u32| (code.to_owned(), text.to_owned(), pos);
    assert_eq!(error("SELECT x FROM t"), missing("42703", "column \"x\" does not exist", 8));
    assert_eq!(
        error("SELECT * FROM nope"),
        missing("42P01", "relation \"nope\" does not exist", 15)
    );
    assert_eq!(
        error("SELECT id FROM t, p"),
        missing("42702", "column reference \"id\" is ambiguous", 8)
    );
    assert_eq!(
        error("SELECT id + v FROM t"),
        missing("42883", "operator does not exist: integer + character varying", 11)
    );
    assert_eq!(
        error("SELECT v, count(*) FROM t"),
        missing(
            "42803",
            "column \"t.v\" must appear in the GROUP BY clause or be used in an aggregate function",
            8
        )
    );
    assert_eq!(
        error("SELECT 'x'::int"),
        missing("22P02", "invalid input syntax for type integer: \"x\"", 8)
    );
    assert_eq!(error("INSERT INTO p (id, name) VALUES (1, 'x')").0, "428C9");
    assert_eq!(error("INSERT INTO t (v) VALUES ('x') ON CONFLICT (v) DO NOTHING").0, "42P10");
}

#[test]
fn grouping_by_the_key_gives_the_whole_row() {
    run("SELECT id, v, count(*) FROM t GROUP BY id");
    run("SELECT t.v, max(p.name) FROM t JOIN p ON p.t_id = t.id GROUP BY t.id");
    assert_eq!(error("SELECT id FROM t GROUP BY v").0, "42803");
    run("SELECT lower(v) AS l, count(*) FROM t GROUP BY l HAVING count(*) > 1 ORDER BY 2");
}

#[test]
fn inserts_have_every_value_written_out() {
    let analysis = run("INSERT INTO t (v) VALUES ('a'), ($1)");
    let ir::Statement::Insert(insert) = &analysis.statement else { panic!() };
    // v, then id and at with their defaults.
    assert_eq!(insert.columns, [1, 0, 3]);
    let rows = rows(&analysis);
    assert_eq!(rows[0][0].kind, ExprKind::Const(Cell::Text("a".to_owned())));
    assert_eq!(rows[0][0].ty, Type::with_typmod(oid::VARCHAR, 24));
    // One sequence value for each row, one moment for all.
    let next = |f: &crate::sql::plan::Frozen| matches!(f.source, FrozenSource::NextValue(_));
    assert_eq!(analysis.frozen.iter().filter(|f| next(f)).count(), 2);
    let moment =
        analysis.frozen.iter().filter(|f| f.source == FrozenSource::TransactionTime).count();
    assert_eq!(moment, 1);
    assert_eq!(analysis.writes.as_deref(), Some("t"));
    assert!(!analysis.volatile);
}

#[test]
fn inserts_from_a_query_take_sequence_values_for_each_row() {
    let analysis = run("INSERT INTO t (v) SELECT name FROM p");
    assert!(analysis.volatile);
    assert_eq!(analysis.reads, ["p"]);
    let ir::Statement::Insert(insert) = &analysis.statement else { panic!() };
    let InsertSource::Query { exprs, .. } = &insert.source else { panic!() };
    let called = exprs.iter().any(|e| {
        let ExprKind::Cast(inner, _) = &e.kind else { return false };
        matches!(&inner.kind, ExprKind::Call(c) if c.name == "nextval")
    });
    assert!(called);
}

#[test]
fn volatile_values_are_frozen_where_they_are_taken_once() {
    let analysis = run("SELECT now(), random(), gen_random_uuid(), nextval('t_id_seq')");
    assert_eq!(analysis.frozen.len(), 4);
    assert!(targets(&analysis).iter().all(|e| matches!(e.kind, ExprKind::Frozen(_))));
    let analysis = run("SELECT now(), random() FROM t");
    assert_eq!(analysis.frozen.len(), 1);
    assert!(analysis.volatile);
    let analysis = run("SELECT setval(pg_get_serial_sequence('t', 'id'), 5)");
    assert!(matches!(&analysis.frozen[0].source, FrozenSource::Session(n, _) if n == "setval"));
}

#[test]
fn literals_that_depend_on_the_session_stay_casts() {
    let analysis =
        run("SELECT '2024-01-31 10:00'::timestamptz, '2024-01-31 10:00+01'::timestamptz");
    let both = targets(&analysis);
    assert!(matches!(both[0].kind, ExprKind::Cast(..)));
    assert_eq!(both[1].kind, ExprKind::Const(Cell::Text("2024-01-31 09:00:00".to_owned())));
    assert_eq!(error("SELECT 'junk'::timestamptz").0, "22007");
    let hours = run("SELECT INTERVAL '3' HOUR");
    assert_eq!(targets(&hours)[0].kind, ExprKind::Const(Cell::Text("03:00:00".into())));
}

#[test]
fn using_merges_columns_and_puts_them_first() {
    let names: Vec<String> =
        outputs("SELECT * FROM t JOIN p USING (id)").into_iter().map(|(n, ..)| n).collect();
    assert_eq!(names, ["id", "v", "n", "at", "ok", "t_id", "name"]);
    let analysis = run("SELECT id FROM t FULL JOIN p USING (id)");
    assert!(matches!(targets(&analysis)[0].kind, ExprKind::Coalesce(_)));
}

#[test]
fn whole_rows_are_counted_and_given() {
    let analysis = run("SELECT count(p), count(p.*) FROM t LEFT JOIN p ON p.t_id = t.id");
    let ExprKind::Call(call) = &targets(&analysis)[0].kind else { panic!() };
    assert!(matches!(call.args[0].kind, ExprKind::Column(_, 0)));
    assert!(
        matches!(&targets(&run("SELECT p FROM p"))[0].kind, ExprKind::Record(fields, _) if fields.len() == 3)
    );
}

#[test]
fn locks_are_noticed_in_subqueries() {
    assert!(run("SELECT * FROM (SELECT id FROM t FOR UPDATE) x").locks);
    assert!(run("SELECT nextval('t_id_seq') FROM t").locks);
    assert!(!run("SELECT id FROM t").locks);
}

#[test]
fn views_are_expanded() {
    let analysis = run("SELECT w.id FROM w");
    assert_eq!(analysis.reads, ["t"]);
    assert_eq!(analysis.columns()[0].origin, (20_020, 1));
}

#[test]
fn recursion_types_come_from_the_first_part() {
    let sql = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) \
               SELECT n FROM r";
    assert_eq!(outputs(sql), [("n".to_owned(), oid::INT4, -1)]);
    let bad = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1.5 FROM r) SELECT n FROM r";
    assert_eq!(error(bad).0, "42804");
}

#[test]
fn sets_in_the_select_list_become_from_items() {
    let analysis = run("SELECT id, generate_series(1, 3) + 1 FROM t");
    let ir::Statement::Select(query) = &analysis.statement else { panic!() };
    let Body::Select(select) = &query.body else { panic!() };
    assert_eq!(select.from.len(), 2);
    assert!(matches!(select.from[1], ir::From::Function { lateral: true, .. }));
}

#[test]
fn system_catalogs_are_found_without_their_schema() {
    let analysis = run("SELECT c.oid::regclass, n.nspname FROM pg_class c \
         LEFT JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'v') AND pg_table_is_visible(c.oid)");
    assert!(analysis.system);
    assert!(analysis.reads.is_empty());
}

#[test]
fn stored_expressions_see_their_relation_only() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let temporary = BTreeMap::new();
    let context =
        Context { catalog: &catalog, temporary: &temporary, search_path: &path, param_types: &[] };
    let t = &catalog.relations["t"];
    let check = expression("n > 0 AND v <> ''", t, &context).unwrap();
    assert_eq!(check.ty.oid, oid::BOOL);
    let default = expression("now()", t, &context).unwrap();
    assert!(matches!(default.kind, ExprKind::Call(_)));
    assert_eq!(expression("nope", t, &context).unwrap_err().sqlstate().as_str(), "42703");
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let deep = format!("SELECT {}1{}", "abs(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(error(&deep).0, "54001");
}
