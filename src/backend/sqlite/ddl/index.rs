//! CREATE INDEX.

use super::{Editor, physical, plain};
use crate::backend::sqlite::adopt::{Namer, index_definition};
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::system::qualified_ident;
use crate::error::{Error, Object, Result, state};
use crate::name::beside;
use crate::schema::{Deferral, Index, IndexExtras, IndexKey, Relation, RelationKind, Unique};
use crate::sql::analyze;
use crate::sql::ast::{CreateIndex, ExprKind};
use crate::sql::ir::folded;
use crate::sql::stored::Key;
use crate::sql::trigger;
use crate::value::oid;

/// Access methods whose indexes a plain one replaces.
const PLAIN_METHODS: [&str; 2] = ["btree", "hash"];
/// Access methods that are accepted and kept in the catalog only.
const LISTED_METHODS: [&str; 5] = ["gin", "gist", "brin", "spgist", "bloom"];

impl Editor<'_> {
    pub(super) fn create_index(&mut self, create: &CreateIndex) -> Result<()> {
        self.tag = "CREATE INDEX".to_owned();
        let relation = self.existing(&create.table)?;
        match relation.kind {
            RelationKind::Table | RelationKind::Temporary => {}
            RelationKind::View if relation.materialized.is_some() => {}
            RelationKind::View => {
                let message = format!("cannot create index on relation \"{}\"", relation.name);
                let error = Error::client(state::WRONG_OBJECT_TYPE, message);
                return Err(error.detail("This operation is not supported for views."));
            }
            RelationKind::System => return Err(super::system_catalog(&relation.name)),
        }
        let temporary = relation.schema == "pg_temp";
        if let Some(name) = &create.name
            && !self.check_free(&beside(&relation.name, name), temporary, create.if_not_exists)?
        {
            return Ok(());
        }
        let mut relation = Relation::clone(&relation);
        let keys = self.index_keys(create, &relation)?;
        let mut namer = self.namer();
        let name = match &create.name {
            Some(name) => name.clone(),
            None => implicit_name(&mut namer, &relation, &keys, "idx"),
        };
        let texts = self.add_index(create, &mut relation, keys, name)?;
        self.ship(&relation, texts);
        let name = relation.name.clone();
        self.store(relation)?;
        // A key that the file cannot keep must be kept by a trigger.
        match self.catalog.relations.get(&name).filter(|_| create.unique && !temporary) {
            Some(relation) => trigger::check(relation, &self.catalog),
            None => Ok(()),
        }
    }

    /// Adds the index to the relation and, where exact, to the file; PostgreSQL's text.
    fn add_index(
        &mut self,
        create: &CreateIndex,
        relation: &mut Relation,
        keys: Vec<IndexKey>,
        name: String,
    ) -> Result<String> {
        if create.nulls_not_distinct {
            return Err(Error::unsupported("NULLS NOT DISTINCT"));
        }
        if let Some((name, _)) = create.options.iter().find(|(name, _)| !is_option(name)) {
            let message = format!("unrecognized parameter \"{name}\"");
            return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
        }
        let listed = LISTED_METHODS.contains(&create.method.as_str());
        if !listed && !PLAIN_METHODS.contains(&create.method.as_str()) {
            let message = format!("access method \"{}\" does not exist", create.method);
            return Err(Error::client(state::UNDEFINED_OBJECT, message));
        }
        let predicate = match &create.filter {
            Some((_, text)) => Some(self.in_public(text)?),
            None => None,
        };
        let plain_columns: Option<Vec<usize>> = keys
            .iter()
            .map(|k| match k {
                IndexKey::Column(position, _) => Some(*position),
                IndexKey::Expression(..) => None,
            })
            .collect();
        let oid = self.side.new_oid();
        let extra = extras(create, relation);
        let plain = extra == IndexExtras::default();
        if let (Some(columns), true, None) = (plain_columns, create.unique && plain, &predicate) {
            for column in &columns {
                super::constraint::unique_type(relation, *column)?;
            }
            let deferral = Deferral::Never;
            let unique = Unique { name, oid, columns, primary: false, constraint: false, deferral };
            self.make_unique_index(relation, &unique)?;
            let text = crate::backend::sqlite::system::index_text(relation, &unique);
            relation.uniques.push(unique);
            return Ok(text);
        }
        let mut index = Index {
            name,
            oid,
            keys,
            unique: create.unique,
            predicate,
            definition: String::new(),
            sqlite: false,
            absent: false,
            extras: extras(create, relation),
        };
        index.definition = index_definition(relation, &index);
        let file_name = self.free_in_file(&index.name, oid, relation.schema == "pg_temp")?;
        let sql = if listed { None } else { index_sql(relation, &index, &file_name) };
        if sql.is_some() {
            self.check_folding(relation, &index)?;
        }
        match sql {
            Some(sql) => self.make_index(relation, &index.name, index.unique, &sql)?,
            None if index.unique && (relation.schema == "pg_temp" || listed) => {
                return Err(Error::unsupported("a unique index over this expression or condition"));
            }
            None => index.absent = true,
        }
        if index.unique && index.absent {
            let table = qualified_ident(&relation.name);
            if self.has_row(&trigger::duplicates(relation, &index, &table))? {
                return Err(duplicated(&index.name, relation));
            }
        }
        let text = index.definition.clone();
        relation.indexes.push(index);
        Ok(text)
    }

    /// Rows that are there must be such as SQLite folds as PostgreSQL does.
    fn check_folding(&self, relation: &Relation, index: &Index) -> Result<()> {
        for key in index.keys.iter().filter(|_| index.unique) {
            let IndexKey::Expression(text, _) = key else { continue };
            let expr = analyze::expression(text, relation, &self.context())?;
            let Some((upper, text)) = folded(expr) else { continue };
            let Some(inner) = plain::value(&text, relation, plain::Integers::Compared) else {
                continue;
            };
            let sql = format!(
                "SELECT 1 FROM {}.{} WHERE pg_folds_otherwise({inner}, {}) LIMIT 1",
                super::rebuild::schema_of(relation),
                quoted(&relation.sqlite_name),
                u8::from(upper)
            );
            if self.writer.query_row(&sql, &[])?.is_some() {
                let what = "a unique index over letters beyond ASCII of other case";
                return Err(Error::unsupported(what));
            }
        }
        Ok(())
    }

    pub(super) fn index_keys(
        &self,
        create: &CreateIndex,
        relation: &Relation,
    ) -> Result<Vec<IndexKey>> {
        let mut keys = Vec::new();
        for (item, text) in &create.keys {
            if let ExprKind::Column(parts) = &item.expr.kind {
                let name = parts.last().map_or("", String::as_str);
                let Some(position) = relation.column(name) else {
                    let message = format!("column \"{name}\" does not exist");
                    return Err(Error::client(state::UNDEFINED_COLUMN, message).at(item.expr.pos));
                };
                keys.push(IndexKey::Column(position, item.descending));
                continue;
            }
            // Names and types are checked also where the index stays in the catalog only.
            let expr = analyze::expression(text, relation, &self.context())?;
            if !analyze::immutable(&expr) {
                return Err(not_immutable(
                    "functions in index expression must be marked IMMUTABLE",
                ));
            }
            keys.push(IndexKey::Expression(self.in_public(text)?, item.descending));
        }
        if let Some((_, text)) = &create.filter {
            let filter = analyze::expression(text, relation, &self.context())?;
            if filter.ty.oid != oid::BOOL {
                let message = format!(
                    "argument of WHERE must be type boolean, not type {}",
                    crate::sql::types::sql_name(filter.ty.oid)
                );
                return Err(Error::client(state::DATATYPE_MISMATCH, message));
            }
            if !analyze::immutable(&filter) {
                return Err(not_immutable("functions in index predicate must be marked IMMUTABLE"));
            }
        }
        for name in &create.include {
            if relation.column(name).is_none() {
                let message = format!("column \"{name}\" does not exist");
                return Err(Error::client(state::UNDEFINED_COLUMN, message));
            }
        }
        Ok(keys)
    }

    /// The file's index for a unique constraint or index over plain columns.
    pub(super) fn make_unique_index(&self, relation: &Relation, unique: &Unique) -> Result<()> {
        let temporary = relation.schema == "pg_temp";
        let file_name = self.free_in_file(&unique.name, unique.oid, temporary)?;
        self.make_index(
            relation,
            &unique.name,
            true,
            &unique_index_sql(relation, unique, &file_name),
        )
    }

    fn make_index(&self, relation: &Relation, name: &str, unique: bool, sql: &str) -> Result<()> {
        self.writer.execute(sql, &[]).map(|_| ()).map_err(|error| {
            if unique && error.sqlstate() == state::UNIQUE_VIOLATION {
                return duplicated(name, relation);
            }
            error
        })
    }
}

