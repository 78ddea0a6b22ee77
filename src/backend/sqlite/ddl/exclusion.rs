//! EXCLUDE constraints: kept in the catalog as an index with an operator for each key, and by
//! triggers while SQLite is primary (`sql::trigger`).
//!
//! Owns which operators and types are taken: those whose comparison is PostgreSQL's own here
//! too. Others are 0A000. Start at [`Editor::add_exclusion`].

use super::index::{extras, implicit_name};
use super::{Editor, plain};
use crate::backend::sqlite::adopt::{Namer, index_definition};
use crate::backend::sqlite::system::qualified_ident;
use crate::error::{Error, Object, Result, SqlState, state};
use crate::name::beside;
use crate::schema::{Index, IndexKey, Relation, RelationKind};
use crate::sql::analyze;
use crate::sql::ast::{Constraint, CreateIndex, Exclusion, ExprKind};
use crate::sql::trigger;
use crate::sql::types::resolve::{Found, operator};
use crate::sql::types::{base, category, sql_name};
use crate::value::extension::Extensions;
use crate::value::oid;

impl Editor<'_> {
    pub(super) fn add_exclusion(
        &mut self,
        constraint: &Constraint,
        written: &Exclusion,
        relation: &mut Relation,
        namer: &mut Namer,
    ) -> Result<()> {
        if relation.kind != RelationKind::Table {
            return Err(Error::unsupported("EXCLUDE on a temporary table"));
        }
        if !written.include.is_empty()
            && !matches!(written.method.as_str(), "gist" | "spgist" | "btree")
        {
            let message =
                format!("access method \"{}\" does not support included columns", written.method);
            return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
        }
        for (key, _) in &written.keys {
            if let ExprKind::Column(parts) = &key.expr.kind
                && let Some(name) = parts.last()
                && relation.column(name).is_none()
            {
                let message = format!("column \"{name}\" named in key does not exist");
                return Err(Error::client(state::UNDEFINED_COLUMN, message));
            }
        }
        let create = CreateIndex {
            method: written.method.clone(),
            keys: written.keys.clone(),
            opclasses: written.opclasses.clone(),
            filter: written.filter.clone(),
            include: written.include.clone(),
            ..CreateIndex::default()
        };
        let keys = self.index_keys(&create, relation)?;
        for (at, (key, operator)) in keys.iter().zip(&written.operators).enumerate() {
            let class = written.opclasses.get(at).and_then(Option::as_deref);
            self.check_operator(&written.method, class, operator, key, relation)?;
        }
        if written.method == "hash" && keys.len() > 1 {
            let message = "access method \"hash\" does not support multicolumn indexes";
            return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
        }
        let name = match &constraint.name {
            Some(name) if namer.is_taken(&beside(&relation.name, name)) => {
                let message = format!("relation \"{name}\" already exists");
                return Err(Error::client(state::DUPLICATE_TABLE, message));
            }
            Some(name) => namer.beside(&relation.name, name),
            None => implicit_name(namer, relation, &keys, "excl"),
        };
        let mut extras = extras(&create, relation);
        extras.operators.clone_from(&written.operators);
        extras.deferral = super::constraint::deferral(constraint);
        // Those that are taken are the default ones, which are not shown.
        extras.opclasses.clear();
        let predicate = match &written.filter {
            Some((_, text)) => Some(self.in_public(text)?),
            None => None,
        };
        let mut index = Index {
            name,
            oid: self.side.new_oid(),
            keys,
            unique: false,
            predicate,
            definition: String::new(),
            sqlite: false,
            absent: true,
            extras,
        };
        index.definition = index_definition(relation, &index);
        relation.indexes.push(index);
        Ok(())
    }

    /// Whether PostgreSQL takes the operator for the key, and we compare as it does.
    fn check_operator(
        &self,
        method: &str,
        class: Option<&str>,
        operator: &str,
        key: &IndexKey,
        relation: &Relation,
    ) -> Result<()> {
        let ty = match key {
            IndexKey::Column(position, _) => {
                let column = &relation.columns[*position];
                if column.locale.is_some() || column.domain.is_some() {
                    let what = "EXCLUDE over a column of a domain or of a language's collation";
                    return Err(Error::unsupported(what));
                }
                column.ty.oid
            }
            IndexKey::Expression(text, _) => {
                analyze::expression(text, relation, &self.context())?.ty.oid
            }
        };
        let ranges = matches!(category(ty), b'R');
        let listed = self.catalog.extensions.contains_key("btree_gist");
        let known = match class {
            None => true,
            Some(class) if class.starts_with("gist_") => listed && method == "gist",
            Some(class) => ranges && matches!(class, "range_ops" | "multirange_ops"),
        };
        if !known {
            let class = class.unwrap_or_default();
            return Err(Error::unsupported(format!("operator class {class} in EXCLUDE")));
        }
        let without = || {
            let message = format!(
                "data type {} has no default operator class for access method \"{method}\"",
                sql_name(ty)
            );
            Error::client(state::UNDEFINED_OBJECT, message).hint(
                "You must specify an operator class for the index or define a default operator \
                 class for the data type.",
            )
        };
        let taken = match method {
            "gist" if ranges => matches!(operator, "=" | "&&" | "-|-"),
            "gist" if !listed || !in_btree_gist(ty) => return Err(without()),
            "gist" => matches!(operator, "=" | "<>"),
            "spgist" if !ranges => return Err(without()),
            "spgist" => matches!(operator, "=" | "&&" | "-|-"),
            "btree" | "hash" if !crate::sql::types::has_equality(ty) => return Err(without()),
            "btree" | "hash" => operator == "=",
            "gin" | "brin" => {
                let message =
                    format!("access method \"{method}\" does not support exclusion constraints");
                return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
            }
            other => {
                let message = format!("access method \"{other}\" does not exist");
                return Err(Error::client(state::UNDEFINED_OBJECT, message));
            }
        };
        match taken {
            true => Ok(()),
            false => Err(Error::unsupported(format!("operator {operator} in EXCLUDE"))),
        }
    }

    /// A constraint that is new on a table with rows; its text for PostgreSQL.
    pub(super) fn put_exclusion(&self, relation: &Relation) -> Result<String> {
        let index = relation.indexes.last().filter(|i| i.is_exclusion());
        let index = index.ok_or_else(|| Error::internal("no exclusion was added"))?;
        let table = qualified_ident(&relation.name);
        if self.has_row(&trigger::conflicts(relation, index, &table))? {
            let message = format!("could not create exclusion constraint \"{}\"", index.name);
            let object = Object {
                schema: Some("public".to_owned()),
                table: Some(relation.name.clone()),
                constraint: Some(index.name.clone()),
                ..Object::default()
            };
            return Err(Error::client(SqlState::from_code("23P01"), message).object(object));
        }
        Ok(super::postgres::exclusion(relation, index))
    }

    /// What keeps the exclusion constraints of a table must be possible.
    pub(super) fn check_exclusions(&self, table: &str) -> Result<()> {
        match self.catalog.relations.get(table) {
            Some(relation) if relation.indexes.iter().any(Index::is_exclusion) => {
                trigger::check(relation, &self.catalog)
            }
            _ => Ok(()),
        }
    }
}

/// Whether the extension btree_gist has a default operator class for a type.
fn in_btree_gist(ty: u32) -> bool {
    matches!(
        base(ty),
        oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::FLOAT4
            | oid::FLOAT8
            | oid::NUMERIC
            | oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::BYTEA
            | oid::DATE
            | oid::TIME
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::INTERVAL
            | oid::UUID
            | oid::BOOL
            | oid::MACADDR
            | oid::INET
            | oid::CIDR
    ) || category(ty) == b'E'
}

/// pg_constraint.conexclop
pub(crate) fn operators(relation: &Relation, index: &Index) -> Vec<i64> {
    let ty = |key: &IndexKey| match key {
        IndexKey::Column(position, _) => Some(relation.columns[*position].ty.oid),
        IndexKey::Expression(text, _) => {
            analyze::expression(text, relation, &plain::bare_context()).ok().map(|e| e.ty.oid)
        }
    };
    let keys = index.keys.iter().zip(&index.extras.operators);
    keys.map(|(key, name)| {
        let Some(ty) = ty(key) else { return 0 };
        match operator(name, Some(ty), ty, Extensions::all()) {
            Found::One(found) => i64::from(found.oid),
            _ => 0,
        }
    })
    .collect()
}
