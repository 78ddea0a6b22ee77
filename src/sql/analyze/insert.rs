//! INSERT: target columns, defaults, identity rules, assignment casts.
//!
//! Owns that every row has all its values written out: defaults and sequence values are
//! filled in here, so that both back ends store the same. Start at [`Analyzer::insert`].

use std::collections::HashMap;
use std::sync::Arc;

use super::from::relation_item;
use super::scope::Place;
use super::target::is_unconditional;
use super::walk::location;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::{Column, Identity, Relation, RelationKind};
use crate::sql::ast::{self, ExprKind as A, Overriding, SelectBody};
use crate::sql::ir::{Body, Expr, ExprKind, Insert, InsertSource, Query, Table};
use crate::sql::types::coerce::Context;
use crate::sql::types::sql_name;
use crate::value::oid;

/// Trees of column defaults, parsed once per statement.
type Defaults = HashMap<usize, ast::Expr>;

impl Analyzer<'_> {
    pub(super) fn insert(&mut self, insert: &ast::Insert) -> Result<Insert> {
        self.push_level();
        let ctes = match &insert.with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        let spelled = self.lite.then(|| self.lite_table(&insert.table));
        let table = spelled.as_ref().unwrap_or(&insert.table);
        let relation = self.target_relation(table, "insert into")?;
        let rel = self.new_rel();
        let named = self.named_columns(&relation, insert)?;
        // The target is not visible to the source; it only serves PostgreSQL's hints.
        let mut hidden = relation_item(u32::MAX, &relation, None);
        hidden.rel_visible = false;
        hidden.cols_visible = false;
        self.level().items.push(hidden);
        let (columns, source) = self.insert_source(insert, &relation, named)?;
        // From here on the target's columns are visible.
        let alias = insert.alias.clone().map(|name| ast::Alias { name, columns: Vec::new() });
        let item = relation_item(rel, &relation, alias.as_ref());
        self.level().items = vec![item];
        self.level().per_row = true;
        let on_conflict = match &insert.on_conflict {
            Some(clause) => Some(self.on_conflict(clause, rel, &relation)?),
            None => None,
        };
        let (returning, outputs) = self.returning(&insert.returning)?;
        let mut made = Insert {
            ctes,
            recursive: insert.with.as_ref().is_some_and(|w| w.recursive),
            rel,
            alias: alias.map_or_else(|| relation.bare().to_owned(), |a| a.name),
            table: Table(relation),
            columns,
            source,
            on_conflict,
            replace: insert.or == ast::Conflict::Replace,
            returning,
            outputs,
        };
        self.insert_triggers(&mut made)?;
        Ok(made)
    }

    /// The table a statement writes; views and system tables are refused.
    pub(super) fn target_relation(
        &mut self,
        name: &ast::Name,
        verb: &str,
    ) -> Result<Arc<Relation>> {
        if name.schema.is_none() && self.find_cte(&name.name).is_some() {
            let message =
                format!("relation \"{}\" cannot be the target of a modifying statement", name.name);
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, name.pos, message)
                .detail("It is the name of a WITH query."));
        }
        let Some(relation) = self.find_relation(name.schema.as_deref(), &name.name) else {
            return Err(self.missing_relation(name));
        };
        match relation.kind {
            RelationKind::View if relation.materialized.is_some() => {
                let message = format!("cannot change materialized view \"{}\"", relation.bare());
                return Err(errors::client(state::WRONG_OBJECT_TYPE, 0, message));
            }
            RelationKind::View => {
                let message = format!("cannot {verb} view \"{}\"", relation.bare());
                return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
            }
            RelationKind::System => {
                let message = format!("permission denied for table {}", relation.name);
                return Err(Error::client(state::INSUFFICIENT_PRIVILEGE, message));
            }
            RelationKind::Table => self.writes = Some(relation.name.clone()),
            RelationKind::Temporary => {}
        }
        self.locale |= super::locale::concerns(&relation);
        Ok(relation)
    }

    /// Indexes of the columns written in the statement; None when none are.
    fn named_columns(
        &self,
        relation: &Relation,
        insert: &ast::Insert,
    ) -> Result<Option<Vec<usize>>> {
        if insert.columns.is_empty() {
            return Ok(None);
        }
        let mut indexes = Vec::with_capacity(insert.columns.len());
        for (i, name) in insert.columns.iter().enumerate() {
            let pos = insert.column_positions.get(i).copied().unwrap_or(0);
            let index = self
                .column_of(relation, name)
                .ok_or_else(|| errors::undefined_column_of(name, &relation.name, pos))?;
            if indexes.contains(&index) {
                return Err(errors::duplicate_column(name, pos));
            }
            indexes.push(index);
        }
        Ok(Some(indexes))
    }

    fn insert_source(
        &mut self,
        insert: &ast::Insert,
        relation: &Arc<Relation>,
        named: Option<Vec<usize>>,
    ) -> Result<(Vec<u32>, InsertSource)> {
        let empty: &[Vec<ast::Expr>] = &[];
        let rows: Option<&[Vec<ast::Expr>]> = match &insert.source {
            None => Some(empty),
            Some(select) => match &select.body {
                SelectBody::Values(rows) if plain_values(select) => Some(rows),
                _ => None,
            },
        };
        match (rows, &insert.source) {
            (Some(rows), _) => self.insert_values(insert, relation, named, rows),
            (None, Some(select)) => self.insert_query(insert, relation, named, select),
            (None, None) => Err(Error::internal("an INSERT without rows")),
        }
    }

    /// The columns values are given for: the written ones, else as many as there are values.
    fn given_columns(
        &self,
        relation: &Relation,
        named: Option<Vec<usize>>,
        width: usize,
        pos: u32,
        last: u32,
    ) -> Result<Vec<usize>> {
        let all = relation.columns.len();
        match named {
            None if width > all => {
                let message = "INSERT has more expressions than target columns";
                Err(errors::syntax(last, message))
            }
            None => Ok((0..width).collect()),
            Some(columns) if width > columns.len() => {
                let message = "INSERT has more expressions than target columns";
                Err(errors::syntax(last, message))
            }
            Some(columns) if width < columns.len() => {
                let message = "INSERT has more target columns than expressions";
                Err(errors::syntax(pos, message))
            }
            Some(columns) => Ok(columns),
        }
    }

    fn insert_values(
        &mut self,
        insert: &ast::Insert,
        relation: &Arc<Relation>,
        named: Option<Vec<usize>>,
        rows: &[Vec<ast::Expr>],
    ) -> Result<(Vec<u32>, InsertSource)> {
        let default_values = insert.source.is_none();
        let width = rows.first().map_or(0, Vec::len);
        if let Some(row) = rows.iter().find(|r| r.len() != width) {
            let pos = row.first().map_or(0, |e| e.pos);
            return Err(errors::syntax(pos, "VALUES lists must all be the same length"));
        }
        let beyond = named.as_ref().map_or(relation.columns.len(), Vec::len);
        let extra = rows.first().and_then(|r| r.get(beyond)).map_or(0, |e| e.pos);
        let named = if default_values { None } else { named };
        let short = insert.column_positions.get(width).copied().unwrap_or(0);
        let given = self.given_columns(relation, named, width, short, extra)?;
        // One row's values are computed once, before it is written.
        let alone = rows.len() == 1 && insert.with.is_none();
        // Values first, in the order written: parameter types follow that order.
        let mut values: Vec<Vec<Option<Expr>>> = Vec::with_capacity(rows.len());
        for row in rows {
            let mut done = Vec::with_capacity(width);
            for (value, index) in row.iter().zip(&given) {
                let column = &relation.columns[*index];
                done.push(match &value.kind {
                    A::Default => None,
                    // SQLite numbers a row whose INTEGER PRIMARY KEY is NULL.
                    A::Literal(ast::Literal::Null)
                        if self.lite && relation.rowid_alias == Some(*index) =>
                    {
                        None
                    }
                    _ => {
                        self.alone = alone && is_unconditional(value);
                        let expr = self.at_place(Place::Values, |a| a.value_for(value, column.ty));
                        self.alone = false;
                        Some(self.assign(expr?, column)?)
                    }
                });
            }
            values.push(done);
        }
        if default_values {
            values.push(Vec::new());
        }
        for (slot, index) in given.iter().enumerate() {
            let column = &relation.columns[*index];
            let written = values.iter().any(|row| row[slot].is_some());
            check_generated(column, written, insert.overriding)?;
        }
        let replaced = |column: &Column| {
            insert.overriding == Some(Overriding::User) && column.identity.is_some()
        };
        let mut defaults = Defaults::new();
        let filled = self.filled_columns(relation, &given, &mut defaults)?;
        let columns: Vec<usize> = given
            .iter()
            .copied()
            .filter(|i| relation.columns[*i].generated.is_none())
            .filter(|i| {
                let slot = given.iter().position(|g| g == i).unwrap_or(0);
                let column = &relation.columns[*i];
                // Left out when SQLite's own default applies to every row.
                values.iter().any(|row| row[slot].is_some())
                    || has_default(column)
                    || (column.sqlite_default.is_none() && column.default.is_none())
            })
            .chain(filled)
            .collect();
        let mut done = Vec::with_capacity(values.len());
        for mut row in values {
            let mut out = Vec::with_capacity(columns.len());
            for index in &columns {
                let column = &relation.columns[*index];
                let slot = given.iter().position(|g| g == index);
                let value = slot.and_then(|s| row.get_mut(s)).and_then(Option::take);
                out.push(match value {
                    Some(value) if !replaced(column) => value,
                    _ if column.sqlite_default.is_some() => {
                        return Err(Error::unsupported(format!(
                            "DEFAULT beside values for column \"{}\"",
                            column.name
                        )));
                    }
                    _ => self.column_default(relation, *index, &mut defaults)?,
                });
            }
            done.push(out);
        }
        Ok((to_numbers(&columns), InsertSource::Values(done)))
    }

    /// Columns without a value that have a default of their own.
    fn filled_columns(
        &self,
        relation: &Relation,
        given: &[usize],
        _defaults: &mut Defaults,
    ) -> Result<Vec<usize>> {
        Ok((0..relation.columns.len())
            .filter(|i| !given.contains(i))
            .filter(|i| must_fill(relation, *i))
            .collect())
    }

    fn insert_query(
        &mut self,
        insert: &ast::Insert,
        relation: &Arc<Relation>,
        named: Option<Vec<usize>>,
        select: &ast::Select,
    ) -> Result<(Vec<u32>, InsertSource)> {
        let mut query = self.query(select, false)?;
        let rel = self.new_rel();
        let width = query.columns.len();
        let pos_of = |query: &Query, i: usize| match &query.body {
            Body::Select(s) => s.targets.get(i).map_or(0, |e| e.pos),
            _ => 0,
        };
        let beyond = named.as_ref().map_or(relation.columns.len(), Vec::len);
        let extra = pos_of(&query, beyond);
        let short = insert.column_positions.get(width).copied().unwrap_or(0);
        let given = self.given_columns(relation, named, width, short, extra)?;
        let mut defaults = Defaults::new();
        let (mut columns, mut exprs) = (Vec::new(), Vec::new());
        for (slot, index) in given.iter().enumerate() {
            let column = &relation.columns[*index];
            check_generated(column, true, insert.overriding)?;
            self.settle_source(&mut query, slot, column)?;
            if insert.overriding == Some(Overriding::User) && column.identity.is_some() {
                continue;
            }
            let number = u32::try_from(slot).unwrap_or(u32::MAX);
            let pos = pos_of(&query, slot);
            let ty = query.columns[slot].ty;
            let expr = Expr { kind: ExprKind::Column(rel, number), ty, pos };
            exprs.push(self.assign(expr, column)?);
            columns.push(*index);
        }
        // Defaults are taken for each row of the query.
        let before = std::mem::replace(&mut self.level().per_row, true);
        for index in 0..relation.columns.len() {
            if !columns.contains(&index) && must_fill(relation, index) {
                exprs.push(self.column_default(relation, index, &mut defaults)?);
                columns.push(index);
            }
        }
        self.level().per_row = before;
        let query = Box::new(query);
        Ok((to_numbers(&columns), InsertSource::Query { rel, query, exprs }))
    }

    /// Output literals and parameters without a type take the column's.
    fn settle_source(&mut self, query: &mut Query, slot: usize, column: &Column) -> Result<()> {
        if query.columns[slot].ty.oid != oid::UNKNOWN {
            return Ok(());
        }
        if let Body::Select(select) = &mut query.body {
            let expr = select.targets[slot].clone();
            let done = if select.distinct.is_some() {
                self.settle(expr)?
            } else {
                self.assign(expr, column)?
            };
            query.columns[slot].ty = done.ty;
            select.targets[slot] = done;
        }
        Ok(())
    }

    /// Casts a value to its column: 42804 with PostgreSQL's hint when there is no such cast.
    pub(super) fn assign(&mut self, expr: Expr, column: &Column) -> Result<Expr> {
        match self.domain_of(column)? {
            Some(domain) => {
                let expr = self.told(expr, &domain)?;
                let value = self.assign_plainly(expr, column)?;
                self.in_domain(value, &domain)
            }
            None => self.assign_plainly(expr, column),
        }
    }

    fn assign_plainly(&mut self, expr: Expr, column: &Column) -> Result<Expr> {
        if self.lite {
            return self.lite_assign(expr, column);
        }
        let (from, pos) = (expr.ty.oid, location(&expr));
        if let Some(row) = self.row_as(&expr, column.ty, Context::Assignment, pos)? {
            return Ok(row);
        }
        match self.coerce_to(expr, column.ty, Context::Assignment)? {
            Some(done) => Ok(done),
            None => {
                let message = format!(
                    "column \"{}\" is of type {} but expression is of type {}",
                    column.name,
                    sql_name(column.ty.oid),
                    sql_name(from)
                );
                Err(errors::client(state::DATATYPE_MISMATCH, pos, message)
                    .hint("You will need to rewrite or cast the expression."))
            }
        }
    }

    /// The value of a column that was given none.
    pub(super) fn column_default(
        &mut self,
        relation: &Relation,
        index: usize,
        defaults: &mut Defaults,
    ) -> Result<Expr> {
        let column = &relation.columns[index];
        let domain = self.domain_of(column)?;
        let of_domain = domain.as_ref().and_then(|d| d.default.as_ref());
        let value = match (&column.sequence, column.default.as_ref().or(of_domain)) {
            (Some(sequence), None) => self.next_value(sequence, 0)?,
            (Some(sequence), Some(text)) if text.starts_with("nextval(") => {
                self.next_value(sequence, 0)?
            }
            (_, Some(text)) => {
                let tree = match defaults.get(&index) {
                    Some(tree) => tree.clone(),
                    None => {
                        let tree = super::parse_expression(text)?;
                        defaults.insert(index, tree.clone());
                        tree
                    }
                };
                self.stored_default(&tree)?
            }
            (None, None) => self.literal(&ast::Literal::Null, 0)?,
        };
        self.in_postgres(|a| a.assign(value, column))
    }

    /// A default sees no names of the statement, and its positions mean nothing to the client.
    fn stored_default(&mut self, tree: &ast::Expr) -> Result<Expr> {
        let per_row = self.level().per_row;
        let level = super::scope::Level { sealed: true, per_row, ..Default::default() };
        self.levels.push(level);
        let height = self.levels.len();
        let result = self.in_stored(|a| a.in_postgres(|a| a.expr(tree)));
        self.levels.truncate(height - 1);
        result
    }
}