/// Whether an index of some access method has such a parameter.
fn is_option(name: &str) -> bool {
    matches!(
        name,
        "autosummarize"
            | "buffering"
            | "deduplicate_items"
            | "fastupdate"
            | "fillfactor"
            | "gin_pending_list_limit"
            | "length"
            | "pages_per_range"
    ) || name.strip_prefix("col").is_some_and(|n| n.parse::<u8>().is_ok())
}

fn duplicated(name: &str, relation: &Relation) -> Error {
    let message = format!("could not create unique index \"{name}\"");
    let object = Object {
        schema: Some("public".to_owned()),
        table: Some(relation.name.clone()),
        constraint: Some(name.to_owned()),
        ..Object::default()
    };
    Error::client(state::UNIQUE_VIOLATION, message)
        .detail("Some keys are duplicated.")
        .object(object)
}

fn not_immutable(message: &'static str) -> Error {
    Error::client(super::generated::INVALID_OBJECT, message)
}

/// What SQLite has no use for.
pub(super) fn extras(create: &CreateIndex, relation: &Relation) -> IndexExtras {
    let mut extras = IndexExtras {
        include: create.include.clone(),
        options: create.options.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        ..IndexExtras::default()
    };
    if create.method != "btree" {
        extras.method.clone_from(&create.method);
    }
    // The default class is not shown, as in PostgreSQL.
    let is_default = |at: usize, class: &str| {
        let column = create.keys.get(at).and_then(|(item, _)| match &item.expr.kind {
            ExprKind::Column(parts) => relation.column(parts.last()?),
            _ => None,
        });
        let ty = column.map(|c| relation.columns[c].ty.oid);
        match class {
            "text_ops" | "varchar_ops" => {
                matches!(ty, Some(oid::TEXT | oid::VARCHAR) | None) && create.method == "btree"
            }
            "int4_ops" => ty == Some(oid::INT4),
            "int8_ops" => ty == Some(oid::INT8),
            "jsonb_ops" => true,
            _ => false,
        }
    };
    let classes: Vec<String> = create
        .opclasses
        .iter()
        .enumerate()
        .map(|(at, class)| class.clone().filter(|c| !is_default(at, c)).unwrap_or_default())
        .collect();
    if classes.iter().any(|c| !c.is_empty()) {
        extras.opclasses = classes;
    }
    let nulls: Vec<Option<bool>> = create
        .keys
        .iter()
        .map(|(item, _)| item.nulls_first.filter(|first| *first != item.descending))
        .collect();
    if nulls.iter().any(Option::is_some) {
        extras.nulls_first = nulls;
    }
    extras
}

