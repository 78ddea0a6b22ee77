//! Functions in FROM.
//!
//! Owns the columns they show: OUT parameters, a scalar under its alias, column definition
//! lists, WITH ORDINALITY. Start at [`Analyzer::table_function`].

use super::from::{Made, apply_column_aliases, output_item};
use super::scope::Place;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, TypeName};
use crate::sql::ir::{Call, CallKind, Expr, From, Output, Query, Select};
use crate::sql::types;
use crate::value::{Type, oid};

impl Analyzer<'_> {
    pub(super) fn table_function(
        &mut self,
        call: &ast::Expr,
        alias: Option<&ast::Alias>,
        ordinality: bool,
        definitions: &[(String, TypeName)],
    ) -> Result<Made> {
        // Functions in FROM may always look at the items before them.
        let lateral = std::mem::replace(&mut self.level().lateral, true);
        let result = self.at_place(Place::FromFunction, |a| {
            a.function_item(call, alias, ordinality, definitions)
        });
        self.level().lateral = lateral;
        result
    }

    fn function_item(
        &mut self,
        expr: &ast::Expr,
        alias: Option<&ast::Alias>,
        ordinality: bool,
        definitions: &[(String, TypeName)],
    ) -> Result<Made> {
        if self.lite {
            return self.lite_table_function(expr, alias);
        }
        let pos = expr.pos;
        if let ast::ExprKind::Row(calls) = &expr.kind {
            return self.rows_from(calls, alias, ordinality, pos);
        }
        let name = super::names::column_name(expr);
        let ast::ExprKind::Call(call) = &expr.kind else {
            let value = self.expr(expr)?;
            return self.scalar_item(value, &name, alias, ordinality, pos);
        };
        let own = self.own_functions(&call.name);
        if !own.is_empty() {
            if !definitions.is_empty() {
                let what = "a column definition list of a function of a client";
                return Err(Error::unsupported(what).at(pos));
            }
            return self.own_item(call, &own, alias, ordinality, pos);
        }
        let mut args = Vec::with_capacity(call.args.len());
        for (_, arg) in &call.args {
            args.push(self.expr(arg)?);
        }
        if call.name.name == "unnest" && args.len() > 1 {
            return self.unnest_several(args, alias, ordinality, pos);
        }
        let resolved = self.resolve_call(call, args, pos)?;
        if matches!(resolved.proc.kind, b'a' | b'w') {
            let message = "aggregate functions are not allowed in functions in FROM";
            return Err(errors::client(state::GROUPING_ERROR, pos, message));
        }
        let outputs = resolved.outputs();
        let composite = outputs.len() > 1 || resolved.result == oid::RECORD;
        if !resolved.proc.returns_set && !composite {
            let value = self.finish_scalar(resolved, pos)?;
            return self.scalar_item(value, &name, alias, ordinality, pos);
        }
        if super::freeze::is_system(resolved.proc) {
            self.system = true;
        }
        let mut columns: Vec<Output> = Vec::new();
        if !definitions.is_empty() {
            if resolved.result != oid::RECORD || !outputs.is_empty() {
                let message = "a column definition list is only allowed for functions returning \
                               \"record\"";
                return Err(errors::syntax(pos, message));
            }
            for (name, ty) in definitions {
                let ty = self.type_name(ty)?;
                columns.push(Output { name: name.clone(), ty, origin: (0, 0) });
            }
        } else if composite {
            if outputs.is_empty() {
                let message =
                    "a column definition list is required for functions returning \"record\"";
                return Err(errors::syntax(pos, message));
            }
            for (name, ty) in &outputs {
                let name = (*name).to_owned();
                columns.push(Output { name, ty: Type::new(*ty), origin: (0, 0) });
            }
        } else {
            let own = outputs.first().map(|(n, _)| *n).filter(|n| !n.is_empty());
            let name = match (own, alias) {
                (Some(own), _) => own.to_owned(),
                (None, Some(alias)) => alias.name.clone(),
                (None, None) => name.clone(),
            };
            columns.push(Output { name, ty: Type::new(resolved.result), origin: (0, 0) });
        }
        if ordinality {
            let name = "ordinality".to_owned();
            columns.push(Output { name, ty: Type::new(oid::INT8), origin: (0, 0) });
        }
        let rel = self.new_rel();
        let shown = alias.map_or(name, |a| a.name.clone());
        let mut item = output_item(rel, shown.clone(), &columns);
        item.scalar = !composite && columns.len() == 1;
        apply_column_aliases(&mut item, alias, pos)?;
        for (output, column) in columns.iter_mut().zip(&item.columns) {
            output.name.clone_from(&column.name);
        }
        let call = Call {
            name: resolved.proc.name.to_owned(),
            oid: resolved.proc.oid,
            kind: CallKind::SetReturning,
            args: resolved.args,
            ..Call::default()
        };
        let from = From::Function { rel, call, alias: shown, columns, ordinality, lateral: true };
        Ok(Made { from, items: vec![item] })
    }

    /// `unnest(a, b, …)`: the arrays side by side, shorter ones padded with NULL. One call of
    /// several arguments in the typed tree.
    fn unnest_several(
        &mut self,
        args: Vec<Expr>,
        alias: Option<&ast::Alias>,
        ordinality: bool,
        pos: u32,
    ) -> Result<Made> {
        let name = "unnest".to_owned();
        let mut columns = Vec::with_capacity(args.len());
        for arg in &args {
            let Some(item) = types::element(arg.ty.oid) else {
                let shown = errors::signature("unnest", &[], &[arg.ty.oid]);
                return Err(errors::undefined_function(&shown, pos));
            };
            columns.push(Output { name: name.clone(), ty: Type::new(item), origin: (0, 0) });
        }
        self.side_by_side(args, columns, &name, alias, ordinality, pos)
    }

    /// `ROWS FROM (f(…), g(…))`: the sets side by side, shorter ones padded with NULL.
    fn rows_from(
        &mut self,
        calls: &[ast::Expr],
        alias: Option<&ast::Alias>,
        ordinality: bool,
        pos: u32,
    ) -> Result<Made> {
        let mut arrays = Vec::with_capacity(calls.len());
        let mut columns = Vec::with_capacity(calls.len());
        for written in calls {
            let name = super::names::column_name(written);
            let ast::ExprKind::Call(call) = &written.kind else {
                return Err(Error::unsupported("this item of ROWS FROM").at(written.pos));
            };
            if !self.own_functions(&call.name).is_empty() {
                return Err(Error::unsupported("this item of ROWS FROM").at(written.pos));
            }
            let mut args = Vec::with_capacity(call.args.len());
            for (_, arg) in &call.args {
                args.push(self.expr(arg)?);
            }
            let resolved = self.resolve_call(call, args, written.pos)?;
            if !resolved.proc.returns_set || resolved.proc.outputs().len() > 1 {
                return Err(Error::unsupported("this item of ROWS FROM").at(written.pos));
            }
            let ty = Type::new(resolved.result);
            let set = Call {
                name: resolved.proc.name.to_owned(),
                oid: resolved.proc.oid,
                kind: CallKind::SetReturning,
                args: resolved.args,
                ..Call::default()
            };
            arrays.push(self.as_array(set, ty)?);
            columns.push(Output { name, ty, origin: (0, 0) });
        }
        let name = columns.first().map_or_else(String::new, |c| c.name.clone());
        self.side_by_side(arrays, columns, &name, alias, ordinality, pos)
    }

    /// Arrays as the columns of one item.
    pub(super) fn side_by_side(
        &mut self,
        args: Vec<Expr>,
        mut columns: Vec<Output>,
        name: &str,
        alias: Option<&ast::Alias>,
        ordinality: bool,
        pos: u32,
    ) -> Result<Made> {
        if ordinality {
            let name = "ordinality".to_owned();
            columns.push(Output { name, ty: Type::new(oid::INT8), origin: (0, 0) });
        }
        let rel = self.new_rel();
        let shown = alias.map_or_else(|| name.to_owned(), |a| a.name.clone());
        let mut item = output_item(rel, shown.clone(), &columns);
        apply_column_aliases(&mut item, alias, pos)?;
        for (output, column) in columns.iter_mut().zip(&item.columns) {
            output.name.clone_from(&column.name);
        }
        let call = super::sets::unnest_call(args);
        let from = From::Function { rel, call, alias: shown, columns, ordinality, lateral: true };
        Ok(Made { from, items: vec![item] })
    }

    /// A function with one value: a subquery of one row.
    fn scalar_item(
        &mut self,
        value: Expr,
        name: &str,
        alias: Option<&ast::Alias>,
        ordinality: bool,
        pos: u32,
    ) -> Result<Made> {
        let value = self.settle(value)?;
        let name = alias.map_or_else(|| name.to_owned(), |a| a.name.clone());
        let mut columns = vec![Output { name: name.clone(), ty: value.ty, origin: (0, 0) }];
        let mut targets = vec![value];
        if ordinality {
            targets.push(self.literal(&ast::Literal::Integer(1), pos)?);
            let ty = Type::new(oid::INT8);
            if let Some(last) = targets.last_mut() {
                last.ty = ty;
            }
            columns.push(Output { name: "ordinality".to_owned(), ty, origin: (0, 0) });
        }
        let scalar = columns.len() == 1;
        let query = Query::of(Select { targets, ..Select::default() }, columns);
        let rel = self.new_rel();
        let plain = ast::Alias { name, columns: Vec::new() };
        let mut made = self.subquery_item(rel, query, alias.unwrap_or(&plain), true, pos)?;
        if let Some(item) = made.items.last_mut() {
            item.scalar = scalar;
        }
        Ok(made)
    }
}
