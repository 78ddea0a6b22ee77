//! RAISE: its level, its message with placeholders, its USING options.

use super::conditions::code_of;
use super::{Reader, expression, literal};
use crate::error::{Error, Result, state};
use crate::sql::ast::{Call, Expr, ExprKind, Literal, Name, Raise, Step};
use crate::sql::lexer::Kind;

const LEVELS: &[&str] = &["debug", "log", "info", "notice", "warning", "exception"];

impl Reader<'_> {
    /// None for levels that no client sees by default.
    pub(super) fn raise(&mut self) -> Result<Option<Step>> {
        let (level, raise) = self.raise_at_any_level()?;
        match level {
            "exception" => Ok(Some(Step::Raise(Box::new(raise)))),
            "debug" | "log" => Ok(None),
            level => Err(Error::unsupported(format!("RAISE {} in PL/pgSQL", level.to_uppercase()))),
        }
    }

    /// RAISE and its level.
    pub(super) fn raise_at_any_level(&mut self) -> Result<(&'static str, Raise)> {
        let start = self.tokens.get(self.at).map_or(0, |t| t.start);
        let line = 1 + self.text[..start].matches('\n').count();
        self.expect("raise")?;
        let level = match self.word().as_deref() {
            Some(word) => LEVELS.iter().copied().find(|level| *level == word),
            None => None,
        };
        self.at += usize::from(level.is_some());
        let level = level.unwrap_or("exception");
        let mut raise = Raise { state: "P0001".to_owned(), line, ..Raise::default() };
        match self.tokens.get(self.at).map(|t| t.kind) {
            Some(Kind::Text) => raise.message = Some(self.format()?),
            Some(Kind::Semicolon) | None => {
                return Err(Error::unsupported("RAISE without a message in PL/pgSQL"));
            }
            _ if self.word().is_some_and(|w| w == "using") => {}
            _ if self.take_word("sqlstate") => {
                let text = self.until(ends)?;
                raise.state = constant(text)?;
                raise.message = Some(literal(raise.state.clone()));
            }
            _ => {
                let name = self.name()?;
                raise.state = code_of(&name)?;
                raise.message = Some(literal(name));
            }
        }
        if self.take_word("using") {
            self.options(&mut raise)?;
        }
        self.end_of_statement()?;
        Ok((level, raise))
    }

    /// The format string with its parameters, as one expression.
    fn format(&mut self) -> Result<Expr> {
        let text = constant(self.until(ends)?)?;
        let mut parameters = Vec::new();
        while self.take_kind(Kind::Comma) {
            parameters.push(expression(self.until(ends)?)?);
        }
        let mut parameters = parameters.into_iter();
        let mut parts: Vec<Expr> = Vec::new();
        let mut plain = String::new();
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            if c != '%' {
                plain.push(c);
            } else if characters.peek() == Some(&'%') {
                characters.next();
                plain.push('%');
            } else {
                let message = "too few parameters specified for RAISE";
                let parameter =
                    parameters.next().ok_or_else(|| Error::client(state::SYNTAX_ERROR, message))?;
                parts.push(literal(std::mem::take(&mut plain)));
                parts.push(shown(parameter));
            }
        }
        if parameters.next().is_some() {
            let message = "too many parameters specified for RAISE";
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        parts.push(literal(plain));
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => concat(parts),
        })
    }

    fn options(&mut self, raise: &mut Raise) -> Result<()> {
        loop {
            let name = self.name()?;
            if !self.take_assign() {
                return Err(self.syntax());
            }
            let text = self.until(ends)?;
            match name.as_str() {
                "errcode" => {
                    let written = constant(text)?;
                    raise.state = code_of(&written)?;
                    raise.message.get_or_insert_with(|| literal(written));
                }
                "message" => raise.message = Some(expression(text)?),
                "detail" => raise.detail = Some(expression(text)?),
                "hint" => raise.hint = Some(expression(text)?),
                "table" => raise.table = Some(expression(text)?),
                "constraint" => raise.constraint = Some(expression(text)?),
                other => {
                    let what = format!("RAISE … USING {} in PL/pgSQL", other.to_uppercase());
                    return Err(Error::unsupported(what));
                }
            }
            if !self.take_kind(Kind::Comma) {
                return Ok(());
            }
        }
    }
}

/// Where a parameter or option ends.
fn ends(kind: Kind, text: &str) -> bool {
    matches!(kind, Kind::Comma | Kind::Semicolon) || (kind == Kind::Word && text == "using")
}

fn constant(text: &str) -> Result<String> {
    match expression(text)?.kind {
        ExprKind::Literal(Literal::String(text)) => Ok(text),
        _ => Err(Error::unsupported("RAISE with a computed format or code in PL/pgSQL")),
    }
}

/// A value as RAISE writes it.
fn shown(value: Expr) -> Expr {
    let pos = value.pos;
    let is_null = Expr { kind: ExprKind::IsNull(Box::new(value.clone()), false), pos };
    let branches = vec![(is_null, literal("<NULL>"))];
    let otherwise = Some(Box::new(concat(vec![value])));
    Expr { kind: ExprKind::Case { operand: None, branches, otherwise }, pos }
}

/// concat(): every value through its type's output function.
fn concat(parts: Vec<Expr>) -> Expr {
    let name = Name { schema: Some("pg_catalog".to_owned()), name: "concat".to_owned(), pos: 0 };
    let args = parts.into_iter().map(|part| (None, part)).collect();
    Expr { kind: ExprKind::Call(Box::new(Call { name, args, ..Call::default() })), pos: 0 }
}
