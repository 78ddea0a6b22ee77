//! Expressions.

use sqlite3_parser::ast::{
    Expr, FrameBound, FrameExclude, FrameMode, FunctionCallOrder, FunctionTail, Id, LikeOperator,
    Literal, Operator, Over, ResolveType, SortOrder, SortedColumn, UnaryOperator, Window,
};

use super::{Lower, refused};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, ExprKind};
use crate::sql::stored::{token_text, unquote};

/// Name under which a double-quoted word that may be a string is wrapped.
pub(crate) const QUOTED: &str = "\"\"";

/// An expression without a position: sqlite3-parser keeps none.
pub(super) fn bare(kind: ExprKind) -> ast::Expr {
    ast::Expr { kind, pos: 0 }
}

fn boxed(kind: ExprKind) -> Box<ast::Expr> {
    Box::new(bare(kind))
}

fn operator(op: &str, left: Option<ast::Expr>, right: ast::Expr) -> ExprKind {
    ExprKind::Op { op: op.to_owned(), left: left.map(Box::new), right: Box::new(right) }
}

/// A call of a function of SQLite's by name.
pub(super) fn call(name: &str, args: Vec<ast::Expr>) -> ExprKind {
    ExprKind::Call(Box::new(ast::Call {
        name: ast::Name { schema: None, name: name.to_owned(), pos: 0 },
        args: args.into_iter().map(|a| (None, a)).collect(),
        ..ast::Call::default()
    }))
}

fn negated(not: bool, kind: ExprKind) -> ExprKind {
    if not { ExprKind::Not(boxed(kind)) } else { kind }
}

fn string(text: &str) -> ast::Expr {
    bare(ExprKind::Literal(ast::Literal::String(text.to_owned())))
}

impl Lower {
    pub(super) fn expr(&mut self, expr: &Expr<'_>) -> Result<ast::Expr> {
        self.kind(expr).map(bare)
    }

