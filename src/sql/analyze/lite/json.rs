//! Functions in FROM: `json_each`, and `pragma_table_info` and its kin.

use super::super::from::{Made, apply_column_aliases, output_item};
use super::Analyzer;
use super::kind::ANY;
use crate::error::{Error, Result, state};
use crate::sql::ast;
use crate::sql::ir::{Call, CallKind, Expr, ExprKind, From, Output};
use crate::sql::lite;
use crate::value::{Cell, Type, oid};

impl Analyzer<'_> {
    pub(in super::super) fn lite_table_function(
        &mut self,
        expr: &ast::Expr,
        alias: Option<&ast::Alias>,
    ) -> Result<Made> {
        let ast::ExprKind::Call(call) = &expr.kind else {
            return Err(Error::internal("a function in FROM is no call"));
        };
        let name = call.name.name.as_str();
        let mut args = Vec::with_capacity(call.args.len());
        for (_, arg) in &call.args {
            args.push(self.expr(arg)?);
        }
        if let [Expr { kind: ExprKind::Const(Cell::Text(argument)), .. }] = args.as_slice()
            && let Some(query) = lite::table_function(name, argument)
        {
            return self.schema_item(&query, name, alias);
        }
        if name != "json_each" || args.is_empty() || args.len() > 2 {
            let message = format!("no such table-valued function: {name}");
            return Err(Error::client(state::UNDEFINED_FUNCTION, message));
        }
        let args =
            args.into_iter().map(|a| self.as_pattern_operand(a)).collect::<Result<Vec<_>>>()?;
        let text = Type::new(oid::TEXT);
        let columns: Vec<Output> = [("key", ANY), ("value", ANY), ("type", text), ("atom", ANY)]
            .into_iter()
            .map(|(name, ty)| Output { name: name.to_owned(), ty, origin: (0, 0) })
            .collect();
        let rel = self.new_rel();
        let shown = alias.map_or_else(|| name.to_owned(), |a| a.name.clone());
        let mut item = output_item(rel, shown.clone(), &columns);
        apply_column_aliases(&mut item, alias, 0)?;
        let call = Call {
            name: name.to_owned(),
            kind: CallKind::SetReturning,
            args,
            lite: true,
            ..Call::default()
        };
        let from =
            From::Function { rel, call, alias: shown, columns, ordinality: false, lateral: true };
        Ok(Made { from, items: vec![item] })
    }
}
