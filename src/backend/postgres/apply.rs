//! Applying row images to PostgreSQL, by key where there is one.
//!
//! Owns the statements of lane A and their preparation. It must never change a row that the
//! image does not name. Start at [`Shape::statement`].

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use tokio_postgres::Statement;
use tokio_postgres::types::Type as PgType;

use super::binary::Binary;
use super::control::Control;
use super::project::{Projection, Target};
use crate::backend::sqlite::events::Op;
use crate::error::{Error, Result};
use crate::name;
use crate::schema::Relation;
use crate::value::composite::{element_numbered_apart, is_made, is_numbered_apart};
use crate::value::enums::printed_name;
use crate::value::{Datum, Type, array_of, element_of, oid};

/// Prepared statements kept; beyond that all are dropped and made anew.
const STATEMENTS_MAX: usize = 2000;

/// Prepared statements of one connection, by text.
pub struct Prepared {
    control: Control,
    /// By text, then by parameter types: one text may be typed in more than one way.
    statements: HashMap<String, Vec<(Box<[u32]>, Statement)>>,
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
        let same = |oids: &[u32]| oids.iter().copied().eq(types.iter().map(|t| t.oid));
        let known = self.statements.get(sql).into_iter().flatten();
        if let Some((_, found)) = known.into_iter().find(|(oids, _)| same(oids)) {
            return Ok(found.clone());
        }
        let pg_types: Vec<PgType> = types
            .iter()
            .map(|ty| {
                pg_type(*ty)
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
        let oids = types.iter().map(|t| t.oid).collect();
        self.statements.entry(sql.to_owned()).or_default().push((oids, statement.clone()));
        Ok(statement)
    }

    /// Forgets every statement (after DDL).
    pub fn clear(&mut self) {
        self.statements.clear();
    }
}

/// The type a parameter is prepared with. PostgreSQL finds a type that clients or an extension
/// made by itself: its OID is not ours. An array of one is known only with the column it is for.
pub fn pg_type(ty: Type) -> Option<PgType> {
    match element_numbered_apart(ty.oid) {
        None if is_numbered_apart(ty.oid) => Some(PgType::UNKNOWN),
        Some(_) => (ty.typmod > 0).then_some(PgType::UNKNOWN),
        None => PgType::from_oid(ty.oid),
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

/// `"schema"."name"`.
pub fn table_name(relation: &Relation) -> String {
    name::quoted(&relation.name)
}

/// The statements of one table, built once.
pub struct Shape {
    insert: (Arc<str>, Arc<[Type]>),
    /// Never over a row that is there.
    insert_new: (Arc<str>, Arc<[Type]>),
    update: (Arc<str>, Arc<[Type]>),
    delete: (Arc<str>, Arc<[Type]>),
    select: (Arc<str>, Arc<[Type]>),
    /// Reads many rows, where the key is one column of a type whose equal values are written
    /// alike.
    many: Option<(Arc<str>, Arc<[Type]>)>,
    written: Vec<usize>,
    identity: Vec<usize>,
}

impl Shape {
    /// For a table as PostgreSQL has it.
    pub fn new(projection: &Projection) -> Self {
        let table = table_name(&projection.relation);
        let plain = projection.written();
        let key = projection.key.clone();
        let identity = key.clone().unwrap_or_else(|| plain.clone());
        let name = |i: usize| quoted(&projection.columns[i].name);
        let types = |columns: &[usize]| -> Vec<Type> {
            columns.iter().map(|i| projection.columns[*i].ty).collect()
        };
        let names: Vec<String> = plain.iter().map(|i| name(*i)).collect();
        let (condition, from_update) = (
            condition(projection, &identity, key.is_some(), 1),
            condition(projection, &identity, key.is_some(), plain.len() + 1),
        );
        // A keyless table may hold equal rows: exactly one of them is meant.
        let one = |condition: &str| match key {
            Some(_) => condition.to_owned(),
            None => projection.one_of(&table, condition),
        };
        let mut insert = format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            names.join(", "),
            numbered(plain.len())
        );
        let arbiter = projection.arbiter.as_ref().filter(|_| projection.key_is_exact());
        let mut insert_new = insert.clone();
        if projection.key.is_some() {
            insert_new.push_str(" RETURNING true");
        }
        if arbiter.is_none() {
            // A row that is there already may be another one of ours: it is not written over.
            insert.clone_from(&insert_new);
        }
        if let Some(arbiter) = arbiter {
            let keys: Vec<String> = arbiter.iter().map(|i| name(*i)).collect();
            let sets: Vec<String> = names.iter().map(|n| format!("{n} = EXCLUDED.{n}")).collect();
            // A row that went into a partition has no xmax to ask for.
            let new = if projection.partitioned { "true" } else { "(xmax = 0)" };
            let _ = write!(
                insert,
                " ON CONFLICT ({}) DO UPDATE SET {} RETURNING {new}",
                keys.join(", "),
                sets.join(", ")
            );
        }
        let sets: Vec<String> =
            names.iter().enumerate().map(|(n, name)| format!("{name} = ${}", n + 1)).collect();
        let update = format!("UPDATE {table} SET {} WHERE {}", sets.join(", "), one(&from_update));
        let delete = format!("DELETE FROM {table} WHERE {}", one(&condition));
        let selected: Vec<String> =
            plain.iter().map(|i| projection.columns[*i].selected()).collect();
        let selected = selected.join(", ");
        let select = format!("SELECT {selected} FROM {table} WHERE {condition}");
        let many = key.as_deref().and_then(|key| {
            let [only] = key else { return None };
            let ty = projection.columns[*only].ty;
            let plain = matches!(ty.oid, oid::INT2 | oid::INT4 | oid::INT8 | oid::TEXT | oid::UUID);
            let array = array_of(ty.oid).filter(|_| plain && projection.written().contains(only));
            let sql = format!("SELECT {selected} FROM {table} WHERE {} = ANY($1)", name(*only));
            array.map(|array| (sql.into(), [Type::new(array)].into()))
        });
        let update_types: Vec<Type> = types(&plain).into_iter().chain(types(&identity)).collect();
        Self {
            insert: (insert.into(), types(&plain).into()),
            insert_new: (insert_new.into(), types(&plain).into()),
            update: (update.into(), update_types.into()),
            delete: (delete.into(), types(&identity).into()),
            select: (select.into(), types(&identity).into()),
            many,
            written: plain,
            identity,
        }
    }

    /// The statement that does to PostgreSQL what an image says; `old` and `new` are the rows
    /// as PostgreSQL should hold them. An inserted row that is there already is overwritten, where
    /// it owns its key (and its statement's row tells: `true` for inserted).
    ///
    /// # Errors
    /// When a value has no binary form.
    pub fn statement(&self, op: Op, old: &[Datum], new: &[Datum], owns: bool) -> Result<Apply> {
        match op {
            Op::Insert if owns => encode(&self.insert, pick(new, &self.written)),
            Op::Insert => encode(&self.insert_new, pick(new, &self.written)),
            Op::Update => {
                encode(&self.update, pick(new, &self.written).chain(pick(old, &self.identity)))
            }
            Op::Delete => encode(&self.delete, pick(old, &self.identity)),
        }
    }

    /// Reads one row by key: every written column. Only for tables with a key.
    ///
    /// # Errors
    /// When the key has no binary form.
    pub fn select_by_key(&self, key: &[Datum]) -> Result<Apply> {
        encode(&self.select, key.iter())
    }

    /// Whether rows can be read together.
    pub fn reads_many(&self) -> bool {
        self.many.is_some()
    }

    /// Reads many rows by their keys, in no order; only where [`Self::reads_many`].
    ///
    /// # Errors
    /// When a key has no binary form.
    pub fn select_by_keys(&self, keys: Vec<Datum>) -> Result<Apply> {
        let missing = || Error::internal("rows of this table are read one by one");
        let many = self.many.as_ref().ok_or_else(missing)?;
        let element = many.1.first().and_then(|array| element_of(array.oid)).unwrap_or_default();
        encode(many, [Datum::Array(element, keys)].iter())
    }
}

/// Some columns of a row; NULL beyond its end.
fn pick<'a>(row: &'a [Datum], columns: &'a [usize]) -> impl Iterator<Item = &'a Datum> {
    static NULL: Datum = Datum::Null;
    columns.iter().map(|i| row.get(*i).unwrap_or(&NULL))
}

fn encode<'a>(
    (sql, types): &(Arc<str>, Arc<[Type]>),
    values: impl Iterator<Item = &'a Datum>,
) -> Result<Apply> {
    let params = values.zip(types.iter()).map(|(d, t)| Binary::of(d, *t));
    let params = params.collect::<Result<_>>()?;
    Ok(Apply { sql: Arc::clone(sql), types: Arc::clone(types), params })
}

fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// A column holds a parameter's value, or its text where the type has no equality; NULL for NULL.
pub fn holds(column: &Target, parameter: usize) -> String {
    let name = quoted(&column.name);
    if column.by_text() {
        return format!("{name}::text IS NOT DISTINCT FROM ${parameter}::text");
    }
    match printed_name(column.ty.oid).filter(|_| is_made(column.ty.oid)) {
        // Beside a row a parameter would be a row of no type.
        Some(of) => format!("{name} IS NOT DISTINCT FROM ${parameter}::{of}"),
        None => format!("{name} IS NOT DISTINCT FROM ${parameter}"),
    }
}

/// Finds a row by key, or by all its values, or their text where those have no equality.
fn condition(projection: &Projection, columns: &[usize], keyed: bool, first: usize) -> String {
    let terms: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(n, i)| {
            let column = &projection.columns[*i];
            let parameter = first + n;
            match keyed {
                true => column.key_term(parameter),
                false => holds(column, parameter),
            }
        })
        .collect();
    terms.join(" AND ")
}
