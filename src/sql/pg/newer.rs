//! Syntax that the parser accepts and the server version reported to clients (15) does
//! not: refused as that version refuses it.
//!
//! Only what is easily recognised; anything else is left to the later stages.

use pg_query::protobuf;

use super::{Lower, Lowered, Stop, characters};
use crate::error::{Error, state};
use crate::sql::ast::{Expr, ExprKind, Select, SelectBody};
use crate::sql::lexer::{self, Kind};

impl Lower<'_> {
    /// `syntax error at or near "token"` at a byte offset of the statement's text.
    pub(super) fn syntax_error_at(&mut self, start: usize, end: usize) -> Stop {
        let token = self.text.get(start..end).unwrap_or_default();
        let message = format!("syntax error at or near \"{token}\"");
        Stop::Error(Error::client(state::SYNTAX_ERROR, message).at(self.position(start)))
    }

    /// Refuses the first keyword `word` at or after a location, at any depth.
    pub(super) fn refuse_word(&mut self, location: i32, word: &str) -> Stop {
        let from = self.byte(location).unwrap_or(0);
        let found = lexer::tokens(&self.text[from..])
            .map(|token| (from + token.start, from + token.end, token.kind))
            .find(|(start, end, kind)| {
                *kind == Kind::Word && self.text[*start..*end].eq_ignore_ascii_case(word)
            });
        match found {
            Some((start, end, _)) => self.syntax_error_at(start, end),
            None => self.syntax_error_at(from, from),
        }
    }

    /// Refuses the token that follows the first parenthesised group after a location.
    pub(super) fn refuse_after_group(&mut self, location: i32) -> Stop {
        let from = self.byte(location).unwrap_or(0);
        let mut depth = 0_i32;
        let mut closed = false;
        for token in lexer::tokens(&self.text[from..]) {
            if closed {
                return self.syntax_error_at(from + token.start, from + token.end);
            }
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => {
                    depth -= 1;
                    closed = depth == 0;
                }
                _ => {}
            }
        }
        Stop::Error(Error::client(state::SYNTAX_ERROR, "syntax error at end of input"))
    }

    /// RETURNING WITH (OLD AS …), version 18.
    pub(super) fn refuse_returning_options(
        &mut self,
        returning: &protobuf::ReturningClause,
    ) -> Lowered<()> {
        if returning.options.is_empty() {
            return Ok(());
        }
        let mut previous_returning = false;
        let mut found = None;
        for token in lexer::tokens(self.text) {
            let word = &self.text[token.start..token.end];
            if previous_returning && word.eq_ignore_ascii_case("with") {
                found = Some(token);
            }
            previous_returning = token.kind == Kind::Word && word.eq_ignore_ascii_case("returning");
        }
        let (start, end) = found.map_or((0, 0), |token| (token.start, token.end));
        Err(self.syntax_error_at(start, end))
    }

    /// Numbers as `0x1f`, `0o17`, `0b1`, `1_000`, version 16.
    pub(super) fn refuse_newer_number(&mut self, c: &protobuf::AConst) -> Lowered<()> {
        use protobuf::a_const::Val;
        if !matches!(c.val, Some(Val::Ival(_) | Val::Fval(_))) {
            return Ok(());
        }
        let Some(at) = self.byte(c.location) else { return Ok(()) };
        let bytes = &self.text.as_bytes()[at..];
        // A minus sign may have been folded into the constant.
        let mut start = 0;
        if bytes.first() == Some(&b'-') {
            start = 1 + bytes[1..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        }
        let digits = |from: usize| {
            bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let mut end = start + digits(start);
        if bytes.get(end) == Some(&b'.') {
            end += 1 + digits(end + 1);
        }
        if end > start && matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            match digits(end + 1 + sign) {
                0 => {}
                count => end += 1 + sign + count,
            }
        }
        if end == start {
            return Ok(());
        }
        self.refuse_junk(at + start, at + end, "numeric literal")
    }

    /// `$1abc`: the parser reads a parameter and a name.
    pub(super) fn refuse_parameter_junk(&mut self, location: i32) -> Lowered<()> {
        let Some(start) = self.byte(location) else { return Ok(()) };
        let bytes = self.text.as_bytes();
        let count = bytes[start + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.refuse_junk(start, start + 1 + count, "parameter")
    }

    /// Refuses a token that goes on as an identifier would.
    fn refuse_junk(&mut self, start: usize, end: usize, what: &str) -> Lowered<()> {
        let rest = &self.text.as_bytes()[end..];
        let begins = |b: &u8| b.is_ascii_alphabetic() || *b == b'_' || *b >= 0x80;
        if !rest.first().is_some_and(begins) {
            return Ok(());
        }
        let goes_on = |b: &&u8| begins(b) || b.is_ascii_digit() || **b == b'$';
        let end = end + rest.iter().take_while(goes_on).count();
        let token = self.text.get(start..end).unwrap_or_default();
        let message = format!("trailing junk after {what} at or near \"{token}\"");
        let pos = self.position(start);
        Err(Stop::Error(Error::client(state::SYNTAX_ERROR, message).at(pos)))
    }

    /// `date $1`: the parser takes a parameter where only a string may stand.
    pub(super) fn refuse_typed_parameter(&mut self, cast: &protobuf::TypeCast) -> Lowered<()> {
        use protobuf::node::Node as N;
        let Some(N::ParamRef(param)) = cast.arg.as_ref().and_then(|arg| arg.node.as_ref()) else {
            return Ok(());
        };
        let ty = cast.type_name.as_ref().map_or(-1, |ty| ty.location);
        if ty < 0 || ty > param.location || cast.location > ty {
            return Ok(());
        }
        // CAST ($1 AS t) has its parameter before the type.
        let start = self.byte(param.location).unwrap_or(0);
        Err(self.syntax_error_at(start, start + 1 + param.number.to_string().len()))
    }

    /// A subquery in FROM needs an alias before version 16.
    pub(super) fn without_alias(query: &Select, pos: u32) -> Error {
        let (what, example) = match query.body {
            SelectBody::Values(_) => ("VALUES", "VALUES ..."),
            _ => ("subquery", "SELECT ..."),
        };
        Error::client(state::SYNTAX_ERROR, format!("{what} in FROM must have an alias"))
            .at(pos)
            .hint(format!("For example, FROM ({example}) [AS] foo."))
    }

    /// Position of the parenthesis that opens a query: the tree has none, so the nearest
    /// one before the query's first known position.
    pub(super) fn first_position(&mut self, query: &Select) -> u32 {
        let inner = first_of(query);
        let Some(limit) = inner.checked_sub(1).and_then(|n| usize::try_from(n).ok()) else {
            return 0;
        };
        let byte = if self.ascii {
            limit
        } else {
            self.text.char_indices().nth(limit).map_or(0, |(at, _)| at)
        };
        let before = self.text.get(..byte).unwrap_or_default();
        let mut start = None;
        for (at, _) in before.match_indices('(') {
            let word = before[at + 1..].trim_start();
            let opens = |keyword: &str| {
                word.get(..keyword.len()).is_some_and(|w| w.eq_ignore_ascii_case(keyword))
            };
            if opens("select") || opens("values") || opens("with") || opens("table") || opens("(") {
                start = Some(at);
            }
        }
        start.map_or(0, |at| characters(&before[..at]) + 1)
    }
}

fn first_of(query: &Select) -> u32 {
    match &query.body {
        SelectBody::Simple(simple) => {
            simple.targets.first().map_or(0, |target| leftmost(&target.expr))
        }
        SelectBody::Values(rows) => rows.first().and_then(|row| row.first()).map_or(0, leftmost),
        SelectBody::SetOperation { left, .. } => first_of(left),
    }
}

/// The leftmost known position of an expression: operators carry their own.
fn leftmost(expr: &Expr) -> u32 {
    match &expr.kind {
        ExprKind::Op { left: Some(left), .. }
        | ExprKind::Cast(left, _)
        | ExprKind::IsNull(left, _)
        | ExprKind::Collate(left, _) => {
            let inner = leftmost(left);
            if inner == 0 { expr.pos } else { inner.min(expr.pos.max(1)) }
        }
        _ => expr.pos,
    }
}