/// Whether a column that is not given gets a value from us.
fn has_default(column: &Column) -> bool {
    column.generated.is_none()
        && (column.sequence.is_some() || column.default.is_some() || column.domain.is_some())
}

/// Whether a column that is not given must stand in the statement: it has a default, or
/// SQLite would number it where PostgreSQL has NULL.
fn must_fill(relation: &Relation, index: usize) -> bool {
    let column = &relation.columns[index];
    has_default(column) || (relation.rowid_alias == Some(index) && column.generated.is_none())
}

/// VALUES and nothing else.
fn plain_values(select: &ast::Select) -> bool {
    select.with.is_none()
        && select.order_by.is_empty()
        && select.limit.is_none()
        && select.offset.is_none()
        && !select.with_ties
}

/// 428C9 for values written into columns that generate theirs.
fn check_generated(column: &Column, written: bool, overriding: Option<Overriding>) -> Result<()> {
    if !written {
        return Ok(());
    }
    let refuse = |detail: String| {
        let message = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
        Error::client(state::GENERATED_ALWAYS, message).detail(detail)
    };
    if column.generated.is_some() {
        return Err(refuse(format!("Column \"{}\" is a generated column.", column.name)));
    }
    if column.identity == Some(Identity::Always) && overriding.is_none() {
        let detail = format!(
            "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
            column.name
        );
        return Err(refuse(detail).hint("Use OVERRIDING SYSTEM VALUE to override."));
    }
    Ok(())
}

fn to_numbers(indexes: &[usize]) -> Vec<u32> {
    indexes.iter().map(|i| u32::try_from(*i).unwrap_or(u32::MAX)).collect()
}
