//! The views of `information_schema`.
//!
//! Only those that tools read have rows; the others are empty, with the right columns.

use std::sync::Arc;

use super::Core;
use super::constraints::{columns_named, parent};
use super::describe::action_text;
use super::named::{is_view, schema_name, view_text};
use super::rows::{Maker, Row, int, maybe, text};
use super::types::{facts, format_type};
use super::{Snapshot, domains};
use crate::name;
use crate::schema::{Column, Deferral, Identity, Relation, RelationKind, Sequence, system};
use crate::value::composite::is_numbered_apart;
use crate::value::extension::is_extended;
use crate::value::{Cell, Type, oid};

const YES: &str = "YES";
const NO: &str = "NO";

fn yes_no(value: bool) -> Cell {
    text(if value { YES } else { NO })
}

pub(super) fn rows(snapshot: &Snapshot, shape: &Arc<Relation>) -> Vec<Row> {
    match shape.name.as_str() {
        "tables" => tables(snapshot, shape),
        "columns" => columns(snapshot, shape),
        "views" => views(snapshot, shape),
        "sequences" => sequences(snapshot, shape),
        "schemata" => schemata(snapshot, shape),
        "table_constraints" => table_constraints(snapshot, shape),
        "key_column_usage" => key_column_usage(snapshot, shape),
        "constraint_column_usage" => constraint_column_usage(snapshot, shape),
        "constraint_table_usage" => constraint_table_usage(snapshot, shape),
        "referential_constraints" => referential_constraints(snapshot, shape),
        "check_constraints" => check_constraints(snapshot, shape),
        "domains" => domains::domains(snapshot, shape),
        "domain_constraints" => domains::domain_constraints(snapshot, shape),
        "table_privileges" | "role_table_grants" => table_privileges(snapshot, shape),
        "information_schema_catalog_name" => {
            vec![Maker::new(shape, &["catalog_name"]).row([database(snapshot)])]
        }
        "enabled_roles" => {
            let user = text(&snapshot.identity().user);
            vec![Maker::new(shape, &["role_name"]).row([user])]
        }
        _ => Vec::new(),
    }
}

pub(super) fn database(snapshot: &Snapshot) -> Cell {
    text(&snapshot.identity().database)
}

/// Materialized views are none of the standard's.
fn all(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Relation>> {
    let (catalog, information) = system::relations();
    let own = snapshot.user_relations().filter(|r| r.materialized.is_none());
    own.chain(catalog.values()).chain(information.values())
}

fn writable(relation: &Relation) -> bool {
    !is_view(relation)
}

fn tables(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "table_catalog",
        "table_schema",
        "table_name",
        "table_type",
        "is_insertable_into",
        "is_typed",
        "commit_action",
    ];
    let maker = Maker::new(shape, &columns);
    all(snapshot)
        .map(|r| {
            let kind = match r.kind {
                RelationKind::Temporary => "LOCAL TEMPORARY",
                _ if is_view(r) => "VIEW",
                _ => "BASE TABLE",
            };
            let commit = (r.kind == RelationKind::Temporary).then_some("PRESERVE");
            maker.row([
                database(snapshot),
                text(schema_name(r)),
                text(&r.name),
                text(kind),
                yes_no(writable(r)),
                text(NO),
                maybe(commit),
            ])
        })
        .collect()
}

/// What information_schema says about a type's sizes.
pub(super) struct Sizes {
    pub(super) characters: Cell,
    pub(super) octets: Cell,
    pub(super) precision: Cell,
    pub(super) radix: Cell,
    pub(super) scale: Cell,
    pub(super) datetime: Cell,
}

/// Bytes of the longest UTF-8 character, and of the longest value PostgreSQL stores.
const CHARACTER_BYTES: i64 = 4;
const VALUE_BYTES: i64 = 1_073_741_824;