/// CREATE UNIQUE INDEX for the file.
fn unique_index_sql(relation: &Relation, unique: &Unique, file_name: &str) -> String {
    let keys: Vec<Key> =
        unique.columns.iter().map(|c| physical::key_of(&relation.columns[*c])).collect();
    create_sql(relation, file_name, true, &keys, None)
}

/// CREATE INDEX for the file; None when SQLite cannot keep it exactly.
pub(super) fn index_sql(relation: &Relation, index: &Index, file_name: &str) -> Option<String> {
    let mut keys = Vec::new();
    for key in &index.keys {
        match key {
            IndexKey::Column(position, descending) => {
                let column = &relation.columns[*position];
                if index.unique && !column.codec.preserves_equality(column.ty) {
                    return None;
                }
                keys.push(Key { descending: *descending, ..physical::key_of(column) });
            }
            IndexKey::Expression(text, descending) => {
                let expr = analyze::expression(text, relation, &plain::bare_context()).ok()?;
                let printed = match folded(expr.clone()).filter(|_| index.unique) {
                    // The plans of writes refuse what SQLite would fold otherwise.
                    Some((upper, text)) => {
                        let inner = plain::value(&text, relation, plain::Integers::Compared)?;
                        format!("{}({inner})", if upper { "upper" } else { "lower" })
                    }
                    None => plain::value(&expr, relation, plain::Integers::Compared)?,
                };
                keys.push(Key {
                    column: None,
                    expression: printed,
                    collation: None,
                    descending: *descending,
                });
            }
        }
    }
    let filter = match &index.predicate {
        Some(text) => Some(physical::check_sql(text, relation)?),
        None => None,
    };
    Some(create_sql(relation, file_name, index.unique, &keys, filter.as_deref()))
}

fn create_sql(
    relation: &Relation,
    name: &str,
    unique: bool,
    keys: &[Key],
    filter: Option<&str>,
) -> String {
    let schema = if relation.schema == "pg_temp" { "temp." } else { "" };
    format!(
        "CREATE {}INDEX {schema}{} ON {} ({}){}",
        if unique { "UNIQUE " } else { "" },
        quoted(name),
        quoted(&relation.sqlite_name),
        physical::keys_sql(keys),
        filter.map_or_else(String::new, |f| format!(" WHERE {f}"))
    )
}

/// PostgreSQL's name for an index that was given none.
pub(super) fn implicit_name(
    namer: &mut Namer,
    relation: &Relation,
    keys: &[IndexKey],
    suffix: &str,
) -> String {
    let mut parts: Vec<String> = Vec::new();
    for key in keys {
        let base = match key {
            IndexKey::Column(position, _) => relation.columns[*position].name.clone(),
            IndexKey::Expression(text, _) if crate::backend::sqlite::system::is_call(text) => {
                text.split('(').next().unwrap_or("expr").to_owned()
            }
            IndexKey::Expression(..) => "expr".to_owned(),
        };
        let mut part = base.clone();
        let mut number = 0;
        while parts.contains(&part) {
            number += 1;
            part = format!("{base}{number}");
        }
        parts.push(part);
    }
    namer.object(&relation.name, Some(&parts.join("_")), suffix)
}
