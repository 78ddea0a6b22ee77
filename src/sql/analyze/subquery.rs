//! Subqueries in expressions.
//!
//! Owns scalar subqueries, EXISTS, IN and ANY over a query, ARRAY(…). Start at
//! [`Analyzer::subquery_compare`].

use super::operator::comparison_of;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast;
use crate::sql::ir::{Expr, ExprKind, From, Output, Query, Select};
use crate::sql::types;
use crate::value::{Type, oid};

const BOOL: Type = Type::new(oid::BOOL);

impl Analyzer<'_> {
    /// A query inside an expression; FROM items under construction are not visible to it
    /// beyond what the expression itself sees.
    fn inner_query(&mut self, query: &ast::Select) -> Result<Query> {
        self.nested(|a| a.query(query, true))
    }

    pub(super) fn scalar_subquery(&mut self, query: &ast::Select, pos: u32) -> Result<Expr> {
        let query = self.inner_query(query)?;
        let [column] = query.columns.as_slice() else {
            return Err(errors::syntax(pos, "subquery must return only one column"));
        };
        let ty = column.ty;
        Ok(Expr { kind: ExprKind::Subquery(Box::new(query)), ty, pos })
    }

    pub(super) fn exists(&mut self, query: &ast::Select, pos: u32) -> Result<Expr> {
        let query = self.inner_query(query)?;
        Ok(Expr { kind: ExprKind::Exists(Box::new(query)), ty: BOOL, pos })
    }

    pub(super) fn array_subquery(&mut self, query: &ast::Select, pos: u32) -> Result<Expr> {
        let query = self.inner_query(query)?;
        let [column] = query.columns.as_slice() else {
            return Err(errors::syntax(pos, "subquery must return only one column"));
        };
        if types::element(column.ty.oid).is_some() {
            return Err(Error::unsupported("a multidimensional array").at(pos));
        }
        let array = types::array_of(column.ty.oid).ok_or_else(|| {
            let name = types::sql_name(column.ty.oid);
            let message = format!("could not find array type for data type {name}");
            errors::client(state::UNDEFINED_OBJECT, pos, message)
        })?;
        let ty = Type::with_typmod(array, column.ty.typmod);
        Ok(Expr { kind: ExprKind::ArraySubquery(Box::new(query)), ty, pos })
    }

    /// (a, b) op (SELECT x, y …): NULL where the query has no row. The comparison is made
    /// inside of a scalar subquery over it.
    pub(super) fn row_with_query(
        &mut self,
        left: &[ast::Expr],
        name: &str,
        query: &ast::Select,
        pos: u32,
    ) -> Result<Expr> {
        let lefts: Vec<Expr> = left.iter().map(|e| self.expr(e)).collect::<Result<_>>()?;
        let query = self.inner_query(query)?;
        let few_or_many = match query.columns.len() {
            n if n < lefts.len() => "subquery has too few columns",
            n if n > lefts.len() => "subquery has too many columns",
            _ => "",
        };
        if !few_or_many.is_empty() {
            return Err(errors::syntax(pos, few_or_many));
        }
        let op = comparison_of(name).filter(|_| !name.contains('~'));
        let op =
            op.ok_or_else(|| Error::unsupported(format!("operator {name} of rows")).at(pos))?;
        let rel = self.new_rel();
        let (mut row, mut other) = (Vec::new(), Vec::new());
        for (i, left) in lefts.into_iter().enumerate() {
            let index = u32::try_from(i).unwrap_or(u32::MAX);
            let right = Expr { kind: ExprKind::Column(rel, index), ty: query.columns[i].ty, pos };
            let (left, right) = self.comparison(name, left, right, pos)?;
            row.push(left);
            other.push(right);
        }
        let compared = Expr { kind: ExprKind::RowCompare(row, op, other), ty: BOOL, pos };
        let columns = query.columns.clone();
        let from = From::Subquery {
            rel,
            query: Box::new(query),
            alias: "subquery".to_owned(),
            columns,
            lateral: false,
        };
        let select = Select { targets: vec![compared], from: vec![from], ..Select::default() };
        let output = Output { name: "compared".to_owned(), ty: BOOL, origin: (0, 0) };
        let whole = Query::of(select, vec![output]);
        Ok(Expr { kind: ExprKind::Subquery(Box::new(whole)), ty: BOOL, pos })
    }

    /// expr op ANY|ALL (SELECT …); both sides are cast to what the operator compares.
    pub(super) fn subquery_compare(
        &mut self,
        left: &ast::Expr,
        name: &str,
        query: &ast::Select,
        all: bool,
        pos: u32,
    ) -> Result<Expr> {
        let lefts: Vec<Expr> = match &left.kind {
            ast::ExprKind::Row(items) => {
                items.iter().map(|e| self.expr(e)).collect::<Result<_>>()?
            }
            _ => vec![self.expr(left)?],
        };
        let query = self.inner_query(query)?;
        if query.columns.len() < lefts.len() {
            return Err(errors::syntax(pos, "subquery has too few columns"));
        }
        if query.columns.len() > lefts.len() {
            return Err(errors::syntax(pos, "subquery has too many columns"));
        }
        let op = comparison_of(name)
            .ok_or_else(|| Error::unsupported(format!("operator {name} ANY or ALL")).at(pos))?;
        let (mut row, mut targets) = (Vec::new(), Vec::new());
        for (i, left) in lefts.into_iter().enumerate() {
            let index = u32::try_from(i).unwrap_or(u32::MAX);
            let ty = query.columns[i].ty;
            let right = Expr { kind: ExprKind::OutputColumn(index), ty, pos };
            let (left, right) = self.comparison(name, left, right, pos)?;
            row.push(left);
            targets.push(right.ty);
        }
        let query = Box::new(self.cast_outputs(query, &targets)?);
        let kind = ExprKind::SubqueryCompare { row, op, query, all };
        Ok(Expr { kind, ty: BOOL, pos })
    }
}
