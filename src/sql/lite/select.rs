//! Queries: WITH, compound SELECT, FROM, LIMIT.

use sqlite3_parser::ast::{
    As, CompoundOperator, Distinctness, Expr, FromClause, JoinConstraint, JoinOperator, JoinType,
    Limit, Materialized, OneSelect, QualifiedName, ResultColumn, Select, SelectTable, With,
};

use super::expr::{bare, output_name};
use super::{Lower, refused};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, ExprKind, JoinKind, SelectBody, SetOp};
use crate::sql::stored::unquote;

/// PostgreSQL's schema for SQLite's: `main` is what is searched anyway.
pub(super) fn schema(raw: &str) -> Option<String> {
    let name = unquote(raw);
    match name.to_ascii_lowercase().as_str() {
        "main" => None,
        "temp" => Some("pg_temp".to_owned()),
        _ => Some(name),
    }
}

/// A table's name as written.
pub(super) fn name_of(name: &QualifiedName<'_>) -> ast::Name {
    let schema = name.db_name.as_ref().and_then(|n| schema(n.0));
    ast::Name { schema, name: unquote(name.name.0), pos: 0 }
}

fn alias_of(alias: Option<&As<'_>>) -> Option<ast::Alias> {
    alias.map(|a| match a {
        As::As(name) | As::Elided(name) => {
            ast::Alias { name: unquote(name.0), columns: Vec::new() }
        }
    })
}

impl Lower {
    pub(super) fn select(&mut self, select: &Select<'_>) -> Result<ast::Select> {
        let with = select.with.as_ref().map(|w| self.with(w)).transpose()?;
        let mut body = self.one(&select.body.select)?;
        for compound in select.body.compounds.iter().flatten() {
            let (op, all) = match compound.operator {
                CompoundOperator::Union => (SetOp::Union, false),
                CompoundOperator::UnionAll => (SetOp::Union, true),
                CompoundOperator::Except => (SetOp::Except, false),
                CompoundOperator::Intersect => (SetOp::Intersect, false),
            };
            let left = Box::new(ast::Select { body, ..ast::Select::default() });
            let right = self.one(&compound.select)?;
            let right = Box::new(ast::Select { body: right, ..ast::Select::default() });
            body = SelectBody::SetOperation { op, all, left, right };
        }
        let order_by = self.sorts(select.order_by.unwrap_or_default())?;
        let (limit, offset) = self.limit(select.limit)?;
        Ok(ast::Select { with, body, order_by, limit, offset, ..ast::Select::default() })
    }

    /// LIMIT and OFFSET; a negative LIMIT is none.
    pub(super) fn limit(
        &mut self,
        limit: Option<&Limit<'_>>,
    ) -> Result<(Option<ast::Expr>, Option<ast::Expr>)> {
        let Some(limit) = limit else { return Ok((None, None)) };
        let count = self.expr(&limit.expr)?;
        let none = matches!(
            count.kind,
            ExprKind::Literal(ast::Literal::Integer(n)) if n < 0
        );
        let offset = limit.offset.as_ref().map(|e| self.expr(e)).transpose()?;
        Ok(((!none).then_some(count), offset))
    }

    pub(super) fn with(&mut self, with: &With<'_>) -> Result<ast::With> {
        let mut ctes = Vec::with_capacity(with.ctes.len());
        for cte in with.ctes {
            ctes.push(ast::Cte {
                name: unquote(cte.tbl_name.0),
                columns: cte
                    .columns
                    .unwrap_or_default()
                    .iter()
                    .map(|c| unquote(c.col_name.0))
                    .collect(),
                materialized: match cte.materialized {
                    Materialized::Any => None,
                    Materialized::Yes => Some(true),
                    Materialized::No => Some(false),
                },
                query: Box::new(ast::Statement::Select(Box::new(self.select(cte.select)?))),
                pos: 0,
            });
        }
        // SQLite lets any WITH be recursive.
        Ok(ast::With { recursive: true, ctes })
    }

    fn one(&mut self, select: &OneSelect<'_>) -> Result<SelectBody> {
        let OneSelect::Select {
            distinctness,
            columns,
            from,
            where_clause,
            group_by,
            having,
            window_clause,
        } = select
        else {
            let OneSelect::Values(rows) = select else {
                return Err(Error::internal("neither SELECT nor VALUES"));
            };
            let rows = rows.iter().map(|row| self.exprs(row)).collect::<Result<_>>()?;
            return Ok(SelectBody::Values(rows));
        };
        let mut simple = ast::SimpleSelect {
            distinct: matches!(distinctness, Some(Distinctness::Distinct)).then(Vec::new),
            ..ast::SimpleSelect::default()
        };
        simple.targets = self.targets(columns)?;
        if let Some(from) = from {
            simple.from = self.from(from)?.into_iter().collect();
        }
        simple.filter = where_clause.map(|e| self.expr(e)).transpose()?;
        simple.group_by = self.exprs(group_by.unwrap_or_default())?;
        simple.having = having.map(|e| self.expr(e)).transpose()?;
        for window in window_clause.unwrap_or_default() {
            simple.windows.push((unquote(window.name.0), self.window(&window.window)?));
        }
        Ok(SelectBody::Simple(Box::new(simple)))
    }

