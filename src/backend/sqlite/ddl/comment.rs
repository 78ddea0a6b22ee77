//! COMMENT ON: kept in the side catalog, sent to PostgreSQL, shown in pg_description.

use super::callable::identity;
use super::{Editor, no_column};
use crate::backend::sqlite::catalog::save_comment;
use crate::backend::sqlite::system::{qualified_ident, quote_ident};
use crate::error::{Error, Result, state};
use crate::name::bare;
use crate::schema::{Catalog, Described, Function, Relation, RelationKind};
use crate::sql::ast::{Name, ObjectKind};

/// OIDs of the catalogs that comments name, as in PostgreSQL.
pub(crate) mod class {
    /// pg_class
    pub(crate) const RELATION: u32 = 1259;
    /// pg_constraint
    pub(crate) const CONSTRAINT: u32 = 2606;
    /// pg_proc
    pub(crate) const FUNCTION: u32 = 1255;
    /// pg_namespace
    pub(crate) const SCHEMA: u32 = 2615;
    /// pg_trigger
    pub(crate) const TRIGGER: u32 = 2620;
}

impl Editor<'_> {
    pub(super) fn comment(
        &mut self,
        kind: ObjectKind,
        name: &Name,
        part: Option<&str>,
        text: Option<&str>,
    ) -> Result<()> {
        self.tag = "COMMENT".to_owned();
        let Some((what, spelled)) = self.described(kind, name, part)? else { return Ok(()) };
        save_comment(self.writer, what, text)?;
        self.changed = true;
        match text {
            Some(text) => self.catalog.comments.insert(what, text.to_owned()),
            None => self.catalog.comments.remove(&what),
        };
        let text = text.map_or_else(|| "NULL".to_owned(), literal);
        self.postgres.push(format!("COMMENT ON {spelled} IS {text}"));
        Ok(())
    }

    /// What a comment is on and how PostgreSQL is told; None for objects that are accepted
    /// and kept nowhere (extensions, databases, roles).
    fn described(
        &self,
        kind: ObjectKind,
        name: &Name,
        part: Option<&str>,
    ) -> Result<Option<(Described, String)>> {
        if let Some(part) = part {
            return self.part_described(kind, name, part).map(Some);
        }
        let qualified = |word: &str| format!("{word} {}", qualified_ident(&name.name));
        let of_class = |oid: u32| (class::RELATION, oid, 0);
        match kind {
            ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView => {
                let relation = self.existing(name)?;
                let word = match (relation.kind, kind) {
                    (RelationKind::System, _) => return Err(super::system_catalog(&name.name)),
                    (_, ObjectKind::MaterializedView) => "MATERIALIZED VIEW",
                    (RelationKind::View, ObjectKind::View) if relation.materialized.is_none() => {
                        "VIEW"
                    }
                    (RelationKind::Table, ObjectKind::Table) => "TABLE",
                    (RelationKind::Temporary, _) => return Ok(None),
                    _ => {
                        let wanted = if kind == ObjectKind::View { "view" } else { "table" };
                        let message = format!("\"{}\" is not a {wanted}", name.name);
                        return Err(Error::client(state::WRONG_OBJECT_TYPE, message));
                    }
                };
                Ok(Some((of_class(relation.oid), qualified(word))))
            }
            ObjectKind::Index => {
                let owner = self.index_owner(name).filter(|r| r.schema != "pg_temp");
                let owner = owner.and_then(|r| r.index_oid(bare(&name.name)));
                let oid = owner.ok_or_else(|| super::no_relation(&name.name))?;
                Ok(Some((of_class(oid), qualified("INDEX"))))
            }
            ObjectKind::Sequence => {
                let found = self.catalog.sequences.get(&name.name);
                let oid = found.ok_or_else(|| super::no_relation(&name.name))?.oid;
                Ok(Some((of_class(oid), qualified("SEQUENCE"))))
            }
            ObjectKind::Function => {
                let mut all = self.catalog.functions_named(&name.name);
                let function = all.next().ok_or_else(|| {
                    let message = format!("function {}() does not exist", name.name);
                    Error::client(state::UNDEFINED_FUNCTION, message)
                })?;
                if all.next().is_some() {
                    return Err(Error::unsupported("a comment on one of several of a name"));
                }
                let spelled = format!("{} {}", word(function), identity(function));
                Ok(Some(((class::FUNCTION, function.oid, 0), spelled)))
            }
            ObjectKind::Schema => {
                let own = self.catalog.schemas.get(&name.name).copied();
                if own.is_none() && !self.catalog.has_schema(&name.name) {
                    return Err(super::schema::no_schema(&name.name));
                }
                let spelled = format!("SCHEMA {}", quote_ident(&name.name));
                Ok(own.map(|oid| ((class::SCHEMA, oid, 0), spelled)))
            }
            _ => Ok(None),
        }
    }

    /// A column, a constraint or a trigger of a table.
    fn part_described(
        &self,
        kind: ObjectKind,
        table: &Name,
        part: &str,
    ) -> Result<(Described, String)> {
        let relation = self.existing(table)?;
        let own = super::postgres::name(&relation);
        match kind {
            ObjectKind::Constraint => {
                let oid = constraint_oid(&relation, part).ok_or_else(|| {
                    let message = format!(
                        "constraint \"{part}\" for table \"{}\" does not exist",
                        relation.name
                    );
                    Error::client(state::UNDEFINED_OBJECT, message)
                })?;
                let spelled = format!("CONSTRAINT {} ON {own}", quote_ident(part));
                Ok(((class::CONSTRAINT, oid, 0), spelled))
            }
            ObjectKind::Trigger => {
                let found = relation.triggers.iter().find(|t| t.name == part);
                let oid = found.map(|t| t.oid).ok_or_else(|| {
                    let message = format!(
                        "trigger \"{part}\" for table \"{}\" does not exist",
                        relation.name
                    );
                    Error::client(state::UNDEFINED_OBJECT, message)
                })?;
                let spelled = format!("TRIGGER {} ON {own}", quote_ident(part));
                Ok(((class::TRIGGER, oid, 0), spelled))
            }
            _ => {
                let Some(position) = relation.column(part) else {
                    return Err(no_column(part, &relation.name));
                };
                let attnum = i32::from(relation.columns[position].attnum);
                let spelled = format!("COLUMN {own}.{}", quote_ident(part));
                Ok(((class::RELATION, relation.oid, attnum), spelled))
            }
        }
    }

    /// Forgets the comments on a relation and its columns, or on one object of a catalog.
    pub(super) fn forget_comments(&mut self, class: u32, oid: u32) -> Result<()> {
        let gone: Vec<Described> = self
            .catalog
            .comments
            .keys()
            .filter(|(c, o, _)| (*c, *o) == (class, oid))
            .copied()
            .collect();
        for what in gone {
            save_comment(self.writer, what, None)?;
            self.catalog.comments.remove(&what);
        }
        Ok(())
    }
}

