//! UPDATE, and SET lists (also those of ON CONFLICT DO UPDATE).
//!
//! Owns assignment casts and DEFAULT in SET. Start at [`Analyzer::update`].

use std::collections::HashMap;

use super::from::relation_item;
use super::scope::Place;
use super::walk::location;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::{Column, Identity, Relation};
use crate::sql::ast::{self, ExprKind as A};
use crate::sql::ir::{ArrayPart, Expr, ExprKind, Query, Table, Update};
use crate::sql::types::coerce::Context;
use crate::sql::types::sql_name;
use crate::value::{Type, is_composite, oid};

/// Single assignments, and those of a whole row from a subquery.
pub(super) type Assigned = (Vec<(u32, Expr)>, Vec<(Vec<u32>, Query)>);

impl Analyzer<'_> {
    pub(super) fn update(&mut self, update: &ast::Update) -> Result<Update> {
        self.push_level();
        let ctes = match &update.with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        let spelled = self.lite.then(|| self.lite_table(&update.table));
        let table = spelled.as_ref().unwrap_or(&update.table);
        let relation = self.target_relation(table, "update")?;
        let rel = self.new_rel();
        let alias = update.alias.clone().map(|name| ast::Alias { name, columns: Vec::new() });
        let mut item = relation_item(rel, &relation, alias.as_ref());
        item.lateral_only = true;
        item.lateral_ok = false;
        item.target = true;
        self.level().items.push(item);
        let from = self.make_from(&update.from)?;
        self.level().per_row = true;
        // PostgreSQL looks at WHERE and RETURNING before SET: parameter types depend on it.
        let filter = match &update.filter {
            Some(e) => Some(self.at_place(Place::Where, |a| a.condition(e, "WHERE"))?),
            None => None,
        };
        let (returning, outputs) = self.returning(&update.returning)?;
        let (assignments, row_assignments) = self.assignments(&update.assignments, &relation)?;
        let mut made = Update {
            ctes,
            recursive: update.with.as_ref().is_some_and(|w| w.recursive),
            rel,
            alias: alias.map_or_else(|| relation.bare().to_owned(), |a| a.name),
            table: Table(relation),
            assignments,
            row_assignments,
            from,
            filter,
            returning,
            outputs,
        };
        self.update_triggers(&mut made)?;
        Ok(made)
    }

    /// A SET list.
    pub(super) fn assignments(
        &mut self,
        list: &[ast::Assignment],
        relation: &Relation,
    ) -> Result<Assigned> {
        let (mut single, mut rows): Assigned = (Vec::new(), Vec::new());
        let mut seen: Vec<usize> = Vec::new();
        for assignment in list {
            if let ([name], Some(element)) = (assignment.columns.as_slice(), &assignment.element) {
                let index = relation.column(name).ok_or_else(|| {
                    errors::undefined_column_of(name, &relation.name, assignment.pos)
                })?;
                self.set_element(&mut single, &seen, relation, index, (element, assignment))?;
                continue;
            }
            let mut columns = Vec::with_capacity(assignment.columns.len());
            for name in &assignment.columns {
                let index = self.column_of(relation, name).ok_or_else(|| {
                    errors::undefined_column_of(name, &relation.name, assignment.pos)
                })?;
                if seen.contains(&index) || single.iter().any(|(c, _)| *c == number(index)) {
                    let message = format!("multiple assignments to same column \"{name}\"");
                    return Err(errors::syntax(0, message));
                }
                seen.push(index);
                columns.push(index);
            }
            match (columns.as_slice(), &assignment.value.kind) {
                // A generated column is computed anyway.
                ([column], A::Default) if relation.columns[*column].generated.is_some() => {}
                ([column], kind)
                    if !matches!(kind, A::Row(_))
                        || is_composite(relation.columns[*column].ty.oid) =>
                {
                    let value = self.assigned(&assignment.value, relation, *column)?;
                    single.push((number(*column), value));
                }
                (columns, A::Row(values)) => {
                    if values.len() != columns.len() {
                        let message = "number of columns does not match number of values";
                        return Err(errors::syntax(assignment.value.pos, message));
                    }
                    for (column, value) in columns.iter().zip(values) {
                        let value = self.assigned(value, relation, *column)?;
                        single.push((number(*column), value));
                    }
                }
                (columns, A::Subquery(query)) => {
                    rows.push(self.row_assignment(
                        query,
                        relation,
                        columns,
                        assignment.value.pos,
                    )?);
                }
                _ => {
                    let message = "source for a multiple-column UPDATE item must be a sub-SELECT \
                                   or ROW() expression";
                    let pos = assignment.value.pos;
                    return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
                }
            }
        }
        Ok((single, rows))
    }

    /// `SET a[i] = value`: the whole array with one element replaced; several elements of one
    /// array go on from each other.
    fn set_element(
        &mut self,
        single: &mut Vec<(u32, Expr)>,
        seen: &[usize],
        relation: &Relation,
        index: usize,
        (element, assignment): (&ast::Expr, &ast::Assignment),
    ) -> Result<()> {
        let column = &relation.columns[index];
        let pos = assignment.pos;
        if seen.contains(&index) {
            let message = format!("multiple assignments to same column \"{}\"", column.name);
            return Err(errors::syntax(0, message));
        }
        check_generated(column)?;
        if column.domain.is_some() {
            return Err(Error::unsupported("assignment to an element of a domain").at(pos));
        }
        let Some(item) = crate::sql::types::element(column.ty.oid) else {
            if column.ty.oid == oid::JSONB {
                return Err(Error::unsupported("assignment to a subscript of jsonb").at(pos));
            }
            let name = sql_name(column.ty.oid);
            let message =
                format!("cannot subscript type {name} because it does not support subscripting");
            return Err(errors::client(state::DATATYPE_MISMATCH, pos, message));
        };
        let (subscripts, slice) = self.subscripts(element)?;
        let value = match assignment.value.kind {
            A::Default => {
                let message = "cannot set an array element to DEFAULT";
                return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
            }
            _ => self.at_place(Place::UpdateSource, |a| a.expr(&assignment.value))?,
        };
        let item = if slice.is_some() { column.ty.oid } else { item };
        let target = Type::with_typmod(item, column.ty.typmod);
        let (from, place) = (value.ty.oid, location(&value));
        let value = self.coerce_to(value, target, Context::Assignment)?.ok_or_else(|| {
            let message = format!(
                "subscripted assignment to \"{}\" requires type {} but expression is of type {}",
                column.name,
                sql_name(target.oid),
                sql_name(from)
            );
            errors::client(state::DATATYPE_MISMATCH, place, message)
                .hint("You will need to rewrite or cast the expression.")
        })?;
        let former = single.iter().position(|(c, _)| *c == number(index));
        let whole = match former {
            Some(at) => single.remove(at).1,
            None => {
                let items = &self.level().items;
                let target = items.iter().find(|i| i.target).or(items.first());
                let own = target.and_then(|t| t.columns.get(index)).map(|c| c.expr.clone());
                own.ok_or_else(|| Error::internal("an assignment without its table"))?
            }
        };
        let operands = std::iter::once(whole).chain(subscripts).chain([value]).collect();
        let kind = ExprKind::ArrayPart(slice.unwrap_or(ArrayPart::Set), operands);
        single.push((number(index), Expr { kind, ty: column.ty, pos }));
        Ok(())
    }

    /// The subscript of an assignment, or a slice's bounds and which of them are written.
    fn subscripts(&mut self, element: &ast::Expr) -> Result<(Vec<Expr>, Option<ArrayPart>)> {
        let A::Subscript { lower, upper, slice: true, .. } = &element.kind else {
            let one = self.at_place(Place::UpdateSource, |a| a.array_index(element))?;
            return Ok((vec![one], None));
        };
        let mut bounds = Vec::with_capacity(2);
        for bound in [lower, upper].into_iter().flatten() {
            bounds.push(self.at_place(Place::UpdateSource, |a| a.array_index(bound))?);
        }
        let part = ArrayPart::SetSlice { lower: lower.is_some(), upper: upper.is_some() };
        Ok((bounds, Some(part)))
    }

    fn assigned(&mut self, value: &ast::Expr, relation: &Relation, index: usize) -> Result<Expr> {
        let column = &relation.columns[index];
        if let A::Default = value.kind {
            if column.sqlite_default.is_some() {
                let what = format!("SET \"{}\" = DEFAULT", column.name);
                return Err(Error::unsupported(what).at(value.pos));
            }
            return self.column_default(relation, index, &mut HashMap::new());
        }
        check_generated(column)?;
        let expr = self.at_place(Place::UpdateSource, |a| a.value_for(value, column.ty))?;
        self.assign(expr, column)
    }

    /// SET (a, b) = (SELECT …)
    fn row_assignment(
        &mut self,
        query: &ast::Select,
        relation: &Relation,
        columns: &[usize],
        pos: u32,
    ) -> Result<(Vec<u32>, Query)> {
        if self.lite {
            return Err(Error::unsupported("assigning a row subquery in SQLite's dialect"));
        }
        let query = self.query(query, true)?;
        if query.columns.len() != columns.len() {
            let message = "number of columns does not match number of values";
            return Err(errors::syntax(pos, message));
        }
        let mut types = Vec::with_capacity(columns.len());
        for (slot, (index, output)) in columns.iter().zip(&query.columns).enumerate() {
            let column = &relation.columns[*index];
            check_generated(column)?;
            if column.domain.is_some() {
                return Err(Error::unsupported("assigning a row subquery to a column of a domain"));
            }
            let from = output.ty.oid;
            if crate::sql::types::coerce::pathway(from, column.ty.oid, Context::Assignment)
                .is_none()
            {
                let message = format!(
                    "column \"{}\" is of type {} but expression is of type {}",
                    column.name,
                    sql_name(column.ty.oid),
                    sql_name(from)
                );
                let pos = super::setop::output_pos(&query, slot);
                return Err(errors::client(state::DATATYPE_MISMATCH, pos, message)
                    .hint("You will need to rewrite or cast the expression."));
            }
            types.push(column.ty);
        }
        let query = self.assign_outputs(query, &types)?;
        Ok((columns.iter().map(|c| number(*c)).collect(), query))
    }
}

/// 428C9 for values written into columns that generate theirs.
fn check_generated(column: &Column) -> Result<()> {
    let detail = if column.generated.is_some() {
        format!("Column \"{}\" is a generated column.", column.name)
    } else if column.identity == Some(Identity::Always) {
        format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name)
    } else {
        return Ok(());
    };
    let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
    Err(Error::client(state::GENERATED_ALWAYS, message).detail(detail))
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
