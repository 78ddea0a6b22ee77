//! Set-returning functions in the select list.
//!
//! Owns their lowering to LATERAL items of FROM: one call as it stands, several side by side
//! (PostgreSQL steps them together and pads the shorter ones). Sets beside aggregates are
//! 0A000. Start at [`Analyzer::spread_sets`].

use super::target::Entry;
use super::walk::visit;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ir::{
    ArrayPart, Call, CallKind, Expr, ExprKind, From, Output, Query, Select, Sort,
};
use crate::sql::types::{array_of, tables};
use crate::value::{Type, oid};

impl Analyzer<'_> {
    /// Moves the sets of a select list into FROM.
    pub(super) fn spread_sets(
        &mut self,
        entries: &mut [Entry],
        order_by: &[Sort],
        from: &mut Vec<From>,
        grouped: bool,
    ) -> Result<()> {
        if self.level().sets == 0 {
            return Ok(());
        }
        if grouped || self.level().windows_used {
            return Err(Error::unsupported("a set beside aggregates in the select list"));
        }
        let rel = self.new_rel();
        let mut calls: Vec<(Call, Type)> = Vec::new();
        for entry in entries.iter_mut() {
            take_sets(&mut entry.expr, rel, &mut calls);
        }
        let rest = entries.iter().map(|e| &e.expr).chain(order_by.iter().map(|s| &s.expr));
        for expr in rest {
            refuse_sets(expr)?;
        }
        for arg in calls.iter().flat_map(|(call, _)| &call.args) {
            refuse_sets(arg)?;
        }
        let mut columns: Vec<Output> = calls
            .iter()
            .map(|(call, ty)| Output { name: call.name.clone(), ty: *ty, origin: (0, 0) })
            .collect();
        let call = if calls.len() == 1 {
            let Some((call, ty)) = calls.pop() else { return Ok(()) };
            if let Some(fields) = self.fields_of(ty).filter(|_| ty.oid == oid::RECORD) {
                let row = row_of(rel, &fields, ty);
                for entry in entries.iter_mut() {
                    put_row(&mut entry.expr, rel, &row);
                }
                columns = row_columns(fields);
            }
            call
        } else {
            let arrays: Result<Vec<Expr>> =
                calls.into_iter().map(|(call, ty)| self.as_array(call, ty)).collect();
            unnest_call(arrays?)
        };
        let alias = call.name.clone();
        from.push(From::Function { rel, call, alias, columns, ordinality: false, lateral: true });
        Ok(())
    }

    /// A set as an array: ARRAY(SELECT … FROM call), or the array it unnests.
    pub(super) fn as_array(&mut self, mut call: Call, ty: Type) -> Result<Expr> {
        if call.name == "unnest"
            && call.args.len() == 1
            && let Some(array) = call.args.pop()
        {
            return Ok(array);
        }
        let array = array_of(ty.oid).ok_or_else(|| Error::unsupported("this set of values"))?;
        let rel = self.new_rel();
        let column = Output { name: call.name.clone(), ty, origin: (0, 0) };
        let (columns, target) = match self.fields_of(ty).filter(|_| ty.oid == oid::RECORD) {
            Some(fields) => {
                let row = row_of(rel, &fields, ty);
                (row_columns(fields), row)
            }
            None => {
                let target = Expr { kind: ExprKind::Column(rel, 0), ty, pos: 0 };
                (vec![column.clone()], target)
            }
        };
        let from = From::Function {
            rel,
            alias: call.name.clone(),
            call,
            columns,
            ordinality: false,
            lateral: true,
        };
        let select = Select { targets: vec![target], from: vec![from], ..Select::default() };
        let query = Query::of(select, vec![column]);
        let kind = ExprKind::ArraySubquery(Box::new(query));
        Ok(Expr { kind, ty: Type::new(array), pos: 0 })
    }
}

/// The columns of a function whose rows have several.
fn row_columns(fields: Vec<(String, Type)>) -> Vec<Output> {
    fields.into_iter().map(|(name, ty)| Output { name, ty, origin: (0, 0) }).collect()
}

/// The row of a relation's columns.
fn row_of(rel: u32, fields: &[(String, Type)], ty: Type) -> Expr {
    let columns = (0..).zip(fields).map(|(index, (name, ty))| {
        (name.clone(), Expr { kind: ExprKind::Column(rel, index), ty: *ty, pos: 0 })
    });
    Expr { kind: ExprKind::Record(columns.collect(), None), ty, pos: 0 }
}

/// Puts a row where its set stood; a field of it is that column.
fn put_row(expr: &mut Expr, rel: u32, row: &Expr) {
    if expr.kind == ExprKind::Column(rel, 0) {
        *expr = row.clone();
        return;
    }
    if let ExprKind::ArrayPart(ArrayPart::Field(index), items) = &mut expr.kind {
        items.iter_mut().for_each(|e| put_row(e, rel, row));
        let place = usize::try_from(*index).unwrap_or(usize::MAX);
        if let [Expr { kind: ExprKind::Record(fields, _), .. }] = items.as_slice()
            && let Some((_, field)) = fields.get(place)
        {
            *expr = field.clone();
        }
        return;
    }
    expr.children_mut(&mut |e| put_row(e, rel, row));
}

/// A call of unnest over one or more arrays.
pub(super) fn unnest_call(args: Vec<Expr>) -> Call {
    let oid = tables().procs("unnest").iter().find(|p| p.result == crate::value::oid::ANYELEMENT);
    Call {
        name: "unnest".to_owned(),
        oid: oid.map_or(0, |p| p.oid),
        kind: CallKind::SetReturning,
        args,
        ..Call::default()
    }
}

/// Replaces sets by columns of `rel`; leaves those in CASE and the like, and nested ones.
fn take_sets(expr: &mut Expr, rel: u32, calls: &mut Vec<(Call, Type)>) {
    match &mut expr.kind {
        ExprKind::Call(call) if call.kind == CallKind::SetReturning => {
            let index = u32::try_from(calls.len()).unwrap_or(u32::MAX);
            let call = std::mem::take(call.as_mut());
            calls.push((call, expr.ty));
            expr.kind = ExprKind::Column(rel, index);
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(|e| take_sets(e, rel, calls)),
        ExprKind::Op(op) => {
            op.left.iter_mut().for_each(|e| take_sets(e, rel, calls));
            take_sets(&mut op.right, rel, calls);
        }
        ExprKind::Cast(inner, _)
        | ExprKind::Collate(inner, _)
        | ExprKind::Not(inner)
        | ExprKind::IsNull(inner, _) => take_sets(inner, rel, calls),
        ExprKind::Array(list) | ExprKind::ArrayPart(_, list) => {
            list.iter_mut().for_each(|e| take_sets(e, rel, calls));
        }
        _ => {}
    }
}

fn refuse_sets(expr: &Expr) -> Result<()> {
    let mut found: Option<u32> = None;
    visit(expr, &mut |e| {
        if let ExprKind::Call(call) = &e.kind
            && call.kind == CallKind::SetReturning
        {
            found = Some(e.pos);
        }
        found.is_none()
    });
    match found {
        Some(pos) => {
            let message = "set-returning functions are not allowed in this expression";
            Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message))
        }
        None => Ok(()),
    }
}
