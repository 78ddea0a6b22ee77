//! Constraints: resolved, checked, named as PostgreSQL names them.

use super::{Editor, no_relation, physical};
use crate::backend::sqlite::adopt::{Namer, constraint_name};
use crate::backend::sqlite::system::columns_named;
use crate::error::{Error, Result, state};
use crate::name::beside;
use crate::schema::{Action, Check, Codec, Deferral, ForeignKey, Relation, RelationKind, Unique};
use crate::sql::analyze;
use crate::sql::ast::{Constraint, ConstraintKind, Name};
use crate::sql::types;
use crate::value::range::shows_scale;
use crate::value::{Type, oid};

impl Editor<'_> {
    /// Adds a constraint to a relation that is being made or changed. Foreign keys and
    /// checks see the relation's columns as they are now.
    pub(super) fn add_constraint(
        &mut self,
        constraint: &Constraint,
        relation: &mut Relation,
        namer: &mut Namer,
    ) -> Result<()> {
        if let ConstraintKind::PrimaryKey(..) = constraint.kind
            && relation.primary_key.is_some()
        {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", relation.name);
            return Err(Error::client(state::INVALID_TABLE_DEFINITION, message));
        }
        if let Some(name) = &constraint.name
            && has_constraint(relation, name)
        {
            let message =
                format!("constraint \"{name}\" for relation \"{}\" already exists", relation.name);
            return Err(Error::client(state::DUPLICATE_OBJECT, message));
        }
        match &constraint.kind {
            ConstraintKind::PrimaryKey(columns, index) => {
                self.add_key(constraint, columns, index.as_deref(), true, relation, namer)
            }
            ConstraintKind::Unique(columns, index, nulls_not_distinct) => {
                if *nulls_not_distinct {
                    return Err(Error::unsupported("NULLS NOT DISTINCT"));
                }
                self.add_key(constraint, columns, index.as_deref(), false, relation, namer)
            }
            ConstraintKind::Check(_, text) => self.add_check(constraint, text, relation),
            ConstraintKind::ForeignKey { .. } => self.add_foreign_key(constraint, relation),
            ConstraintKind::Exclusion(written) => {
                self.add_exclusion(constraint, written, relation, namer)
            }
            ConstraintKind::NotNull
            | ConstraintKind::Null
            | ConstraintKind::Default(..)
            | ConstraintKind::Identity(..)
            | ConstraintKind::Generated(..) => {
                Err(Error::internal("a column's own constraint was given to the table"))
            }
        }
    }

    fn add_key(
        &mut self,
        constraint: &Constraint,
        columns: &[String],
        index: Option<&str>,
        primary: bool,
        relation: &mut Relation,
        namer: &mut Namer,
    ) -> Result<()> {
        let deferral = deferral(constraint);
        if index.is_some() && deferral != Deferral::Never {
            return Err(Error::unsupported("USING INDEX with a deferrable constraint"));
        }
        if let Some(index) = index {
            return use_index(constraint, index, primary, relation);
        }
        let positions = key_columns(columns, relation)?;
        // Of a table without rows a trigger can see to what the stored form does not keep.
        let looked_for = self.tag == "CREATE TABLE"
            && relation.kind == RelationKind::Table
            && deferral == Deferral::Never;
        for position in &positions {
            if !(looked_for && shows_scale(relation.columns[*position].ty.oid)) {
                unique_type(relation, *position)?;
            }
        }
        let name = match &constraint.name {
            // A session's temporary tables have a schema of their own.
            Some(name) if relation.kind == RelationKind::Temporary => name.clone(),
            Some(name) if namer.is_taken(&beside(&relation.name, name)) => {
                let message = format!("relation \"{name}\" already exists");
                return Err(Error::client(state::DUPLICATE_TABLE, message));
            }
            Some(name) => namer.beside(&relation.name, name),
            None if primary => namer.object(&relation.name, None, "pkey"),
            None => namer.object(&relation.name, Some(&columns.join("_")), "key"),
        };
        if primary {
            positions.iter().for_each(|c| relation.columns[*c].not_null = true);
            relation.primary_key = Some(positions.clone());
        }
        let verb = if self.tag == "ALTER TABLE" { "ALTER TABLE / ADD" } else { "CREATE TABLE /" };
        let kind = if primary { "PRIMARY KEY" } else { "UNIQUE" };
        self.detail(format!(
            "{verb} {kind} will create implicit index \"{name}\" for table \"{}\"",
            relation.name
        ));
        let unique = Unique {
            name,
            oid: self.side.new_oid(),
            columns: positions,
            primary,
            constraint: true,
            deferral,
        };
        let at = if primary { 0 } else { relation.uniques.len() };
        relation.uniques.insert(at, unique);
        Ok(())
    }

    fn add_check(
        &mut self,
        constraint: &Constraint,
        text: &str,
        relation: &mut Relation,
    ) -> Result<()> {
        let expr = analyze::expression(text, relation, &self.context())?;
        if expr.ty.oid != oid::BOOL {
            let message = format!(
                "argument of CHECK must be type boolean, not type {}",
                types::sql_name(expr.ty.oid)
            );
            return Err(Error::client(state::DATATYPE_MISMATCH, message));
        }
        let name = match &constraint.name {
            Some(name) => name.clone(),
            None => {
                let named = columns_named(relation, text);
                let column = match named.as_slice() {
                    [one] => relation.columns[*one].name.as_str(),
                    _ => "",
                };
                constraint_name(relation, column, "check")
            }
        };
        let in_plan = physical::check_sql(text, relation).is_none();
        relation.checks.push(Check {
            name,
            oid: self.side.new_oid(),
            expression: self.in_public(text)?,
            in_plan,
            sqlite: false,
            not_valid: constraint.not_valid,
        });
        Ok(())
    }

    fn add_foreign_key(&mut self, constraint: &Constraint, relation: &mut Relation) -> Result<()> {
        let ConstraintKind::ForeignKey {
            columns,
            table,
            referenced,
            on_delete,
            on_update,
            match_full,
        } = &constraint.kind
        else {
            return Err(Error::internal("not a foreign key"));
        };
        let own = foreign_columns(columns, relation)?;
        if *match_full && own.len() > 1 {
            return Err(Error::unsupported("MATCH FULL over several columns"));
        }
        let writes = matches!(on_delete, Action::SetNull | Action::SetDefault)
            || !matches!(on_update, Action::NoAction | Action::Restrict);
        if writes && own.iter().any(|c| relation.columns[*c].domain.is_some()) {
            // What SQLite then writes by itself would pass by the domain.
            return Err(Error::unsupported("a foreign key that changes a column of a domain"));
        }
        let parent = self.parent(table, relation)?;
        let parent_columns = parent_key(&parent, referenced, own.len())?;
        let names: Vec<&str> = own.iter().map(|c| relation.columns[*c].name.as_str()).collect();
        let name = match &constraint.name {
            Some(name) => name.clone(),
            None => constraint_name(relation, &names.join("_"), "fkey"),
        };
        for (child, parent_column) in own.iter().zip(&parent_columns) {
            comparable(relation, *child, &parent, *parent_column, &name)?;
        }
        let referenced = parent_columns.iter().map(|c| parent.columns[*c].name.clone()).collect();
        relation.foreign_keys.push(ForeignKey {
            name,
            oid: self.side.new_oid(),
            columns: own,
            table: parent.name.clone(),
            referenced,
            on_delete: *on_delete,
            on_update: *on_update,
            deferrable: constraint.deferrable || constraint.deferred,
            deferred: constraint.deferred,
            not_valid: constraint.not_valid,
        });
        Ok(())
    }

    fn parent(&self, name: &Name, relation: &Relation) -> Result<Relation> {
        let lasting = relation.schema != "pg_temp";
        let own_schema = name
            .schema
            .as_deref()
            .is_none_or(|s| s == relation.schema || (s == "public" && lasting));
        if own_schema && name.name == relation.name {
            return Ok(relation.clone());
        }
        let found = self.find(name)?.ok_or_else(|| no_relation(&name.name))?;
        match (found.kind, relation.kind) {
            (RelationKind::View, _) => {
                let message = format!("referenced relation \"{}\" is not a table", name.name);
                Err(Error::client(state::WRONG_OBJECT_TYPE, message))
            }
            (RelationKind::System, _) => {
                let message = format!("permission denied: \"{}\" is a system catalog", name.name);
                Err(Error::client(state::INSUFFICIENT_PRIVILEGE, message))
            }
            (RelationKind::Temporary, RelationKind::Temporary)
            | (RelationKind::Table, RelationKind::Table) => Ok(Relation::clone(&found)),
            (RelationKind::Temporary, _) => {
                let message = "constraints on permanent tables may reference only permanent tables";
                Err(Error::client(state::INVALID_TABLE_DEFINITION, message))
            }
            _ => {
                let message = "constraints on temporary tables may reference only temporary tables";
                Err(Error::client(state::INVALID_TABLE_DEFINITION, message))
            }
        }
    }

    /// SQLite's names of a foreign key's parent and its columns.
    pub(super) fn sqlite_parent(
        &self,
        relation: &Relation,
        key: &ForeignKey,
    ) -> Option<(String, Vec<String>)> {
        let parent = if key.table == relation.name {
            relation
        } else {
            self.temporary
                .get(&key.table)
                .filter(|_| relation.schema == "pg_temp")
                .or_else(|| self.catalog.relations.get(&key.table))?
        };
        let columns: Option<Vec<String>> = if key.referenced.is_empty() {
            let key = parent.primary_key.as_ref()?;
            Some(key.iter().map(|c| parent.columns[*c].sqlite_name.clone()).collect())
        } else {
            let names = key.referenced.iter();
            names.map(|n| parent.column(n).map(|c| parent.columns[c].sqlite_name.clone())).collect()
        };
        columns.map(|c| (parent.sqlite_name.clone(), c))
    }
}