fn constraint_oid(relation: &Relation, name: &str) -> Option<u32> {
    let unique = relation.uniques.iter().find(|u| u.constraint && u.name == name);
    let key = relation.foreign_keys.iter().find(|k| k.name == name);
    let check = relation.checks.iter().find(|c| c.name == name);
    unique.map(|u| u.oid).or_else(|| key.map(|k| k.oid)).or_else(|| check.map(|c| c.oid))
}

/// A string constant of PostgreSQL.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// Every comment of a catalog as PostgreSQL is told of it, with the name of its object.
pub(crate) fn all(catalog: &Catalog) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for ((class, object, part), text) in &catalog.comments {
        if let Some((name, spelled)) = spelled(catalog, *class, *object, *part) {
            texts.push((name, format!("COMMENT ON {spelled} IS {}", literal(text))));
        }
    }
    texts
}

fn spelled(catalog: &Catalog, class: u32, object: u32, part: i32) -> Option<(String, String)> {
    if class == class::FUNCTION {
        let function = catalog.functions.values().find(|f| f.oid == object)?;
        let spelled = format!("{} {}", word(function), identity(function));
        return Some((function.name.clone(), spelled));
    }
    if class == class::SCHEMA {
        let (name, _) = catalog.schemas.iter().find(|(_, oid)| **oid == object)?;
        return Some((name.clone(), format!("SCHEMA {}", quote_ident(name))));
    }
    if let Some(sequence) = catalog.sequences.values().find(|s| s.oid == object) {
        let spelled = format!("SEQUENCE {}", qualified_ident(&sequence.name));
        return Some((sequence.name.clone(), spelled));
    }
    let mut relations = catalog.relations.values();
    relations.find_map(|r| Some((r.name.clone(), on(r, class, object, part)?)))
}

/// A comment's object, when it is this relation or a part of it.
fn on(relation: &Relation, class: u32, object: u32, part: i32) -> Option<String> {
    let own = super::postgres::name(relation);
    if class == class::RELATION && object == relation.oid {
        return match part {
            0 if relation.materialized.is_some() => Some(format!("MATERIALIZED VIEW {own}")),
            0 if relation.kind == RelationKind::View => Some(format!("VIEW {own}")),
            0 => Some(format!("TABLE {own}")),
            part => {
                let column = relation.columns.iter().find(|c| i32::from(c.attnum) == part)?;
                Some(format!("COLUMN {own}.{}", quote_ident(&column.name)))
            }
        };
    }
    if class == class::TRIGGER {
        let trigger = relation.triggers.iter().find(|t| t.oid == object)?;
        return Some(format!("TRIGGER {} ON {own}", quote_ident(&trigger.name)));
    }
    if class == class::CONSTRAINT {
        let uniques = relation.uniques.iter().map(|u| (u.oid, &u.name));
        let keys = relation.foreign_keys.iter().map(|k| (k.oid, &k.name));
        let checks = relation.checks.iter().map(|c| (c.oid, &c.name));
        let (_, name) = uniques.chain(keys).chain(checks).find(|(oid, _)| *oid == object)?;
        return Some(format!("CONSTRAINT {} ON {own}", quote_ident(name)));
    }
    let uniques = relation.uniques.iter().map(|u| (u.oid, &u.name));
    let indexes = relation.indexes.iter().map(|i| (i.oid, &i.name));
    let (_, name) = uniques.chain(indexes).find(|(oid, _)| *oid == object)?;
    Some(format!("INDEX {}", super::drop::beside_ident(relation, name)))
}

fn word(function: &Function) -> &'static str {
    if function.procedure { "PROCEDURE" } else { "FUNCTION" }
}
