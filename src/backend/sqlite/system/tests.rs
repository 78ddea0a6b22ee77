//! The system tables as SQLite sees them.

use super::*;
use crate::schema::{Column, RelationKind, Unique};
use crate::value::{Type, oid};

fn sample() -> Arc<State> {
    let mut catalog = Catalog::system_only();
    let mut relation = Relation::new(16384, "parent", RelationKind::Table);
    relation.columns = vec![
        Column { not_null: true, ..Column::new(1, "id", Type::new(oid::INT4)) },
        Column {
            default: Some("'x'::text".into()),
            ..Column::new(2, "Name", Type::with_typmod(oid::VARCHAR, 44))
        },
    ];
    relation.primary_key = Some(vec![0]);
    relation.uniques = vec![Unique {
        name: "parent_pkey".into(),
        oid: 16385,
        columns: vec![0],
        primary: true,
        constraint: true,
        deferral: Default::default(),
    }];
    catalog.relations.insert("parent".into(), Arc::new(relation));
    let identity = Identity { database: "app".into(), user: "anna".into() };
    State::new(Arc::new(catalog), identity, None)
}

fn ask(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells = (0..width).map(|i| match row.get_ref(i).unwrap() {
            rusqlite::types::ValueRef::Null => "NULL".to_owned(),
            rusqlite::types::ValueRef::Integer(n) => n.to_string(),
            rusqlite::types::ValueRef::Real(n) => n.to_string(),
            rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
            rusqlite::types::ValueRef::Blob(_) => "blob".to_owned(),
        });
        Ok(cells.collect::<Vec<_>>().join("|"))
    });
    rows.unwrap().map(|r| r.unwrap()).collect()
}

#[test]
fn every_table_of_both_schemas_can_be_read() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    install(&connection, &sample()).unwrap();
    let (catalog, information) = crate::schema::system::relations();
    for relation in catalog.values().chain(information.values()) {
        let sql = format!("SELECT * FROM \"{}\".\"{}\"", relation.schema, relation.name);
        let mut statement = connection.prepare(&sql).unwrap();
        assert_eq!(statement.column_count(), relation.columns.len(), "{}", relation.name);
        let mut rows = statement.query([]).unwrap();
        while rows.next().unwrap().is_some() {}
    }
}

#[test]
fn tables_join_and_describe() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    install(&connection, &sample()).unwrap();
    let columns = "SELECT a.attname, pg_format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relname = 'parent' ORDER BY a.attnum";
    assert_eq!(
        ask(&connection, columns),
        ["id|integer|1|NULL", "Name|character varying(40)|0|'x'::text"]
    );
    let key = "SELECT conname, conkey, pg_get_constraintdef(oid), pg_get_indexdef(conindid)
        FROM pg_catalog.pg_constraint WHERE conrelid = pg_regclassin('parent')";
    assert_eq!(
        ask(&connection, key),
        ["parent_pkey|[1]|PRIMARY KEY (id)|\
          CREATE UNIQUE INDEX parent_pkey ON public.parent USING btree (id)"]
    );
    let tables = "SELECT table_catalog, table_name FROM information_schema.tables
        WHERE table_schema = 'public'";
    assert_eq!(ask(&connection, tables), ["app|parent"]);
    assert_eq!(
        ask(&connection, "SELECT pg_regclassout(16384), pg_regtypeout(25)"),
        ["parent|text"]
    );
    let missing = connection.query_row("SELECT pg_regclassin('none')", [], |_| Ok(()));
    assert!(missing.unwrap_err().to_string().contains("\u{1}42P01\u{1}relation \"none\""));
}

#[test]
fn one_connection_can_show_its_own_catalog() {
    let state = sample();
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    install(&connection, &state).unwrap();
    let other = rusqlite::Connection::open_in_memory().unwrap();
    install(&other, &state).unwrap();
    let count = "SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = 2200";
    let empty = Snapshot::new(
        Arc::new(Catalog::system_only()),
        Arc::default(),
        state.snapshot().identity().clone(),
    );
    let show = |snapshot| {
        let ticket = state.stage(snapshot);
        connection.query_row(SHOW_SQL, [ticket], |_| Ok(())).unwrap();
    };
    show(Some(empty));
    assert_eq!(ask(&connection, count), ["0"]);
    assert_eq!(ask(&other, count), ["2"]);
    show(None);
    assert_eq!(ask(&connection, count), ["2"]);
}
