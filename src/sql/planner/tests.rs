//! Order of rows, classes of statements, and what is sent to the shadow.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::schema::{Catalog, Column, Identity, Relation, RelationKind, Unique};

fn catalog() -> Catalog {
    let mut table = Relation::new(20_000, "t", RelationKind::Table);
    let mut id = Column::new(1, "id", Type::new(oid::INT8));
    id.not_null = true;
    id.identity = Some(Identity::Always);
    id.sequence = Some("t_id_seq".to_owned());
    table.columns = vec![
        id,
        Column::new(2, "a", Type::new(oid::INT4)),
        Column::new(3, "b", Type::new(oid::TEXT)),
    ];
    table.primary_key = Some(vec![0]);
    table.uniques.push(Unique {
        name: "t_pkey".to_owned(),
        oid: 20_001,
        columns: vec![0],
        primary: true,
        constraint: true,
        deferral: Default::default(),
    });
    let mut catalog = Catalog::system_only();
    catalog.relations.insert("t".to_owned(), Arc::new(table));
    catalog
}

fn planned(sql: &str) -> QueryPlan {
    let catalog = catalog();
    let temporary = BTreeMap::new();
    let path = ["public".to_owned()];
    let context =
        Context { catalog: &catalog, temporary: &temporary, search_path: &path, param_types: &[] };
    let parsed = crate::sql::parse(sql).unwrap();
    match plan(&parsed[0], &context).unwrap().action {
        Action::Query(query) => *query,
        other => panic!("not a query: {other:?}"),
    }
}

#[test]
fn order_is_total_only_over_a_key() {
    use crate::sql::plan::RowOrder;
    let cases = [
        ("SELECT a FROM t", RowOrder::None, false),
        ("SELECT a FROM t ORDER BY a", RowOrder::Keys(vec![0]), false),
        ("SELECT b FROM t ORDER BY a", RowOrder::Hidden, false),
        ("SELECT b FROM t ORDER BY a, id", RowOrder::Total, false),
        ("SELECT b FROM t ORDER BY a LIMIT 1", RowOrder::Hidden, true),
        ("SELECT b FROM t ORDER BY id LIMIT 1", RowOrder::Total, false),
        ("SELECT b FROM t LIMIT 1", RowOrder::None, true),
        ("SELECT count(*) FROM t LIMIT 1", RowOrder::None, false),
        ("SELECT DISTINCT a FROM t ORDER BY a", RowOrder::Total, false),
        ("SELECT a, count(*) FROM t GROUP BY a ORDER BY 1 LIMIT 2", RowOrder::Total, false),
        ("SELECT x.a FROM t x JOIN t y ON x.a = y.a ORDER BY x.id", RowOrder::Hidden, false),
        ("SELECT x.a FROM t x JOIN t y ON x.a = y.a ORDER BY x.id, y.id", RowOrder::Total, false),
        ("SELECT a FROM (SELECT a FROM t LIMIT 3) s ORDER BY a", RowOrder::Keys(vec![0]), true),
    ];
    for (sql, order, unordered_limit) in cases {
        let plan = planned(sql);
        assert_eq!((&plan.order, plan.unordered_limit), (&order, unordered_limit), "{sql}");
    }
}

#[test]
fn kinds_follow_what_a_statement_does() {
    assert_eq!(planned("SELECT 1").kind, QueryKind::Read);
    assert_eq!(planned("SELECT a FROM t FOR UPDATE").kind, QueryKind::LockingRead);
    let insert = planned("INSERT INTO t(a) VALUES (1)");
    assert_eq!((insert.kind, insert.tag), (QueryKind::Write, "INSERT 0"));
    assert_eq!(insert.writes.as_deref(), Some("t"));
}

#[test]
fn identity_values_travel_to_the_shadow() {
    let insert = planned("INSERT INTO t(a) VALUES (1)");
    let sent = insert.postgres.unwrap();
    assert!(sent.contains("OVERRIDING SYSTEM VALUE"), "{sent}");
    assert_eq!(insert.frozen.len(), 1);
}

#[test]
fn every_name_is_quoted_and_qualified() {
    let plan = planned("SELECT a, b FROM t WHERE id = $1 ORDER BY id");
    assert_eq!(
        plan.sqlite,
        "SELECT \"t\".\"a\" AS \"c1\", \"t\".\"b\" AS \"c2\" FROM \"public\".\"t\" AS \"t\" \
         WHERE (\"t\".\"id\" = ?1) ORDER BY \"t\".\"id\" ASC"
    );
}