pub(super) fn sizes(ty: Type) -> Sizes {
    let null = || Cell::Null;
    let mut sizes = Sizes {
        characters: null(),
        octets: null(),
        precision: null(),
        radix: null(),
        scale: null(),
        datetime: null(),
    };
    let binary = |bits: i64, scale: Option<i64>| {
        (int(bits), int(2), scale.map_or(Cell::Null, Cell::Integer))
    };
    match ty.oid {
        oid::VARCHAR | oid::BPCHAR => {
            let length = ty.length().and_then(|n| i64::try_from(n).ok());
            sizes.characters = length.map_or(Cell::Null, Cell::Integer);
            sizes.octets = int(length.map_or(VALUE_BYTES, |n| n * CHARACTER_BYTES));
        }
        oid::TEXT => sizes.octets = int(VALUE_BYTES),
        oid::INT2 => (sizes.precision, sizes.radix, sizes.scale) = binary(16, Some(0)),
        oid::INT4 => (sizes.precision, sizes.radix, sizes.scale) = binary(32, Some(0)),
        oid::INT8 => (sizes.precision, sizes.radix, sizes.scale) = binary(64, Some(0)),
        oid::FLOAT4 => (sizes.precision, sizes.radix, sizes.scale) = binary(24, None),
        oid::FLOAT8 => (sizes.precision, sizes.radix, sizes.scale) = binary(53, None),
        oid::NUMERIC => {
            sizes.radix = int(10);
            if let Some((precision, scale)) = ty.precision_scale() {
                sizes.precision = int(precision);
                sizes.scale = int(scale);
            }
        }
        oid::DATE => sizes.datetime = int(0),
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => {
            sizes.datetime = int(if (0..=6).contains(&ty.typmod) { ty.typmod } else { 6 });
        }
        _ => {}
    }
    sizes
}

/// information_schema's `data_type`.
pub(super) fn data_type(ty: Type) -> String {
    match facts(ty.oid) {
        Some(f) if f.is_array && f.element != 0 => "ARRAY".to_owned(),
        Some(_) if is_numbered_apart(ty.oid) => "USER-DEFINED".to_owned(),
        _ => format_type(ty.oid, -1),
    }
}

const COLUMN_COLUMNS: [&str; 32] = [
    "table_catalog",
    "table_schema",
    "table_name",
    "column_name",
    "ordinal_position",
    "column_default",
    "is_nullable",
    "data_type",
    "character_maximum_length",
    "character_octet_length",
    "numeric_precision",
    "numeric_precision_radix",
    "numeric_scale",
    "datetime_precision",
    "udt_catalog",
    "udt_schema",
    "udt_name",
    "dtd_identifier",
    "is_self_referencing",
    "is_identity",
    "identity_generation",
    "identity_start",
    "identity_increment",
    "identity_maximum",
    "identity_minimum",
    "identity_cycle",
    "is_generated",
    "generation_expression",
    "is_updatable",
    "domain_catalog",
    "domain_schema",
    "domain_name",
];

fn columns(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let maker = Maker::new(shape, &COLUMN_COLUMNS);
    let columns = all(snapshot).flat_map(|r| r.columns.iter().map(move |c| (r, c)));
    columns.map(|(r, c)| column_row(snapshot, &maker, r, c)).collect()
}

