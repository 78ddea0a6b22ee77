//! Applying row images to PostgreSQL, by key where there is one.
//!
//! Owns the statements of lane A and their preparation. It must never change a row that the
//! image does not name. Start at [`Shapes::statement`].

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use tokio_postgres::Statement;
use tokio_postgres::types::Type as PgType;

use super::binary::Binary;
use super::control::Control;
use crate::backend::sqlite::events::{Image, Op, Row};
use crate::error::{Error, Result, state};
use crate::schema::Relation;
use crate::value::{Datum, Type, oid, storage};

/// Prepared statements kept; beyond that all are dropped and made anew.
const STATEMENTS_MAX: usize = 2000;

/// Prepared statements of one connection, by text.
pub struct Prepared {
    control: Control,
    statements: HashMap<String, Statement>,
}

impl Prepared {
    /// None yet.
    pub fn new(control: Control) -> Self {
        Self { control, statements: HashMap::new() }
    }

    /// The connection.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// A prepared statement with parameters of these types.
    ///
    /// # Errors
    /// 0A000 for a type that tokio-postgres does not know; else what PostgreSQL said.
    pub async fn get(&mut self, sql: &str, types: &[Type]) -> Result<Statement> {
        if let Some(found) = self.statements.get(sql) {
            return Ok(found.clone());
        }
        let pg_types: Vec<PgType> = types
            .iter()
            .map(|ty| {
                PgType::from_oid(ty.oid)
                    .ok_or_else(|| Error::unsupported(format!("a parameter of type {}", ty.oid)))
            })
            .collect::<Result<_>>()?;
        let statement = self
            .control
            .client()
            .prepare_typed(sql, &pg_types)
            .await
            .map_err(|e| self.control.error(&e))?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Forgets every statement (after DDL).
    pub fn clear(&mut self) {
        self.statements.clear();
    }
}

/// One image as a statement with its parameters.
#[derive(Clone, Debug)]
pub struct Apply {
    /// Text; the same for every image of one table and operation.
    pub sql: Arc<str>,
    /// Parameter types.
    pub types: Arc<[Type]>,
    /// Parameters.
    pub params: Vec<Binary>,
}

/// Quotes an identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"public"."name"`.
pub fn table_name(relation: &Relation) -> String {
    format!("\"public\".{}", quoted(&relation.name))
}

/// Columns that are stored on PostgreSQL by value: all but generated ones.
fn plain(relation: &Relation) -> impl Iterator<Item = usize> + '_ {
    (0..relation.columns.len()).filter(|i| relation.columns[*i].generated.is_none())
}

/// Statements by table, built once.
#[derive(Default)]
pub struct Shapes {
    by_table: HashMap<u32, Arc<Shape>>,
}

struct Shape {
    insert: (Arc<str>, Arc<[Type]>),
    update: (Arc<str>, Arc<[Type]>),
    delete: (Arc<str>, Arc<[Type]>),
    select: (Arc<str>, Arc<[Type]>),
    plain: Vec<usize>,
    identity: Vec<usize>,
}

impl Shapes {
    /// Forgets everything (after DDL).
    pub fn clear(&mut self) {
        self.by_table.clear();
    }

    fn shape(&mut self, relation: &Relation) -> Arc<Shape> {
        let made = || Arc::new(Shape::new(relation));
        Arc::clone(self.by_table.entry(relation.oid).or_insert_with(made))
    }

    /// The statement that does to PostgreSQL what the image says. An inserted row that is
    /// there already is overwritten (and its statement's row tells: `true` for inserted).
    ///
    /// # Errors
    /// When a value cannot be held by PostgreSQL's type: the caller quarantines it.
    pub fn statement(&mut self, relation: &Relation, image: &Image) -> Result<Apply> {
        let shape = self.shape(relation);
        let width = relation.columns.len();
        for row in [&image.old, &image.new] {
            if !row.is_empty() && row.len() != width {
                return Err(Error::shadow(
                    state::DATA_CORRUPTED,
                    format!("a journalled row of {} has another shape", relation.name),
                ));
            }
        }
        let ((sql, types), params) = match image.op {
            Op::Insert => (&shape.insert, encode(relation, &image.new, &shape.plain)?),
            Op::Update => {
                let mut params = encode(relation, &image.new, &shape.plain)?;
                params.extend(encode(relation, &image.old, &shape.identity)?);
                (&shape.update, params)
            }
            Op::Delete => (&shape.delete, encode(relation, &image.old, &shape.identity)?),
        };
        Ok(Apply { sql: Arc::clone(sql), types: Arc::clone(types), params })
    }