    pub(super) fn targets(&mut self, columns: &[ResultColumn<'_>]) -> Result<Vec<ast::Target>> {
        columns
            .iter()
            .map(|column| {
                Ok(match column {
                    ResultColumn::Star => {
                        ast::Target { expr: bare(ExprKind::Star(Vec::new())), alias: None }
                    }
                    ResultColumn::TableStar(name) => {
                        let star = ExprKind::Star(vec![unquote(name.0)]);
                        ast::Target { expr: bare(star), alias: None }
                    }
                    ResultColumn::Expr(expr, alias) => {
                        let alias = match alias {
                            // Two strings side by side are an error to PostgreSQL; whoever
                            // wants a name writes one.
                            Some(As::Elided(name)) if name.0.starts_with('\'') => {
                                let message = format!("syntax error at or near \"{}\"", name.0);
                                return Err(Error::client(state::SYNTAX_ERROR, message));
                            }
                            Some(As::As(name) | As::Elided(name)) => Some(unquote(name.0)),
                            None => output_name(expr),
                        };
                        ast::Target { expr: self.expr(expr)?, alias }
                    }
                })
            })
            .collect()
    }

    /// FROM: SQLite joins strictly left to right, commas included.
    pub(super) fn from(&mut self, from: &FromClause<'_>) -> Result<Option<ast::TableRef>> {
        let Some(first) = from.select else { return Ok(None) };
        let mut left = self.table(first)?;
        for join in from.joins.iter().flatten() {
            let right = self.table(&join.table)?;
            let ty = match join.operator {
                JoinOperator::Comma | JoinOperator::TypedJoin(None) => JoinType::INNER,
                JoinOperator::TypedJoin(Some(ty)) => ty,
            };
            let (is_left, is_right) = (ty.contains(JoinType::LEFT), ty.contains(JoinType::RIGHT));
            let outer = match (is_left, is_right) {
                (true, true) => Some(JoinKind::Full),
                (true, false) => Some(JoinKind::Left),
                (false, true) => Some(JoinKind::Right),
                (false, false) => None,
            };
            let condition = match &join.constraint {
                _ if ty.contains(JoinType::NATURAL) => ast::JoinCondition::Natural,
                Some(JoinConstraint::On(e)) => ast::JoinCondition::On(self.expr(e)?),
                Some(JoinConstraint::Using(names)) => {
                    ast::JoinCondition::Using(names.iter().map(|n| unquote(n.0)).collect())
                }
                None if outer.is_some() => {
                    ast::JoinCondition::On(bare(ExprKind::Literal(ast::Literal::Bool(true))))
                }
                None => ast::JoinCondition::None,
            };
            let kind = match (&condition, outer) {
                (_, Some(outer)) => outer,
                (ast::JoinCondition::None, None) => JoinKind::Cross,
                (_, None) => JoinKind::Inner,
            };
            left = ast::TableRef::Join {
                kind,
                left: Box::new(left),
                right: Box::new(right),
                condition,
                alias: None,
            };
        }
        Ok(Some(left))
    }

    fn table(&mut self, table: &SelectTable<'_>) -> Result<ast::TableRef> {
        Ok(match table {
            SelectTable::Table(name, alias, _) => {
                ast::TableRef::Table { name: name_of(name), alias: alias_of(alias.as_ref()) }
            }
            SelectTable::TableCall(name, args, alias) => {
                let name = name_of(name);
                self.table_call(&name, args.unwrap_or_default(), alias.as_ref())?
            }
            SelectTable::Select(query, alias) => {
                let query = Box::new(self.select(query)?);
                let alias = alias_of(alias.as_ref())
                    .or_else(|| Some(ast::Alias { name: "q".to_owned(), columns: Vec::new() }));
                ast::TableRef::Subquery { query, alias, lateral: false, pos: 0 }
            }
            SelectTable::Sub(from, alias) => {
                let inner = self.from(from)?.ok_or_else(|| refused("an empty FROM"))?;
                match (alias_of(alias.as_ref()), inner) {
                    (None, inner) => inner,
                    (Some(alias), ast::TableRef::Join { kind, left, right, condition, .. }) => {
                        let alias = Some(alias);
                        ast::TableRef::Join { kind, left, right, condition, alias }
                    }
                    (Some(_), _) => return Err(refused("an alias around parentheses in FROM")),
                }
            }
        })
    }

    /// A function in FROM: `json_each(…)`, `pragma_table_info(…)`.
    pub(super) fn table_call(
        &mut self,
        name: &ast::Name,
        args: &[Expr<'_>],
        alias: Option<&As<'_>>,
    ) -> Result<ast::TableRef> {
        let alias = alias_of(alias);
        let call = super::expr::call(&name.name.to_ascii_lowercase(), self.exprs(args)?);
        Ok(ast::TableRef::Function {
            call: Box::new(bare(call)),
            alias,
            lateral: true,
            ordinality: false,
            columns: Vec::new(),
        })
    }
}
