//! The shape of PostgreSQL 15's `pg_catalog` and `information_schema`: names, OIDs, columns
//! and types of every table and view, as data.
//!
//! The data file is written by `scripts/dump-system`. Domains are resolved to their base
//! types, as RowDescription reports them. This module must never know about rows: those
//! are `backend::sqlite::system`. Start at [`relations`].

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::{Codec, Column, Relation, RelationKind};
use crate::value::Type;

/// Relations of one schema by name.
pub type Relations = BTreeMap<String, Arc<Relation>>;

/// The relations of `pg_catalog` and of `information_schema`.
pub fn relations() -> (&'static Relations, &'static Relations) {
    static SHAPE: LazyLock<(Relations, Relations)> = LazyLock::new(parse);
    (&SHAPE.0, &SHAPE.1)
}

/// Whether PostgreSQL calls this system relation a table (otherwise a view).
pub fn is_table(relation: &Relation) -> bool {
    relation.kind == RelationKind::System && relation.view_sql.is_none()
}

fn parse() -> (Relations, Relations) {
    let mut catalog: BTreeMap<String, Relation> = BTreeMap::new();
    let mut information: BTreeMap<String, Relation> = BTreeMap::new();
    for line in include_str!("data/system.tsv").lines() {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let (schema, name, kind, oid) = (next(), next(), next(), next());
        let (column, type_oid, typmod, not_null) = (next(), next(), next(), next());
        let target = if schema == "pg_catalog" { &mut catalog } else { &mut information };
        let relation = target
            .entry(name.to_owned())
            .or_insert_with(|| empty(schema, name, kind, oid.parse().unwrap_or_default()));
        let ty =
            Type::with_typmod(type_oid.parse().unwrap_or_default(), typmod.parse().unwrap_or(-1));
        let attnum = i16::try_from(relation.columns.len() + 1).unwrap_or(i16::MAX);
        let codec = Codec::Identity;
        let not_null = not_null == "1";
        relation.columns.push(Column { codec, not_null, ..Column::new(attnum, column, ty) });
    }
    let share = |map: BTreeMap<String, Relation>| {
        map.into_iter().map(|(name, relation)| (name, Arc::new(relation))).collect()
    };
    (share(catalog), share(information))
}

fn empty(schema: &str, name: &str, kind: &str, oid: u32) -> Relation {
    Relation {
        schema: schema.to_owned(),
        // Only marks PostgreSQL's views; a system relation is never expanded.
        view_sql: (kind == "v").then(String::new),
        ..Relation::new(oid, name, RelationKind::System)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::oid;

    #[test]
    fn shapes_are_complete() {
        let (catalog, information) = relations();
        assert_eq!(catalog.len(), 139);
        assert_eq!(information.len(), 69);
        let class = &catalog["pg_class"];
        assert_eq!(class.oid, 1259);
        assert_eq!(class.columns[1].name, "relname");
        assert_eq!(class.columns[1].ty.oid, oid::NAME);
        assert!(is_table(class) && !is_table(&catalog["pg_tables"]));
        let tables = &information["tables"];
        assert_eq!(tables.columns[0].name, "table_catalog");
        assert_eq!(tables.columns[0].ty.oid, oid::NAME);
    }
}