    pub(super) fn exprs(&mut self, list: &[Expr<'_>]) -> Result<Vec<ast::Expr>> {
        list.iter().map(|e| self.expr(e)).collect()
    }

    fn kind(&mut self, expr: &Expr<'_>) -> Result<ExprKind> {
        Ok(match expr {
            Expr::Between { lhs, not, start, end } => ExprKind::Between {
                expr: Box::new(self.expr(lhs)?),
                low: Box::new(self.expr(start)?),
                high: Box::new(self.expr(end)?),
                not: *not,
                symmetric: false,
            },
            Expr::Binary(left, op, right) => self.binary(left, *op, right)?,
            Expr::Case { base, when_then_pairs, else_expr } => {
                let operand = base.map(|e| self.expr(e)).transpose()?.map(Box::new);
                let mut branches = Vec::with_capacity(when_then_pairs.len());
                for (when, then) in *when_then_pairs {
                    branches.push((self.expr(when)?, self.expr(then)?));
                }
                let otherwise = else_expr.map(|e| self.expr(e)).transpose()?.map(Box::new);
                ExprKind::Case { operand, branches, otherwise }
            }
            Expr::Cast { expr, type_name } => {
                let name = type_name.as_ref().map(|t| unquote(t.name)).unwrap_or_default();
                let ty = ast::TypeName { name, ..ast::TypeName::default() };
                ExprKind::Cast(Box::new(self.expr(expr)?), ty)
            }
            Expr::Collate(inner, name) => {
                let name = unquote(name).to_ascii_uppercase();
                let name = ast::Name { schema: None, name, pos: 0 };
                ExprKind::Collate(Box::new(self.expr(inner)?), name)
            }
            Expr::DoublyQualified(schema, table, column) => {
                let schema = super::select::schema(schema.0);
                let mut parts: Vec<String> = schema.into_iter().collect();
                parts.extend([unquote(table.0), unquote(column.0)]);
                ExprKind::Column(parts)
            }
            Expr::Exists(query) => ExprKind::Exists(Box::new(self.select(query)?)),
            Expr::FunctionCall { name, distinctness, args, order_by, filter_over } => {
                let mut call = self.call(name, args.unwrap_or_default(), filter_over.as_ref())?;
                call.distinct =
                    matches!(distinctness, Some(sqlite3_parser::ast::Distinctness::Distinct));
                if let Some(FunctionCallOrder::SortList(list)) = order_by {
                    call.order_by = self.sorts(list)?;
                }
                ExprKind::Call(Box::new(call))
            }
            Expr::FunctionCallStar { name, filter_over } => {
                let mut call = self.call(name, &[], filter_over.as_ref())?;
                call.star = true;
                ExprKind::Call(Box::new(call))
            }
            Expr::Id(id) => self.word(id.0),
            Expr::Name(name) => self.word(name.0),
            Expr::InList { .. } | Expr::InSelect { .. } | Expr::InTable { .. } => {
                self.among(expr)?
            }
            Expr::IsNull(inner) => ExprKind::IsNull(Box::new(self.expr(inner)?), false),
            Expr::NotNull(inner) => ExprKind::IsNull(Box::new(self.expr(inner)?), true),
            Expr::Like { lhs, not, op, rhs, escape } => {
                let mut args = vec![self.expr(rhs)?, self.expr(lhs)?];
                args.extend(escape.map(|e| self.expr(e)).transpose()?);
                let name = match op {
                    LikeOperator::Like => "like",
                    LikeOperator::Glob => "glob",
                    LikeOperator::Regexp => {
                        return Err(refused("REGEXP").hint("Use GLOB or LIKE."));
                    }
                    LikeOperator::Match => return Err(refused("full text search with MATCH")),
                };
                negated(*not, call(name, args))
            }
            Expr::Literal(literal) => self.literal(literal)?,
            Expr::Parenthesized(list) => match list.as_slice() {
                [one] => self.kind(one)?,
                list => ExprKind::Row(self.exprs(list)?),
            },
            Expr::Qualified(table, column) => {
                ExprKind::Column(vec![unquote(table.0), unquote(column.0)])
            }
            Expr::Raise(kind, message) if self.raises => {
                let kind = match kind {
                    ResolveType::Abort => "abort",
                    ResolveType::Ignore => "ignore",
                    ResolveType::Fail => "FAIL",
                    ResolveType::Rollback => "ROLLBACK",
                    ResolveType::Replace => "REPLACE",
                };
                let message = match message.map(|m| self.kind(m)).transpose()? {
                    Some(ExprKind::Literal(ast::Literal::String(text))) => text,
                    None => String::new(),
                    Some(_) => return Err(refused("RAISE with such a message")),
                };
                ExprKind::Column(vec![super::RAISE.to_owned(), kind.to_owned(), message])
            }
            Expr::Raise(..) => return Err(refused("RAISE outside a trigger")),
            Expr::Subquery(query) => ExprKind::Subquery(Box::new(self.select(query)?)),
            Expr::Unary(op, inner) => self.unary(*op, inner)?,
            Expr::Variable(name) => ExprKind::Param(self.parameter(name)?),
        })
    }

    /// IN, in its three forms.
    fn among(&mut self, expr: &Expr<'_>) -> Result<ExprKind> {
        Ok(match expr {
            Expr::InList { lhs, not, rhs } => match rhs.unwrap_or_default() {
                // SQLite takes an empty list: nothing is in it.
                [] => ExprKind::Literal(ast::Literal::Bool(*not)),
                list => ExprKind::InList {
                    expr: Box::new(self.expr(lhs)?),
                    list: self.exprs(list)?,
                    not: *not,
                },
            },
            Expr::InSelect { lhs, not, rhs } => {
                let (left, query) = (self.expr(lhs)?, self.select(rhs)?);
                negated(*not, among(left, query))
            }
            Expr::InTable { lhs, not, rhs, args } => {
                let left = self.expr(lhs)?;
                let table = super::select::name_of(rhs);
                let from = match args {
                    Some(args) => self.table_call(&table, args, None)?,
                    None => ast::TableRef::Table { name: table, alias: None },
                };
                negated(*not, among(left, all_of(from)))
            }
            _ => return Err(Error::internal("not an IN")),
        })
    }

    fn binary(&mut self, left: &Expr<'_>, op: Operator, right: &Expr<'_>) -> Result<ExprKind> {
        if let Operator::Is | Operator::IsNot = op {
            return self.is(left, op == Operator::IsNot, right);
        }
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let name = match op {
            Operator::And => return Ok(ExprKind::And(flattened(left, right, true))),
            Operator::Or => return Ok(ExprKind::Or(flattened(left, right, false))),
            Operator::Add => "+",
            Operator::ArrowRight => "->",
            Operator::ArrowRightShift => "->>",
            Operator::BitwiseAnd => "&",
            Operator::BitwiseOr => "|",
            Operator::Concat => "||",
            Operator::Equals => "=",
            Operator::Divide => "/",
            Operator::Greater => ">",
            Operator::GreaterEquals => ">=",
            Operator::LeftShift => "<<",
            Operator::Less => "<",
            Operator::LessEquals => "<=",
            Operator::Modulus => "%",
            Operator::Multiply => "*",
            Operator::NotEquals => "<>",
            Operator::RightShift => ">>",
            Operator::Subtract => "-",
            Operator::Is | Operator::IsNot => return Err(Error::internal("IS is lowered before")),
        };
        Ok(operator(name, Some(left), right))
    }

    /// IS, which compares anything, NULL included.
    fn is(&mut self, left: &Expr<'_>, not: bool, right: &Expr<'_>) -> Result<ExprKind> {
        let left = Box::new(self.expr(left)?);
        if let Expr::Literal(Literal::Null) = right {
            return Ok(ExprKind::IsNull(left, not));
        }
        let right = self.expr(right)?;
        Ok(match right.kind {
            ExprKind::Literal(ast::Literal::Bool(value)) => {
                ExprKind::IsBool(left, Some(value), not)
            }
            kind => ExprKind::IsDistinct(left, boxed(kind), !not),
        })
    }

    fn unary(&mut self, op: UnaryOperator, inner: &Expr<'_>) -> Result<ExprKind> {
        if op == UnaryOperator::Negative
            && let Expr::Literal(Literal::Numeric(digits)) = inner
        {
            return Ok(number(digits, true));
        }
        let inner = self.expr(inner)?;
        Ok(match op {
            UnaryOperator::Not => ExprKind::Not(Box::new(inner)),
            UnaryOperator::Negative => operator("-", None, inner),
            UnaryOperator::Positive => operator("+", None, inner),
            UnaryOperator::BitwiseNot => operator("~", None, inner),
        })
    }

    fn literal(&mut self, literal: &Literal<'_>) -> Result<ExprKind> {
        Ok(match literal {
            Literal::Numeric(digits) => number(digits, false),
            Literal::String(text) => ExprKind::Literal(ast::Literal::String(unquote(text))),
            Literal::Blob(hex) => {
                if !hex.len().is_multiple_of(2) {
                    return Err(Error::client(state::SYNTAX_ERROR, "malformed blob literal"));
                }
                ExprKind::Literal(ast::Literal::Bits(format!("X{hex}")))
            }
            Literal::Keyword(word) => self.word(word),
            Literal::Null => ExprKind::Literal(ast::Literal::Null),
            Literal::CurrentDate => call("date", vec![string("now")]),
            Literal::CurrentTime => call("time", vec![string("now")]),
            Literal::CurrentTimestamp => call("datetime", vec![string("now")]),
        })
    }

    /// A bare or quoted word where a value is wanted.
    fn word(&mut self, raw: &str) -> ExprKind {
        if raw.eq_ignore_ascii_case("true") || raw.eq_ignore_ascii_case("false") {
            let value = raw.eq_ignore_ascii_case("true");
            return ExprKind::Literal(ast::Literal::Bool(value));
        }
        let column = ExprKind::Column(vec![unquote(raw)]);
        if self.strings && raw.starts_with('"') { call(QUOTED, vec![bare(column)]) } else { column }
    }

    fn call(
        &mut self,
        name: &Id<'_>,
        args: &[Expr<'_>],
        tail: Option<&FunctionTail<'_>>,
    ) -> Result<ast::Call> {
        let name = unquote(name.0).to_ascii_lowercase();
        let args = self.exprs(args)?;
        let mut call = ast::Call {
            name: ast::Name { schema: None, name, pos: 0 },
            args: args.into_iter().map(|a| (None, a)).collect(),
            ..ast::Call::default()
        };
        if let Some(tail) = tail {
            call.filter = tail.filter_clause.map(|e| self.expr(e)).transpose()?;
            call.over = match tail.over_clause {
                None => None,
                Some(Over::Name(name)) => Some(ast::Window {
                    base: Some(unquote(name.0)),
                    reference: true,
                    ..ast::Window::default()
                }),
                Some(Over::Window(window)) => Some(self.window(window)?),
            };
        }
        Ok(call)
    }

    pub(super) fn window(&mut self, window: &Window<'_>) -> Result<ast::Window> {
        let frame = match &window.frame_clause {
            None => None,
            Some(frame) => Some(ast::Frame {
                mode: match frame.mode {
                    FrameMode::Groups => "GROUPS",
                    FrameMode::Range => "RANGE",
                    FrameMode::Rows => "ROWS",
                },
                start: self.bound(&frame.start)?,
                end: match &frame.end {
                    Some(end) => self.bound(end)?,
                    None => ast::Bound::CurrentRow,
                },
                exclude: match frame.exclude {
                    None | Some(FrameExclude::NoOthers) => None,
                    Some(FrameExclude::CurrentRow) => Some("CURRENT ROW"),
                    Some(FrameExclude::Group) => Some("GROUP"),
                    Some(FrameExclude::Ties) => Some("TIES"),
                },
            }),
        };
        Ok(ast::Window {
            base: window.base.as_ref().map(|n| unquote(n.0)),
            reference: false,
            partition_by: self.exprs(window.partition_by.unwrap_or_default())?,
            order_by: self.sorts(window.order_by.unwrap_or_default())?,
            frame,
        })
    }

    fn bound(&mut self, bound: &FrameBound<'_>) -> Result<ast::Bound> {
        Ok(match bound {
            FrameBound::CurrentRow => ast::Bound::CurrentRow,
            FrameBound::Following(e) => ast::Bound::Following(Box::new(self.expr(e)?)),
            FrameBound::Preceding(e) => ast::Bound::Preceding(Box::new(self.expr(e)?)),
            FrameBound::UnboundedFollowing => ast::Bound::UnboundedFollowing,
            FrameBound::UnboundedPreceding => ast::Bound::UnboundedPreceding,
        })
    }

    /// ORDER BY items; NULL is the smallest value in SQLite.
    pub(super) fn sorts(&mut self, list: &[SortedColumn<'_>]) -> Result<Vec<ast::OrderItem>> {
        list.iter()
            .map(|item| {
                let descending = item.order == Some(SortOrder::Desc);
                let nulls_first = match item.nulls {
                    Some(sqlite3_parser::ast::NullsOrder::First) => true,
                    Some(sqlite3_parser::ast::NullsOrder::Last) => false,
                    None => !descending,
                };
                let expr = self.expr(&item.expr)?;
                Ok(ast::OrderItem { expr, descending, nulls_first: Some(nulls_first) })
            })
            .collect()
    }

    /// The number of `?`, `?5`, `:name`, `@name` or `$name`; `$1` is PostgreSQL's own.
    fn parameter(&mut self, raw: &str) -> Result<u32> {
        let bad =
            || Error::client(state::SYNTAX_ERROR, "variable number must be between ?1 and ?65535");
        let number = match raw.as_bytes() {
            [] | [b'?'] => self.highest + 1,
            // The parser leaves the question mark of `?5` out.
            [b'?' | b'$', digits @ ..] | digits if digits.iter().all(u8::is_ascii_digit) => {
                let digits = raw.trim_start_matches(['?', '$']);
                digits.parse().ok().filter(|n| (1..=65_535).contains(n)).ok_or_else(bad)?
            }
            _ => match self.names.iter().find(|(name, _)| name == raw) {
                Some((_, number)) => *number,
                None => {
                    let number = self.highest + 1;
                    self.names.push((raw.to_owned(), number));
                    number
                }
            },
        };
        self.highest = self.highest.max(number);
        Ok(number)
    }
}

/// `left IN (query)`
fn among(left: ast::Expr, query: ast::Select) -> ExprKind {
    ExprKind::SubqueryCompare {
        expr: Box::new(left),
        op: "=".to_owned(),
        query: Box::new(query),
        all: false,
    }
}

/// `SELECT * FROM item`
fn all_of(from: ast::TableRef) -> ast::Select {
    let star = ast::Target { expr: bare(ExprKind::Star(Vec::new())), alias: None };
    let simple = ast::SimpleSelect { targets: vec![star], from: vec![from], ..Default::default() };
    ast::Select { body: ast::SelectBody::Simple(Box::new(simple)), ..Default::default() }
}

/// AND and OR chains as one list.
fn flattened(left: ast::Expr, right: ast::Expr, and: bool) -> Vec<ast::Expr> {
    let mut list = Vec::new();
    for side in [left, right] {
        match side.kind {
            ExprKind::And(inner) if and => list.extend(inner),
            ExprKind::Or(inner) if !and => list.extend(inner),
            kind => list.push(bare(kind)),
        }
    }
    list
}

/// A numeric literal: hexadecimal ones wrap as two's complement, `_` separates digits.
fn number(digits: &str, negative: bool) -> ExprKind {
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let hex = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X"));
    let plain = match hex.and_then(|h| u64::from_str_radix(h, 16).ok()) {
        Some(value) => value.cast_signed().to_string(),
        None => plain,
    };
    let text = match (negative, plain.strip_prefix('-')) {
        (true, Some(positive)) => positive.to_owned(),
        (true, None) => format!("-{plain}"),
        (false, _) => plain,
    };
    ExprKind::Literal(match text.parse::<i32>() {
        Ok(value) => ast::Literal::Integer(value),
        Err(_) => ast::Literal::Number(text),
    })
}

/// The name SQLite gives an output column without AS: the expression as it was written.
pub(super) fn output_name(expr: &Expr<'_>) -> Option<String> {
    match expr {
        Expr::Id(_) | Expr::Name(_) | Expr::Qualified(..) | Expr::DoublyQualified(..) => None,
        other => Some(token_text(other)),
    }
}