/// When a constraint may be checked.
pub(super) fn deferral(constraint: &Constraint) -> Deferral {
    match (constraint.deferrable, constraint.deferred) {
        (_, true) => Deferral::Deferred,
        (true, false) => Deferral::Immediate,
        (false, false) => Deferral::Never,
    }
}

/// Whether a relation has a constraint of this name.
pub(super) fn has_constraint(relation: &Relation, name: &str) -> bool {
    relation.uniques.iter().any(|u| u.constraint && u.name == name)
        || relation.foreign_keys.iter().any(|k| k.name == name)
        || relation.checks.iter().any(|c| c.name == name)
        || relation.indexes.iter().any(|i| i.is_exclusion() && i.name == name)
}

fn use_index(
    constraint: &Constraint,
    index: &str,
    primary: bool,
    relation: &mut Relation,
) -> Result<()> {
    let Some(position) = relation.uniques.iter().position(|u| u.name == index) else {
        let message = format!("index \"{index}\" does not exist");
        return Err(Error::client(state::UNDEFINED_OBJECT, message));
    };
    if relation.uniques[position].constraint {
        let message = format!("index \"{index}\" is already associated with a constraint");
        return Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    if constraint.name.as_ref().is_some_and(|n| n != index) {
        return Err(Error::unsupported("USING INDEX with another constraint name"));
    }
    let columns = relation.uniques[position].columns.clone();
    if primary {
        columns.iter().for_each(|c| relation.columns[*c].not_null = true);
        relation.primary_key = Some(columns);
    }
    let unique = &mut relation.uniques[position];
    unique.constraint = true;
    unique.primary = primary;
    relation.uniques.sort_by_key(|u| !u.primary);
    Ok(())
}

/// Positions of a key's columns.
pub(super) fn key_columns(columns: &[String], relation: &Relation) -> Result<Vec<usize>> {
    let mut positions: Vec<usize> = Vec::new();
    for name in columns {
        let Some(position) = relation.column(name) else {
            let message = format!("column \"{name}\" named in key does not exist");
            return Err(Error::client(state::UNDEFINED_COLUMN, message));
        };
        if positions.contains(&position) {
            let message = format!("column \"{name}\" appears twice in unique constraint");
            return Err(Error::client(state::DUPLICATE_COLUMN, message));
        }
        positions.push(position);
    }
    Ok(positions)
}

fn foreign_columns(columns: &[String], relation: &Relation) -> Result<Vec<usize>> {
    let position = |name: &String| {
        relation.column(name).ok_or_else(|| {
            let message =
                format!("column \"{name}\" referenced in foreign key constraint does not exist");
            Error::client(state::UNDEFINED_COLUMN, message)
        })
    };
    columns.iter().map(position).collect()
}

/// Refuses types whose equality the stored form does not keep.
pub(super) fn unique_type(relation: &Relation, position: usize) -> Result<()> {
    let column = &relation.columns[position];
    if column.locale.is_some() {
        return Err(super::column::ordered_key());
    }
    if !types::has_equality(column.ty.oid) {
        let message = format!(
            "data type {} has no default operator class for access method \"btree\"",
            types::sql_name(column.ty.oid)
        );
        return Err(Error::client(state::UNDEFINED_OBJECT, message).hint(
            "You must specify an operator class for the index or define a default \
                   operator class for the data type.",
        ));
    }
    if !column.codec.preserves_equality(column.ty) {
        let what = match column.codec {
            Codec::NumericAny => "a unique key over numeric without precision".to_owned(),
            _ => format!("a unique key over type {}", types::sql_name(column.ty.oid)),
        };
        return Err(Error::unsupported(what));
    }
    Ok(())
}

/// Positions of the referenced columns, which must be a key of the parent.
fn parent_key(parent: &Relation, referenced: &[String], count: usize) -> Result<Vec<usize>> {
    let positions: Vec<usize> = if referenced.is_empty() {
        parent.primary_key.clone().ok_or_else(|| {
            let message =
                format!("there is no primary key for referenced table \"{}\"", parent.name);
            Error::client(state::UNDEFINED_OBJECT, message)
        })?
    } else {
        foreign_columns(referenced, parent)?
    };
    if positions.len() != count {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(Error::client(state::INVALID_FOREIGN_KEY, message));
    }
    let is_key = parent.uniques.iter().any(|u| {
        u.columns.len() == positions.len() && positions.iter().all(|c| u.columns.contains(c))
    });
    if !is_key {
        let message = format!(
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            parent.name
        );
        return Err(Error::client(state::INVALID_FOREIGN_KEY, message));
    }
    Ok(positions)
}

/// Checks that SQLite compares child and parent as PostgreSQL does.
pub(super) fn comparable(
    relation: &Relation,
    child: usize,
    parent: &Relation,
    parent_column: usize,
    name: &str,
) -> Result<()> {
    let (own, other) = (&relation.columns[child], &parent.columns[parent_column]);
    let family = |ty: Type| match ty.oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => 1,
        oid::TEXT | oid::VARCHAR | oid::NAME => 2,
        oid::FLOAT4 | oid::FLOAT8 => 3,
        other => other,
    };
    if family(own.ty) != family(other.ty) {
        let message = format!("foreign key constraint \"{name}\" cannot be implemented");
        return Err(Error::client(state::DATATYPE_MISMATCH, message).detail(format!(
            "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
            own.name,
            other.name,
            types::sql_name(own.ty.oid),
            types::sql_name(other.ty.oid)
        )));
    }
    let same_form = own.codec == other.codec
        && (own.codec == Codec::Identity
            || own.ty.precision_scale().map(|p| p.1) == other.ty.precision_scale().map(|p| p.1));
    if !same_form || !own.codec.preserves_equality(own.ty) {
        return Err(Error::unsupported(format!(
            "a foreign key over columns \"{}\" and \"{}\" that are stored differently",
            own.name, other.name
        )));
    }
    Ok(())
}