    /// Reads one row by key: every plain column. Only for tables with a key.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn select_by_key(&mut self, relation: &Relation, key: &[Datum]) -> Result<Apply> {
        let shape = self.shape(relation);
        let (sql, types) = &shape.select;
        let params = key.iter().zip(types.iter()).map(|(d, t)| Binary::of(d, *t));
        let params = params.collect::<Result<_>>()?;
        Ok(Apply { sql: Arc::clone(sql), types: Arc::clone(types), params })
    }
}

fn encode(relation: &Relation, row: &Row, columns: &[usize]) -> Result<Vec<Binary>> {
    columns
        .iter()
        .map(|i| {
            let column = &relation.columns[*i];
            let cell = row.get(*i).unwrap_or(crate::value::CellRef::Null);
            Binary::stored(cell, column.codec, column.ty)
        })
        .collect()
}

/// The plain columns of a row as logical values.
///
/// # Errors
/// When a cell does not decode.
pub fn plain_values(relation: &Relation, row: &Row) -> Result<Vec<Datum>> {
    plain(relation)
        .map(|i| {
            let column = &relation.columns[i];
            let cell = row.get(i).unwrap_or(crate::value::CellRef::Null);
            storage::decode(column.codec, column.ty, cell)
        })
        .collect()
}

/// Names and types of the plain columns.
pub fn plain_columns(relation: &Relation) -> (Vec<String>, Vec<Type>) {
    plain(relation).map(|i| (relation.columns[i].name.clone(), relation.columns[i].ty)).unzip()
}

/// The key's values in a row.
///
/// # Errors
/// When a cell does not decode.
pub fn key_values(relation: &Relation, row: &Row) -> Result<Vec<Datum>> {
    relation
        .key()
        .unwrap_or_default()
        .iter()
        .map(|i| {
            let column = &relation.columns[*i];
            let cell = row.get(*i).unwrap_or(crate::value::CellRef::Null);
            storage::decode(column.codec, column.ty, cell)
        })
        .collect()
}

impl Shape {
    fn new(relation: &Relation) -> Self {
        let table = table_name(relation);
        let plain: Vec<usize> = plain(relation).collect();
        let key: Option<Vec<usize>> = relation.key().map(<[usize]>::to_vec);
        let identity = key.clone().unwrap_or_else(|| plain.clone());
        let name = |i: usize| quoted(&relation.columns[i].name);
        let types = |columns: &[usize]| -> Vec<Type> {
            columns.iter().map(|i| relation.columns[*i].ty).collect()
        };
        let names: Vec<String> = plain.iter().map(|i| name(*i)).collect();
        let (condition, from_update) = (
            condition(relation, &identity, key.is_some(), 1),
            condition(relation, &identity, key.is_some(), plain.len() + 1),
        );
        // A keyless table may hold equal rows: exactly one of them is meant.
        let one = |condition: &str| match key {
            Some(_) => condition.to_owned(),
            None => format!("ctid = (SELECT ctid FROM {table} WHERE {condition} LIMIT 1)"),
        };
        let mut insert = format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            names.join(", "),
            numbered(plain.len())
        );
        if let Some(key) = &key {
            let keys: Vec<String> = key.iter().map(|i| name(*i)).collect();
            let sets: Vec<String> = names.iter().map(|n| format!("{n} = EXCLUDED.{n}")).collect();
            let _ = write!(
                insert,
                " ON CONFLICT ({}) DO UPDATE SET {} RETURNING (xmax = 0)",
                keys.join(", "),
                sets.join(", ")
            );
        }
        let sets: Vec<String> =
            names.iter().enumerate().map(|(n, name)| format!("{name} = ${}", n + 1)).collect();
        let update = format!("UPDATE {table} SET {} WHERE {}", sets.join(", "), one(&from_update));
        let delete = format!("DELETE FROM {table} WHERE {}", one(&condition));
        let select = format!("SELECT {} FROM {table} WHERE {condition}", names.join(", "));
        let update_types: Vec<Type> = types(&plain).into_iter().chain(types(&identity)).collect();
        Self {
            insert: (insert.into(), types(&plain).into()),
            update: (update.into(), update_types.into()),
            delete: (delete.into(), types(&identity).into()),
            select: (select.into(), types(&identity).into()),
            plain,
            identity,
        }
    }
}

fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// Finds a row by key, or by all its values. json has no equality of its own: by its text.
fn condition(relation: &Relation, columns: &[usize], keyed: bool, first: usize) -> String {
    let terms: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(n, i)| {
            let column = &relation.columns[*i];
            let name = quoted(&column.name);
            let parameter = first + n;
            match (keyed, column.ty.oid) {
                (true, _) => format!("{name} = ${parameter}"),
                (false, oid::JSON) => {
                    format!("{name}::text IS NOT DISTINCT FROM ${parameter}::text")
                }
                (false, _) => format!("{name} IS NOT DISTINCT FROM ${parameter}"),
            }
        })
        .collect();
    terms.join(" AND ")
}