fn column_row(snapshot: &Snapshot, maker: &Maker, relation: &Relation, column: &Column) -> Row {
    let sizes = sizes(column.ty);
    let domain = column.domain.and_then(|d| snapshot.catalog.enums.domain(d));
    let sequence = column
        .identity
        .and(column.sequence.as_ref())
        .and_then(|name| snapshot.catalog.sequences.get(name));
    let of_sequence = |get: fn(&Sequence) -> i64| maybe(sequence.map(|s| get(s).to_string()));
    let default = match (&column.identity, &column.generated) {
        (None, None) => column.default.as_deref().or(column.sqlite_default.as_deref()),
        _ => None,
    };
    let generation = match column.identity {
        Some(Identity::Always) => Some("ALWAYS"),
        Some(Identity::ByDefault) => Some("BY DEFAULT"),
        None => None,
    };
    let updatable = writable(relation) && relation.kind != RelationKind::System;
    maker.row([
        database(snapshot),
        text(schema_name(relation)),
        text(&relation.name),
        text(&column.name),
        int(column.attnum),
        maybe(default),
        yes_no(!column.not_null && !domain.is_some_and(|d| d.not_null)),
        text(data_type(column.ty)),
        sizes.characters,
        sizes.octets,
        sizes.precision,
        sizes.radix,
        sizes.scale,
        sizes.datetime,
        database(snapshot),
        text(udt_schema(column.ty.oid)),
        maybe(facts(column.ty.oid).map(|f| f.name.clone())),
        text(column.attnum.to_string()),
        text(NO),
        yes_no(column.identity.is_some()),
        maybe(generation),
        of_sequence(|s| s.start),
        of_sequence(|s| s.increment),
        of_sequence(|s| s.max),
        of_sequence(|s| s.min),
        text(NO),
        text(if column.generated.is_some() { "ALWAYS" } else { "NEVER" }),
        maybe(column.generated.as_ref().map(|g| g.expression.clone())),
        yes_no(updatable),
        if domain.is_some() { database(snapshot) } else { Cell::Null },
        maybe(domain.map(|d| if d.temporary { "pg_temp_1" } else { name::schema(&d.name) })),
        maybe(domain.map(|d| d.name.clone())),
    ])
}

/// The schema of a column's type.
pub(super) fn udt_schema(type_oid: u32) -> String {
    match crate::value::enums::key_of(type_oid) {
        Some(key) => name::schema(&key).to_owned(),
        None if is_extended(type_oid) => name::PUBLIC.to_owned(),
        None => "pg_catalog".to_owned(),
    }
}

fn views(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "table_catalog",
        "table_schema",
        "table_name",
        "view_definition",
        "check_option",
        "is_updatable",
        "is_insertable_into",
        "is_trigger_updatable",
        "is_trigger_deletable",
        "is_trigger_insertable_into",
    ];
    let maker = Maker::new(shape, &columns);
    let views = all(snapshot).filter(|r| is_view(r));
    views
        .map(|r| {
            let definition = r.view_sql.as_deref().filter(|s| !s.is_empty()).map(view_text);
            let no = || text(NO);
            maker.row([
                database(snapshot),
                text(schema_name(r)),
                text(&r.name),
                maybe(definition),
                text("NONE"),
                no(),
                no(),
                no(),
                no(),
                no(),
            ])
        })
        .collect()
}

fn sequences(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "sequence_catalog",
        "sequence_schema",
        "sequence_name",
        "data_type",
        "numeric_precision",
        "numeric_precision_radix",
        "numeric_scale",
        "start_value",
        "minimum_value",
        "maximum_value",
        "increment",
        "cycle_option",
    ];
    let maker = Maker::new(shape, &columns);
    // Identity columns' sequences are internal and not listed, as in PostgreSQL.
    let listed = snapshot.catalog.sequences.values().filter(|s| !is_internal(snapshot, s));
    listed
        .map(|s| {
            let sizes = sizes(s.ty);
            maker.row([
                database(snapshot),
                text(name::schema(&s.name)),
                text(&s.name),
                text(data_type(s.ty)),
                sizes.precision,
                sizes.radix,
                sizes.scale,
                text(s.start.to_string()),
                text(s.min.to_string()),
                text(s.max.to_string()),
                text(s.increment.to_string()),
                yes_no(s.cycle),
            ])
        })
        .collect()
}

fn is_internal(snapshot: &Snapshot, sequence: &Sequence) -> bool {
    let Some((table, column)) = &sequence.owned_by else { return false };
    let relation = snapshot.catalog.relation(table);
    let column = relation.and_then(|r| r.column(column).map(|c| &r.columns[c]));
    column.is_some_and(|c| c.identity.is_some())
}

fn schemata(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let maker = Maker::new(shape, &["catalog_name", "schema_name", "schema_owner"]);
    let own = snapshot.catalog.schemas.keys().map(String::as_str);
    ["public", "information_schema", "pg_catalog", "pg_toast"]
        .into_iter()
        .chain(own)
        .map(|n| maker.row([database(snapshot), text(n), text(&snapshot.identity().user)]))
        .collect()
}

