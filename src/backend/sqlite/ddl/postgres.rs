//! The same schema for PostgreSQL, as text: what is sent to the shadow.
//!
//! Names are always quoted where they must be, constraints always carry their names. What
//! only SQLite can express (raw defaults and checks) is left out. Start at [`create_table`].

use crate::backend::sqlite::system::{
    check_text, exclusion_text, foreign_key_text, format_type, qualified_ident, quote_ident,
    unique_text,
};
use crate::schema::{Catalog, Column, ForeignKey, Identity, Index, Relation, Sequence, Unique};
use crate::value::oid;

/// A relation's qualified name.
pub fn name(relation: &Relation) -> String {
    qualified_ident(&relation.name)
}

/// CREATE SEQUENCE, CREATE TABLE with its keys, checks and foreign keys, indexes.
pub fn create_table(relation: &Relation, catalog: &Catalog) -> Vec<String> {
    let mut parts: Vec<String> = relation.columns.iter().map(|c| column(c, catalog)).collect();
    parts.extend(keys(relation));
    parts.extend(checks(relation));
    parts.extend(relation.foreign_keys.iter().map(|k| foreign_key(relation, k, catalog)));
    let mut texts = sequences(relation, catalog);
    texts.push(format!("CREATE TABLE {} ({})", name(relation), parts.join(", ")));
    texts.extend(owners(relation, catalog));
    texts.extend(indexes(relation));
    texts
}

/// CREATE TABLE with columns only: for a copy that adds keys and constraints later.
pub fn bare_table(relation: &Relation, catalog: &Catalog) -> String {
    let parts: Vec<String> = relation.columns.iter().map(|c| column(c, catalog)).collect();
    format!("CREATE TABLE {} ({})", name(relation), parts.join(", "))
}

/// CREATE SEQUENCE for the serial columns of a table (identity columns make their own).
pub fn sequences(relation: &Relation, catalog: &Catalog) -> Vec<String> {
    serials(relation, catalog).map(|(_, s)| create_sequence(s)).collect()
}

/// ALTER SEQUENCE … OWNED BY for the serial columns of a table.
pub fn owners(relation: &Relation, catalog: &Catalog) -> Vec<String> {
    serials(relation, catalog)
        .map(|(column, sequence)| {
            format!(
                "ALTER SEQUENCE {} OWNED BY {}.{}",
                qualified_ident(&sequence.name),
                name(relation),
                quote_ident(&column.name)
            )
        })
        .collect()
}

fn serials<'a>(
    relation: &'a Relation,
    catalog: &'a Catalog,
) -> impl Iterator<Item = (&'a Column, &'a Sequence)> {
    relation
        .columns
        .iter()
        .filter(|c| c.identity.is_none())
        .filter_map(|c| Some((c, &**catalog.sequences.get(c.sequence.as_ref()?)?)))
}

/// CREATE SEQUENCE.
pub fn create_sequence(sequence: &Sequence) -> String {
    let kind = match sequence.ty.oid {
        oid::INT2 => "smallint",
        oid::INT4 => "integer",
        _ => "bigint",
    };
    let name = qualified_ident(&sequence.name);
    format!("CREATE SEQUENCE {name} AS {kind}{}", options(sequence))
}

fn options(sequence: &Sequence) -> String {
    format!(
        " START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {}{}",
        sequence.start,
        sequence.increment,
        sequence.min,
        sequence.max,
        if sequence.cycle { " CYCLE" } else { "" }
    )
}

/// A column's definition in CREATE TABLE or ADD COLUMN.
pub fn column(column: &Column, catalog: &Catalog) -> String {
    let ty = column.declared();
    let mut text = format!("{} {}", quote_ident(&column.name), format_type(ty.oid, ty.typmod));
    if let Some(locale) = &column.locale {
        text.push_str(&format!(" COLLATE pg_catalog.{}", quote_ident(locale)));
    }
    if let Some(generated) = &column.generated {
        // PostgreSQL 15 knows stored ones only.
        text.push_str(&format!(" GENERATED ALWAYS AS ({}) STORED", generated.expression));
    } else if let Some(identity) = column.identity {
        let kind = if identity == Identity::Always { "ALWAYS" } else { "BY DEFAULT" };
        text.push_str(&format!(" GENERATED {kind} AS IDENTITY"));
        if let Some(sequence) = column.sequence.as_ref().and_then(|s| catalog.sequences.get(s)) {
            let name = qualified_ident(&sequence.name);
            text.push_str(&format!(" (SEQUENCE NAME {name}{})", options(sequence)));
        }
    } else if let Some(default) = &column.default {
        text.push_str(&format!(" DEFAULT {default}"));
    }
    if column.not_null {
        text.push_str(" NOT NULL");
    }
    text
}

fn named(name: &str, body: &str) -> String {
    format!("CONSTRAINT {} {body}", quote_ident(name))
}

/// Primary key and unique constraints, as table constraints.
pub fn keys(relation: &Relation) -> Vec<String> {
    let keys = relation.uniques.iter().filter(|u| u.constraint);
    keys.map(|u| key(relation, u)).collect()
}

/// One primary key or unique constraint.
pub fn key(relation: &Relation, unique: &Unique) -> String {
    named(&unique.name, &unique_text(relation, unique))
}

/// Checks, as table constraints.
pub fn checks(relation: &Relation) -> Vec<String> {
    let checks = relation.checks.iter().filter(|c| !c.sqlite);
    checks.map(|c| named(&c.name, &check_text(c))).collect()
}

/// A foreign key, as a table constraint.
pub fn foreign_key(relation: &Relation, key: &ForeignKey, catalog: &Catalog) -> String {
    let parent = if key.table == relation.name {
        Some(relation)
    } else {
        catalog.relation(&key.table).map(|r| &**r)
    };
    let referenced = match (key.referenced.is_empty(), parent) {
        (true, Some(parent)) => {
            let columns = parent.primary_key.iter().flatten();
            columns.filter_map(|c| parent.columns.get(*c)).map(|c| c.name.clone()).collect()
        }
        _ => key.referenced.clone(),
    };
    named(&key.name, &foreign_key_text(relation, key, &referenced))
}

/// CREATE INDEX for everything that is not a constraint.
pub fn indexes(relation: &Relation) -> Vec<String> {
    let uniques = relation.uniques.iter().filter(|u| !u.constraint);
    let uniques = uniques.map(|u| crate::backend::sqlite::system::index_text(relation, u));
    let plain = relation.indexes.iter().filter(|i| !i.sqlite).map(|i| index(relation, i));
    uniques.chain(plain).collect()
}

/// CREATE INDEX, or ADD CONSTRAINT for the index of an exclusion constraint.
pub fn index(relation: &Relation, index: &Index) -> String {
    match index.is_exclusion() {
        true => format!("ALTER TABLE {} ADD {}", name(relation), exclusion(relation, index)),
        false => index.definition.clone(),
    }
}

/// An exclusion constraint, as a table constraint.
pub fn exclusion(relation: &Relation, index: &Index) -> String {
    named(&index.name, &exclusion_text(relation, index))
}
