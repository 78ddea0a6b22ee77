//! Row values: comparisons of `(a, b)` with `(c, d)`, and rows as values of their own.
//!
//! Owns the lowering of comparisons to those of the fields, and which fields a row has. Start
//! at [`Analyzer::row_comparison`] and [`Analyzer::fields_of`].

use super::operator::comparison_of;
use super::scope::{Resolved, at};
use super::walk::location;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::RelationKind;
use crate::sql::ast;
use crate::sql::ir::{ArrayPart, Expr, ExprKind};
use crate::sql::types;
use crate::sql::types::coerce::Context;
use crate::value::{Type, is_composite, oid};

const BOOL: Type = Type::new(oid::BOOL);

impl Analyzer<'_> {
    /// (a, b) op (c, d)
    pub(super) fn row_comparison(
        &mut self,
        left: &[ast::Expr],
        name: &str,
        right: &[ast::Expr],
        pos: u32,
    ) -> Result<Expr> {
        let (left, right) = self.row_operands(left, name, right, pos)?;
        let op = comparison_of(name).filter(|_| !name.contains('~')).ok_or_else(|| {
            let message =
                format!("could not determine interpretation of row comparison operator {name}");
            errors::client(state::FEATURE_NOT_SUPPORTED, pos, message)
                .hint("Row comparison operators must be associated with btree operator families.")
        })?;
        Ok(Expr { kind: ExprKind::RowCompare(left, op, right), ty: BOOL, pos })
    }

    /// The fields of both rows, cast to each other's comparison types.
    fn row_operands(
        &mut self,
        left: &[ast::Expr],
        name: &str,
        right: &[ast::Expr],
        pos: u32,
    ) -> Result<(Vec<Expr>, Vec<Expr>)> {
        if left.len() != right.len() {
            return Err(errors::syntax(pos, "unequal number of entries in row expressions"));
        }
        if left.is_empty() {
            let message = "cannot compare rows of zero length";
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
        }
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for (l, r) in left.iter().zip(right) {
            let (l, r) = (self.expr(l)?, self.expr(r)?);
            let (l, r) = self.comparison(name, l, r, pos)?;
            lefts.push(l);
            rights.push(r);
        }
        Ok((lefts, rights))
    }

    /// (a, b) [NOT] IN ((c, d), …)
    pub(super) fn row_in_list(
        &mut self,
        left: &[ast::Expr],
        list: &[ast::Expr],
        not: bool,
        pos: u32,
    ) -> Result<Expr> {
        let name = if not { "<>" } else { "=" };
        let mut parts = Vec::new();
        for item in list {
            let ast::ExprKind::Row(right) = &item.kind else {
                return Err(Error::unsupported("comparing a row with a value").at(item.pos));
            };
            parts.push(self.row_comparison(left, name, right, pos)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let kind = if not { ExprKind::And(parts) } else { ExprKind::Or(parts) };
        Ok(Expr { kind, ty: BOOL, pos })
    }

    /// (a, b) IS [NOT] DISTINCT FROM (c, d)
    pub(super) fn row_distinct(
        &mut self,
        left: &[ast::Expr],
        right: &[ast::Expr],
        not: bool,
        pos: u32,
    ) -> Result<Expr> {
        let (left, right) = self.row_operands(left, "=", right, pos)?;
        let parts: Vec<Expr> = left
            .into_iter()
            .zip(right)
            .map(|(l, r)| {
                let kind = ExprKind::IsDistinct(Box::new(l), Box::new(r), not);
                Expr { kind, ty: BOOL, pos }
            })
            .collect();
        Ok(match <[Expr; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => {
                let kind = if not { ExprKind::And(parts) } else { ExprKind::Or(parts) };
                Expr { kind, ty: BOOL, pos }
            }
        })
    }

    /// A row as an argument of a function: ROW(…), a table's name, `t.*`.
    pub(super) fn record(&mut self, arg: &ast::Expr) -> Result<Option<Expr>> {
        let pos = arg.pos;
        let parts = match &arg.kind {
            ast::ExprKind::Row(items) => {
                let mut fields = Vec::with_capacity(items.len());
                for item in items {
                    let mut values = Vec::new();
                    if let ast::ExprKind::Star(parts) = &item.kind {
                        self.star(parts, item.pos, &mut values)?;
                    }
                    let mut values: Vec<Expr> = values.into_iter().map(|e| e.expr).collect();
                    if values.is_empty() {
                        values.push(self.expr(item)?);
                    }
                    for value in values {
                        let name = format!("f{}", fields.len() + 1);
                        fields.push((name, self.settle(value)?));
                    }
                }
                let ty = self.record_type(fields.iter().map(|(n, e)| (n.clone(), e.ty)).collect());
                return Ok(Some(Expr { kind: ExprKind::Record(fields, None), ty, pos }));
            }
            ast::ExprKind::Star(parts) => parts,
            ast::ExprKind::Column(parts) if self.column(parts, pos).is_err() => parts,
            _ => return Ok(None),
        };
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table.as_str()),
            [schema, table] => (Some(schema.as_str()), table.as_str()),
            _ => return Ok(None),
        };
        let Some(item) = self.find_item(schema, table, pos)? else { return Ok(None) };
        let fields: Vec<(String, Expr)> =
            item.columns.iter().map(|c| (c.name.clone(), at(c.expr.clone(), pos))).collect();
        // An outer join's missing row is NULL itself, which a column that is never NULL tells.
        let certain = item.relation.as_ref().and_then(|(_, r)| {
            r.columns.iter().position(|c| c.not_null).and_then(|i| fields.get(i))
        });
        if certain.is_none() && !item.cols_visible {
            let message = format!("a whole-row reference to \"{table}\" inside a join");
            return Err(Error::unsupported(message).at(pos));
        }
        let exists = certain.map(|(_, e)| Box::new(e.clone())).filter(|_| !item.cols_visible);
        let ty = self.record_type(fields.iter().map(|(n, e)| (n.clone(), e.ty)).collect());
        Ok(Some(Expr { kind: ExprKind::Record(fields, exists), ty, pos }))
    }

    /// The type of rows of these fields.
    pub(super) fn record_type(&mut self, fields: Vec<(String, Type)>) -> Type {
        let place = self.records.iter().position(|known| *known == fields).unwrap_or_else(|| {
            self.records.push(fields);
            self.records.len() - 1
        });
        Type::with_typmod(oid::RECORD, i32::try_from(place).unwrap_or(-1))
    }

    /// Names and types of a row's fields; None when the type does not tell.
    pub(super) fn fields_of(&self, ty: Type) -> Option<Vec<(String, Type)>> {
        if ty.oid == oid::RECORD {
            return self.records.get(usize::try_from(ty.typmod).ok()?).cloned();
        }
        let catalog = self.context.catalog;
        if let Some(made) = catalog.enums.composite(ty.oid) {
            return Some(made.fields.iter().map(|f| (f.name.clone(), f.full_type())).collect());
        }
        let relations = catalog.relations.values().chain(self.context.temporary.values());
        let relation = relations.into_iter().find(|r| r.oid == ty.oid)?;
        Some(relation.columns.iter().map(|c| (c.name.clone(), c.ty)).collect())
    }

    /// What a name means: a column, or else the row of a table of that name.
    pub(super) fn column_or_row(&mut self, parts: &[String], pos: u32) -> Result<Resolved> {
        let missing = match self.column(parts, pos) {
            Err(error)
                if error.sqlstate() == state::UNDEFINED_COLUMN || errors::is_whole_row(&error) =>
            {
                error
            }
            found => return found,
        };
        let written = ast::Expr { kind: ast::ExprKind::Column(parts.to_vec()), pos };
        let Some(mut row) = self.record(&written)? else { return Err(missing) };
        let (schema, table) = match parts {
            [schema, table] => (Some(schema.as_str()), table.as_str()),
            _ => (None, parts.last().map_or("", String::as_str)),
        };
        if let Some(item) = self.find_item(schema, table, pos)?
            && let Some((_, relation)) = &item.relation
        {
            if relation.kind == RelationKind::System {
                return Err(Error::unsupported("a row of a system table as a value").at(pos));
            }
            row.ty = Type::new(relation.oid);
        }
        Ok(Resolved { expr: row, origin: (0, 0) })
    }

    /// `(row).name`
    pub(super) fn row_field(&mut self, row: Expr, name: &str, pos: u32) -> Result<Expr> {
        let place = location(&row);
        if !is_composite(row.ty.oid) {
            let ty = types::sql_name(row.ty.oid);
            let message = format!(
                "column notation .{name} applied to type {ty}, which is not a composite type"
            );
            return Err(errors::client(state::WRONG_OBJECT_TYPE, place, message));
        }
        let fields = self.fields_of(row.ty).unwrap_or_default();
        let Some(index) = fields.iter().position(|(n, _)| n == name) else {
            let message = match row.ty.oid {
                oid::RECORD => {
                    format!("could not identify column \"{name}\" in record data type")
                }
                named => {
                    let ty = types::sql_name(named);
                    format!("column \"{name}\" not found in data type {ty}")
                }
            };
            return Err(errors::client(state::UNDEFINED_COLUMN, place, message));
        };
        let ty = fields[index].1;
        Ok(match row.kind {
            ExprKind::Record(mut list, _) => at(list.swap_remove(index).1, pos),
            _ if matches!(
                ty.oid,
                oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE
            ) =>
            {
                return Err(Error::unsupported("the name of an object in a row").at(pos));
            }
            _ => {
                let part = ArrayPart::Field(u32::try_from(index).unwrap_or(u32::MAX));
                Expr { kind: ExprKind::ArrayPart(part, vec![row]), ty, pos }
            }
        })
    }

    /// `(a, b)::t`: each field as the type asks for it.
    pub(super) fn typed_row(
        &mut self,
        items: &[ast::Expr],
        target: Type,
        context: Context,
        pos: u32,
    ) -> Result<Option<Expr>> {
        if !is_composite(target.oid) || target.oid == oid::RECORD {
            return Ok(None);
        }
        let Some(wanted) = self.fields_of(target) else { return Ok(None) };
        if wanted.len() != items.len() {
            return Err(wrong_width(items.len(), wanted.len(), target.oid, pos));
        }
        let mut done = Vec::with_capacity(items.len());
        for (at, ((name, ty), item)) in wanted.into_iter().zip(items).enumerate() {
            let inner = match &item.kind {
                ast::ExprKind::Row(inner) => self.typed_row(inner, ty, context, item.pos)?,
                _ => None,
            };
            let value = match inner {
                Some(row) => row,
                None => {
                    let value = self.expr(item)?;
                    let from = value.ty.oid;
                    let value = self.coerce_to(value, ty, context)?;
                    value.ok_or_else(|| {
                        let pos = if context == Context::Explicit { pos } else { item.pos };
                        no_field_cast(target.oid, (from, ty.oid), at, pos)
                    })?
                }
            };
            done.push((name, value));
        }
        Ok(Some(Expr { kind: ExprKind::Record(done, None), ty: target, pos }))
    }

    /// A row given the type of another: field by field. None when it is no row as written.
    pub(super) fn row_as(
        &mut self,
        row: &Expr,
        target: Type,
        context: Context,
        pos: u32,
    ) -> Result<Option<Expr>> {
        let ExprKind::Record(fields, exists) = &row.kind else { return Ok(None) };
        if !is_composite(target.oid) || target.oid == oid::RECORD || row.ty.oid == target.oid {
            return Ok(None);
        }
        let Some(wanted) = self.fields_of(target) else { return Ok(None) };
        if wanted.len() != fields.len() {
            return Err(wrong_width(fields.len(), wanted.len(), target.oid, pos));
        }
        let mut done = Vec::with_capacity(wanted.len());
        for (at, ((name, ty), (_, value))) in wanted.into_iter().zip(fields).enumerate() {
            let from = value.ty.oid;
            match self.coerce_to(value.clone(), ty, context)? {
                Some(value) => done.push((name, value)),
                None => return Err(no_field_cast(target.oid, (from, ty.oid), at, pos)),
            }
        }
        let kind = ExprKind::Record(done, exists.clone());
        Ok(Some(Expr { kind, ty: target, pos }))
    }

    /// A value for a column: a row as written takes the column's type field by field.
    pub(super) fn value_for(&mut self, value: &ast::Expr, ty: Type) -> Result<Expr> {
        if let ast::ExprKind::Row(items) = &value.kind
            && let Some(row) = self.typed_row(items, ty, Context::Assignment, value.pos)?
        {
            return Ok(row);
        }
        self.expr(value)
    }

    /// A value of a composite type as its fields, for what wants to know their names.
    pub(super) fn unfolded(&mut self, value: Expr) -> Result<Expr> {
        let named = is_composite(value.ty.oid) && value.ty.oid != oid::RECORD;
        match value.kind {
            ExprKind::Record(fields, exists) => {
                let mut done = Vec::with_capacity(fields.len());
                for (name, field) in fields {
                    done.push((name, self.unfolded(field)?));
                }
                Ok(Expr { kind: ExprKind::Record(done, exists), ..value })
            }
            _ if named => {
                let mut fields = Vec::new();
                for (name, _) in self.fields_of(value.ty).unwrap_or_default() {
                    let field = self.row_field(value.clone(), &name, value.pos)?;
                    fields.push((name, self.unfolded(field)?));
                }
                let pos = value.pos;
                let ty = self.record_type(fields.iter().map(|(n, e)| (n.clone(), e.ty)).collect());
                Ok(Expr { kind: ExprKind::Record(fields, Some(Box::new(value))), ty, pos })
            }
            _ => Ok(value),
        }
    }

    /// row IS [NOT] NULL, of a row as a value.
    pub(super) fn value_is_null(&mut self, row: Expr, not: bool, pos: u32) -> Result<Expr> {
        // The fields of a row that is NULL are NULL.
        let ExprKind::Record(fields, _) = self.unfolded(row)?.kind else {
            return Err(Error::unsupported("IS NULL of this row").at(pos));
        };
        let parts = fields.into_iter().map(|(_, field)| {
            let kind = ExprKind::IsNull(Box::new(field), not);
            Expr { kind, ty: BOOL, pos }
        });
        let parts: Vec<Expr> = parts.collect();
        Ok(match <[Expr; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Expr { kind: ExprKind::And(parts), ty: BOOL, pos },
        })
    }

    /// (a, b) IS [NOT] NULL: all fields are (not) null.
    pub(super) fn row_is_null(&mut self, items: &[ast::Expr], not: bool, pos: u32) -> Result<Expr> {
        let mut parts = Vec::new();
        for item in items {
            let inner = self.expr(item)?;
            let kind = ExprKind::IsNull(Box::new(inner), not);
            parts.push(Expr { kind, ty: BOOL, pos });
        }
        Ok(match <[Expr; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Expr { kind: ExprKind::And(parts), ty: BOOL, pos },
        })
    }
}

/// 42846 for a row with more or fewer fields than its type.
fn wrong_width(given: usize, wanted: usize, target: u32, pos: u32) -> Error {
    let detail = match given < wanted {
        true => "Input has too few columns.",
        false => "Input has too many columns.",
    };
    errors::cannot_cast(oid::RECORD, target, pos).detail(detail)
}

/// A field of a row as written that its type's field cannot take.
fn no_field_cast(target: u32, (from, to): (u32, u32), at: usize, pos: u32) -> Error {
    let detail = format!(
        "Cannot cast type {} to {} in column {}.",
        types::sql_name(from),
        types::sql_name(to),
        at + 1
    );
    errors::cannot_cast(oid::RECORD, target, pos).detail(detail)
}