/// The constraints of one relation: name, kind, deferrable, deferred.
fn constraints(core: &Core, relation: &Relation) -> Vec<(String, &'static str, bool, bool)> {
    let mut found = Vec::new();
    for unique in relation.uniques.iter().filter(|u| u.constraint) {
        let kind = if unique.primary { "PRIMARY KEY" } else { "UNIQUE" };
        let deferral = unique.deferral;
        let (may, is) = (deferral != Deferral::Never, deferral == Deferral::Deferred);
        found.push((unique.name.clone(), kind, may, is));
    }
    for key in &relation.foreign_keys {
        found.push((key.name.clone(), "FOREIGN KEY", key.deferrable, key.deferred));
    }
    for check in &relation.checks {
        found.push((check.name.clone(), "CHECK", false, false));
    }
    for column in relation.columns.iter().filter(|c| c.not_null) {
        found.push((not_null_name(core, relation, column), "CHECK", false, false));
    }
    found
}

/// PostgreSQL's invented name for a NOT NULL.
fn not_null_name(core: &Core, relation: &Relation, column: &Column) -> String {
    let namespace = super::classes::namespace_of(core, relation);
    format!("{namespace}_{}_{}_not_null", relation.oid, column.attnum)
}

fn table_constraints(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "constraint_type",
        "is_deferrable",
        "initially_deferred",
        "enforced",
        "nulls_distinct",
    ];
    let maker = Maker::new(shape, &columns);
    let mut rows = Vec::new();
    for relation in snapshot.user_relations() {
        let schema = || text(schema_name(relation));
        for (name, kind, deferrable, deferred) in constraints(snapshot, relation) {
            rows.push(maker.row([
                database(snapshot),
                schema(),
                text(name),
                database(snapshot),
                schema(),
                text(&relation.name),
                text(kind),
                yes_no(deferrable),
                yes_no(deferred),
                text(YES),
                maybe((kind == "UNIQUE").then_some(YES)),
            ]));
        }
    }
    rows
}

fn key_column_usage(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "position_in_unique_constraint",
    ];
    let maker = Maker::new(shape, &columns);
    let mut rows = Vec::new();
    for relation in snapshot.user_relations() {
        let mut add = |name: &str, keys: &[usize], parents: &[Option<i64>]| {
            for (position, column) in keys.iter().enumerate() {
                let Some(column) = relation.columns.get(*column) else { continue };
                let parent = parents.get(position).copied().flatten();
                rows.push(maker.row([
                    database(snapshot),
                    text(schema_name(relation)),
                    text(name),
                    database(snapshot),
                    text(schema_name(relation)),
                    text(&relation.name),
                    text(&column.name),
                    int(i64::try_from(position).unwrap_or_default() + 1),
                    parent.map_or(Cell::Null, Cell::Integer),
                ]));
            }
        };
        for unique in relation.uniques.iter().filter(|u| u.constraint) {
            add(&unique.name, &unique.columns, &[]);
        }
        for key in &relation.foreign_keys {
            let parents = match parent(snapshot, key) {
                Some((parent, columns)) => positions_in_key(parent, &columns),
                None => Vec::new(),
            };
            add(&key.name, &key.columns, &parents);
        }
    }
    rows
}

/// The 1-based position of each column within the parent's matching unique constraint.
fn positions_in_key(parent: &Relation, columns: &[usize]) -> Vec<Option<i64>> {
    let unique = parent.uniques.iter().find(|u| {
        u.columns.len() == columns.len() && u.columns.iter().all(|c| columns.contains(c))
    });
    let position = |column: &usize| {
        let at = unique?.columns.iter().position(|c| c == column)?;
        i64::try_from(at + 1).ok()
    };
    columns.iter().map(position).collect()
}

