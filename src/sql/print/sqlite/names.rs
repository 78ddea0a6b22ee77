//! Names in the printed text: relations, columns, output columns.
//!
//! Every relation of a statement gets an alias of its own, so that a name can never be
//! captured by another scope. Output columns are always called `c1`, `c2` …

use std::collections::{HashMap, HashSet};

use super::Value;
use crate::error::{Error, Result};
use crate::schema::{Codec, Relation, RelationKind};
use crate::sql::ir::Output;
use crate::sql::print::quoted;
use crate::value::{Type, oid};

/// How a column of a relation in scope is written and stored.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Quoted name.
    pub(super) name: String,
    /// Codec.
    pub(super) codec: Codec,
    /// Logical type.
    pub(super) ty: Type,
    /// Has a collation that is not BINARY.
    pub(super) collated: bool,
    /// Never NULL here.
    pub(super) not_null: bool,
}

/// A relation in scope.
#[derive(Clone, Debug)]
pub(super) struct Rel {
    /// Quoted alias; empty where SQLite wants bare column names, or where the columns' names
    /// are whole expressions.
    pub(super) qualifier: String,
    /// Columns.
    pub(super) columns: Vec<Column>,
}

/// State of printing one statement.
pub(super) struct Printer {
    /// Number of the client's parameters.
    pub(super) params: usize,
    /// Relations by number.
    pub(super) rels: HashMap<u32, Rel>,
    /// Catalog entries behind relations, for index decisions.
    pub(super) tables: HashMap<u32, std::sync::Arc<Relation>>,
    /// Quoted names and columns of CTEs by id.
    pub(super) ctes: HashMap<u32, Rel>,
    /// Expressions of the enclosing SELECT's output, for sorting by output column.
    pub(super) outputs: Vec<Value>,
    /// CHECK constraints of the written table that the plan enforces.
    pub(super) checks: Vec<super::Enforced>,
    /// The relation whose `excluded` row is in scope.
    pub(super) target: Option<u32>,
    /// Sequences may be moved by the expression being printed: it is evaluated once for each
    /// row, in the order of the rows.
    pub(super) may_draw: bool,
    /// The targets of the SELECT about to be printed may move sequences.
    pub(super) targets_draw: bool,
    /// Parameters that hold the rows of earlier steps, by the CTE they stand for.
    pub(super) steps: HashMap<u32, usize>,
    /// The argument about to be printed may be a row.
    pub(super) takes_row: bool,
    /// The next SELECT that is printed is the statement itself.
    pub(super) outermost: bool,
    /// The next table is read whole, in its own order.
    pub(super) whole: bool,
    /// RETURNING gives logical cells.
    pub(super) plain_returning: bool,
    /// The text goes into a trigger.
    pub(super) in_trigger: bool,
    /// OIDs of the sequences that the text draws from, in a trigger.
    pub(super) sequences: Vec<i64>,
    taken: HashSet<String>,
}

impl Printer {
    pub(super) fn new(inputs: &super::Inputs) -> Self {
        let first = inputs.params + inputs.frozen + 1;
        Self {
            params: inputs.params,
            rels: HashMap::new(),
            tables: HashMap::new(),
            ctes: HashMap::new(),
            outputs: Vec::new(),
            checks: Vec::new(),
            target: None,
            may_draw: false,
            takes_row: false,
            outermost: false,
            whole: false,
            targets_draw: false,
            steps: inputs.steps.iter().enumerate().map(|(n, cte)| (*cte, first + n)).collect(),
            plain_returning: false,
            in_trigger: false,
            sequences: Vec::new(),
            taken: HashSet::new(),
        }
    }

    /// The names in use, to print a part again with [`Printer::restore`].
    pub(super) fn checkpoint(&self) -> HashSet<String> {
        self.taken.clone()
    }

    /// Frees the names taken since a checkpoint.
    pub(super) fn restore(&mut self, taken: HashSet<String>) {
        self.taken = taken;
    }