fn constraint_column_usage(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
    ];
    let maker = Maker::new(shape, &columns);
    let mut rows = Vec::new();
    let mut add = |of: &Relation, positions: &[usize], name: &str| {
        for column in positions.iter().filter_map(|c| of.columns.get(*c)) {
            rows.push(maker.row([
                database(snapshot),
                text(schema_name(of)),
                text(&of.name),
                text(&column.name),
                database(snapshot),
                text(schema_name(of)),
                text(name),
            ]));
        }
    };
    for relation in snapshot.user_relations() {
        for unique in relation.uniques.iter().filter(|u| u.constraint) {
            add(relation, &unique.columns, &unique.name);
        }
        for check in &relation.checks {
            add(relation, &columns_named(relation, &check.expression), &check.name);
        }
        for key in &relation.foreign_keys {
            if let Some((parent, columns)) = parent(snapshot, key) {
                add(parent, &columns, &key.name);
            }
        }
    }
    rows
}

fn constraint_table_usage(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "table_catalog",
        "table_schema",
        "table_name",
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
    ];
    let maker = Maker::new(shape, &columns);
    let mut rows = Vec::new();
    let mut add = |of: &Relation, name: &str| {
        rows.push(maker.row([
            database(snapshot),
            text(schema_name(of)),
            text(&of.name),
            database(snapshot),
            text(schema_name(of)),
            text(name),
        ]));
    };
    for relation in snapshot.user_relations() {
        relation.uniques.iter().filter(|u| u.constraint).for_each(|u| add(relation, &u.name));
        for key in &relation.foreign_keys {
            if let Some((parent, _)) = parent(snapshot, key) {
                add(parent, &key.name);
            }
        }
    }
    rows
}

fn referential_constraints(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "unique_constraint_catalog",
        "unique_constraint_schema",
        "unique_constraint_name",
        "match_option",
        "update_rule",
        "delete_rule",
    ];
    let maker = Maker::new(shape, &columns);
    let mut rows = Vec::new();
    for relation in snapshot.user_relations() {
        for key in &relation.foreign_keys {
            let Some((parent, columns)) = parent(snapshot, key) else { continue };
            let unique = parent.uniques.iter().find(|u| {
                u.columns.len() == columns.len() && u.columns.iter().all(|c| columns.contains(c))
            });
            rows.push(maker.row([
                database(snapshot),
                text(schema_name(relation)),
                text(&key.name),
                database(snapshot),
                text(schema_name(parent)),
                maybe(unique.map(|u| u.name.clone())),
                text("NONE"),
                text(action_text(key.on_update)),
                text(action_text(key.on_delete)),
            ]));
        }
    }
    rows
}

fn check_constraints(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = ["constraint_catalog", "constraint_schema", "constraint_name", "check_clause"];
    let maker = Maker::new(shape, &columns);
    let mut rows = Vec::new();
    for relation in snapshot.user_relations() {
        let mut add = |name: String, clause: String| {
            let schema = text(schema_name(relation));
            rows.push(maker.row([database(snapshot), schema, text(name), text(clause)]));
        };
        for check in &relation.checks {
            add(check.name.clone(), format!("(({}))", check.expression));
        }
        for column in relation.columns.iter().filter(|c| c.not_null) {
            add(not_null_name(snapshot, relation, column), format!("{} IS NOT NULL", column.name));
        }
    }
    for (schema, name, clause) in domains::checks(snapshot) {
        rows.push(maker.row([database(snapshot), schema, text(name), text(clause)]));
    }
    rows
}

fn table_privileges(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    let columns = [
        "grantor",
        "grantee",
        "table_catalog",
        "table_schema",
        "table_name",
        "privilege_type",
        "is_grantable",
        "with_hierarchy",
    ];
    let maker = Maker::new(shape, &columns);
    let user = || text(&snapshot.identity().user);
    let mut rows = Vec::new();
    for relation in snapshot.user_relations() {
        let privileges =
            ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
        for privilege in privileges {
            rows.push(maker.row([
                user(),
                user(),
                database(snapshot),
                text(schema_name(relation)),
                text(&relation.name),
                text(privilege),
                text(YES),
                yes_no(privilege == "SELECT"),
            ]));
        }
    }
    rows
}