    /// A quoted name like `wanted` that no other relation of the statement has.
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        let wanted = if wanted.is_empty() { "q" } else { wanted };
        let mut name = wanted.to_owned();
        let mut n = 1;
        while !self.taken.insert(name.to_lowercase()) {
            n += 1;
            name = format!("{wanted}_{n}");
        }
        quoted(&name)
    }

    /// Brings a table into scope; returns its quoted alias.
    pub(super) fn bind_table(
        &mut self,
        rel: u32,
        table: &std::sync::Arc<Relation>,
        alias: &str,
    ) -> String {
        let qualifier = self.unique(alias);
        // A view's column has the collation of what it shows.
        let through = |c: &crate::schema::Column| {
            table.kind == RelationKind::View
                && matches!(c.ty.oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR)
                && c.codec == Codec::Identity
        };
        let columns = table
            .columns
            .iter()
            .map(|c| Column {
                name: quoted(&c.sqlite_name),
                codec: c.codec,
                ty: c.ty,
                collated: c.collation.is_some() || through(c),
                not_null: c.not_null,
            })
            .collect();
        self.rels.insert(rel, Rel { qualifier: qualifier.clone(), columns });
        self.tables.insert(rel, table.clone());
        qualifier
    }

    /// Brings a query's output into scope; returns its quoted alias.
    pub(super) fn bind_outputs(&mut self, rel: u32, alias: &str, columns: Vec<Column>) -> String {
        let qualifier = self.unique(alias);
        self.rels.insert(rel, Rel { qualifier: qualifier.clone(), columns });
        qualifier
    }

    /// Runs `f` with a relation's columns written without qualifier, as RETURNING and
    /// ON CONFLICT want them.
    pub(super) fn unqualified<T>(
        &mut self,
        rel: u32,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let former = self.rels.get_mut(&rel).map(|r| std::mem::take(&mut r.qualifier));
        let result = f(self);
        if let (Some(former), Some(r)) = (former, self.rels.get_mut(&rel)) {
            r.qualifier = former;
        }
        result
    }

    /// A reference to a column, as it is stored.
    pub(super) fn column(&self, rel: u32, index: u32) -> Result<Value> {
        let bound = self
            .rels
            .get(&rel)
            .ok_or_else(|| Error::unsupported("a reference to a later item of FROM"))?;
        let column = bound
            .columns
            .get(index as usize)
            .ok_or_else(|| Error::internal("column index out of range"))?;
        let sql = if bound.qualifier.is_empty() {
            column.name.clone()
        } else {
            format!("{}.{}", bound.qualifier, column.name)
        };
        Ok(read(Value {
            sql,
            codec: column.codec,
            ty: column.ty,
            collated: column.collated,
            not_null: column.not_null,
        }))
    }
}

/// A stored value; one whose form does not tell what it means, not even whether it is NULL, is
/// read at once.
pub(super) fn read(value: Value) -> Value {
    match value.codec.coerces() {
        true => Value::logical(super::codec::logical(&value), value.ty),
        false => value,
    }
}

/// The quoted name of the n-th (0-based) output column.
pub(super) fn output_name(n: usize) -> String {
    format!("\"c{}\"", n + 1)
}

/// The quoted names of the first `count` output columns.
pub(super) fn output_names(count: usize) -> String {
    let names: Vec<String> = (0..count).map(output_name).collect();
    names.join(", ")
}

/// Output columns as the columns of a relation.
pub(super) fn as_columns(outputs: &[Value]) -> Vec<Column> {
    outputs
        .iter()
        .enumerate()
        .map(|(i, o)| Column {
            name: output_name(i),
            codec: o.codec,
            ty: o.ty,
            collated: o.collated,
            not_null: o.not_null,
        })
        .collect()
}

/// Output columns as logical columns of a relation.
pub(super) fn logical_columns(outputs: &[Output]) -> Vec<Column> {
    outputs
        .iter()
        .enumerate()
        .map(|(i, o)| Column {
            name: output_name(i),
            codec: Codec::Identity,
            ty: o.ty,
            collated: false,
            not_null: false,
        })
        .collect()
}

/// A table's qualified name in SQLite.
pub(super) fn table_name(table: &Relation) -> String {
    let schema = match table.kind {
        RelationKind::Temporary => "temp",
        _ => match table.schema.as_str() {
            "pg_catalog" => "pg_catalog",
            "information_schema" => "information_schema",
            _ => "public",
        },
    };
    format!("{}.{}", quoted(schema), quoted(&table.sqlite_name))
}
