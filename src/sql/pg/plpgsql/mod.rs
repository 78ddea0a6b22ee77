//! PL/pgSQL as trigger functions of applications have it: guards, assignments to NEW,
//! branches, plain SQL.
//!
//! Owns the text between the quotes of such a function. Loops, exceptions, dynamic SQL and
//! records are 0A000 by name, never skipped. It must never resolve a name. Start at [`block`].

mod conditions;
mod raise;
mod returns;
mod script;

use crate::error::{Error, Result, state};
use crate::sql::ast::{
    Block, Expr, ExprKind, Literal, Returned, Select, Statement, Step, TypeName,
};
use crate::sql::lexer::{self, Kind, Token};
pub(crate) use returns::check_returns;
pub(crate) use script::{Gives, result_name, script, statements};

/// Nesting of IF beyond which a body is refused.
const DEPTH_MAX: u32 = 64;

/// The body of a function.
///
/// # Errors
/// 0A000 for what is not served, 42601 for what is no PL/pgSQL.
pub fn block(body: &str) -> Result<Block> {
    let mut reader = Reader { text: body, tokens: lexer::tokens(body).collect(), at: 0, depth: 0 };
    let block = reader.block()?;
    reader.take_kind(Kind::Semicolon);
    match reader.at < reader.tokens.len() {
        true => Err(reader.syntax()),
        false => Ok(block),
    }
}

/// An expression's tree, from its text.
pub(crate) fn expression(text: &str) -> Result<Expr> {
    let parsed = super::parse(&format!("SELECT (\n{text}\n)")).map_err(placeless)?;
    if let [one] = parsed.as_slice()
        && let Statement::Select(select) = &one.statement
        && let crate::sql::ast::SelectBody::Simple(simple) = &select.body
        && let [target] = simple.targets.as_slice()
    {
        return Ok(target.expr.clone());
    }
    Err(Error::client(state::SYNTAX_ERROR, "syntax error in an expression of a function"))
}

/// A string constant.
pub(crate) fn literal(text: impl Into<String>) -> Expr {
    Expr { kind: ExprKind::Literal(Literal::String(text.into())), pos: 0 }
}

/// Positions inside a body mean nothing to who sent the statement.
fn placeless(error: Error) -> Error {
    error.without_position()
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    fn syntax(&self) -> Error {
        let near = self.tokens.get(self.at).map(|t| &self.text[t.start..t.end]);
        let message = match near {
            Some(near) => format!("syntax error at or near \"{near}\""),
            None => "syntax error at end of input".to_owned(),
        };
        Error::client(state::SYNTAX_ERROR, message)
    }

    fn token(&self, index: usize) -> Option<&'a str> {
        self.tokens.get(index).map(|t| &self.text[t.start..t.end])
    }

    /// The keyword at a token, folded; None for anything quoted.
    fn word_at(&self, index: usize) -> Option<String> {
        let token = self.tokens.get(index).filter(|t| t.kind == Kind::Word)?;
        Some(self.text[token.start..token.end].to_lowercase())
    }

    fn word(&self) -> Option<String> {
        self.word_at(self.at)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.word().is_some_and(|w| w == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.syntax()) }
    }

    fn take_kind(&mut self, kind: Kind) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|t| t.kind == kind);
        self.at += usize::from(found);
        found
    }

    fn end_of_statement(&mut self) -> Result<()> {
        if self.take_kind(Kind::Semicolon) { Ok(()) } else { Err(self.syntax()) }
    }

    fn take_assign(&mut self) -> bool {
        let found = matches!(self.token(self.at), Some(":=" | "="));
        self.at += usize::from(found);
        found
    }

    /// A name, folded unless quoted.
    fn name(&mut self) -> Result<String> {
        let Some(token) = self.tokens.get(self.at).copied() else { return Err(self.syntax()) };
        let text = &self.text[token.start..token.end];
        let name = match token.kind {
            Kind::Word => text.to_lowercase(),
            Kind::Quoted => text.trim_matches('"').replace("\"\"", "\""),
            _ => return Err(self.syntax()),
        };
        self.at += 1;
        Ok(name)
    }

    /// The text up to a token for which `stop` is true, outside of parentheses and CASE; the
    /// token is not taken.
    fn until(&mut self, stop: impl Fn(Kind, &str) -> bool) -> Result<&'a str> {
        let first = self.at;
        let (mut depth, mut cases) = (0_i32, 0_i32);
        while let Some(token) = self.tokens.get(self.at) {
            let text = self.text[token.start..token.end].to_lowercase();
            if depth == 0 && cases == 0 && stop(token.kind, &text) {
                break;
            }
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth -= 1,
                Kind::Semicolon => return Err(self.syntax()),
                Kind::Word if text == "case" => cases += 1,
                Kind::Word if text == "end" && cases > 0 => cases -= 1,
                _ => {}
            }
            self.at += 1;
        }
        let (Some(start), true) = (self.tokens.get(first), self.at > first) else {
            return Err(self.syntax());
        };
        if self.at >= self.tokens.len() {
            return Err(self.syntax());
        }
        Ok(&self.text[start.start..self.tokens[self.at - 1].end])
    }

    fn until_word(&mut self, word: &str) -> Result<&'a str> {
        let text = self.until(|kind, text| kind == Kind::Word && text == word)?;
        self.at += 1;
        Ok(text)
    }

    fn until_semicolon(&mut self) -> Result<&'a str> {
        let text = self.until(|kind, _| kind == Kind::Semicolon)?;
        self.at += 1;
        Ok(text)
    }

    fn block(&mut self) -> Result<Block> {
        if self.token(self.at) == Some("<<") {
            return Err(Error::unsupported("a label in PL/pgSQL"));
        }
        let mut block = Block::default();
        if self.take_word("declare") {
            while self.word().is_none_or(|w| w != "begin") {
                block.variables.push(self.declaration()?);
            }
        }
        self.expect("begin")?;
        block.steps = self.steps()?;
        if self.word().is_some_and(|w| w == "exception") {
            return Err(Error::unsupported("EXCEPTION in PL/pgSQL"));
        }
        self.expect("end")?;
        Ok(block)
    }

    fn declaration(&mut self) -> Result<(String, TypeName, Option<Expr>)> {
        let name = self.name()?;
        self.take_word("constant");
        let ends = |kind: Kind, text: &str| {
            kind == Kind::Semicolon
                || matches!(text, ":=" | "=")
                || (kind == Kind::Word && matches!(text, "default" | "not" | "collate"))
        };
        let ty = type_name(self.until(ends)?)?;
        if matches!(self.word().as_deref(), Some("not" | "collate")) {
            return Err(Error::unsupported("NOT NULL or COLLATE of a variable in PL/pgSQL"));
        }
        let first = if self.take_assign() || self.take_word("default") {
            Some(expression(self.until_semicolon()?)?)
        } else {
            self.end_of_statement()?;
            None
        };
        Ok((name, ty, first))
    }

    /// Statements up to the keyword that ends them.
    fn steps(&mut self) -> Result<Vec<Step>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::unsupported("PL/pgSQL nested so deeply"));
        }
        let mut steps = Vec::new();
        loop {
            match self.word().as_deref() {
                Some("end" | "else" | "elsif" | "elseif" | "exception" | "when") | None => break,
                Some(_) => self.step(&mut steps)?,
            }
        }
        self.depth -= 1;
        Ok(steps)
    }

    fn step(&mut self, steps: &mut Vec<Step>) -> Result<()> {
        let assigns = matches!(self.token(self.at + 1), Some(":=" | "="))
            || self.token(self.at + 1) == Some(".");
        match self.word().as_deref() {
            _ if assigns => steps.push(self.assignment()?),
            Some("if") => steps.push(self.branch()?),
            Some("case") => steps.push(self.cases()?),
            Some("raise") => steps.extend(self.raise()?),
            Some("return") => steps.push(self.returned()?),
            Some("null") => {
                self.at += 1;
                self.end_of_statement()?;
            }
            Some("perform") => {
                self.at += 1;
                let text = self.until_semicolon()?;
                steps.push(Step::Perform(Box::new(query(&format!("SELECT {text}"))?)));
            }
            Some("insert" | "update" | "delete") => {
                let text = self.until_semicolon()?;
                steps.push(Step::Run(Box::new(command(text)?)));
            }
            Some("select") => steps.push(self.select_into()?),
            Some(word) => {
                let word = word.to_uppercase();
                return Err(Error::unsupported(format!("{word} in PL/pgSQL")));
            }
            None => return Err(self.syntax()),
        }
        Ok(())
    }

    fn assignment(&mut self) -> Result<Step> {
        let name = self.name()?;
        let field = if self.token(self.at) == Some(".") {
            self.at += 1;
            Some(self.name()?)
        } else {
            None
        };
        if !self.take_assign() {
            return Err(Error::unsupported("this assignment in PL/pgSQL"));
        }
        let value = expression(self.until_semicolon()?)?;
        match field {
            None => Ok(Step::Set(name, value)),
            Some(field) if name == "new" => Ok(Step::SetColumn(field, value)),
            Some(_) => Err(Error::unsupported("assigning to a field in PL/pgSQL")),
        }
    }

    fn branch(&mut self) -> Result<Step> {
        self.expect("if")?;
        let mut branches = Vec::new();
        let condition = expression(self.until_word("then")?)?;
        branches.push((condition, self.steps()?));
        let mut otherwise = Vec::new();
        loop {
            if self.take_word("elsif") || self.take_word("elseif") {
                let condition = expression(self.until_word("then")?)?;
                branches.push((condition, self.steps()?));
            } else if self.take_word("else") {
                otherwise = self.steps()?;
            } else {
                break;
            }
        }
        self.expect("end")?;
        self.expect("if")?;
        self.end_of_statement()?;
        Ok(Step::If(branches, otherwise))
    }

    /// CASE as a statement: the branches of an IF.
    fn cases(&mut self) -> Result<Step> {
        self.expect("case")?;
        let subject = match self.word().as_deref() {
            Some("when") => None,
            _ => {
                let text = self.until(|kind, text| kind == Kind::Word && text == "when")?;
                Some(text)
            }
        };
        let mut branches = Vec::new();
        while self.take_word("when") {
            let text = self.until_word("then")?;
            let condition = match subject {
                Some(subject) => expression(&format!("({subject}) IN ({text})"))?,
                None => expression(text)?,
            };
            branches.push((condition, self.steps()?));
        }
        let otherwise = if self.take_word("else") {
            self.steps()?
        } else {
            let hint = "CASE statement is missing ELSE part.";
            vec![Step::Raise(Box::new(crate::sql::ast::Raise {
                state: "20000".to_owned(),
                message: Some(literal("case not found")),
                hint: Some(literal(hint)),
                ..Default::default()
            }))]
        };
        self.expect("end")?;
        self.expect("case")?;
        self.end_of_statement()?;
        Ok(Step::If(branches, otherwise))
    }

    fn returned(&mut self) -> Result<Step> {
        self.expect("return")?;
        let what = match self.word().as_deref() {
            Some("new") => Returned::New,
            Some("old") => Returned::Old,
            Some("null") => Returned::Null,
            _ => return Err(Error::unsupported("RETURN of an expression in a trigger function")),
        };
        self.at += 1;
        if self.token(self.at) != Some(";") {
            return Err(Error::unsupported("RETURN of an expression in a trigger function"));
        }
        self.end_of_statement()?;
        Ok(Step::Return(what))
    }

    /// SELECT … INTO variables …
    fn select_into(&mut self) -> Result<Step> {
        let from = self.at;
        let is_into = |kind: Kind, text: &str| kind == Kind::Word && text == "into";
        let head = self.until(is_into).map_err(|_| {
            Error::client(state::SYNTAX_ERROR, "query has no destination for result data")
                .hint("If you want to discard the results of a SELECT, use PERFORM instead.")
        })?;
        debug_assert!(self.at > from);
        self.at += 1;
        if self.word().is_some_and(|w| w == "strict") {
            return Err(Error::unsupported("INTO STRICT in PL/pgSQL"));
        }
        let mut targets = Vec::new();
        loop {
            let mut target = self.name()?;
            if self.token(self.at) == Some(".") {
                self.at += 1;
                target = format!("{target}.{}", self.name()?);
            }
            targets.push(target);
            if !self.take_kind(Kind::Comma) {
                break;
            }
        }
        let rest = match self.take_kind(Kind::Semicolon) {
            true => "",
            false => self.until_semicolon()?,
        };
        let select = query(&format!("{head}\n{rest}"))?;
        Ok(Step::Into(targets, Box::new(select)))
    }
}

pub(crate) fn type_name(text: &str) -> Result<TypeName> {
    if text.contains('%') {
        return Err(Error::unsupported("%TYPE in PL/pgSQL"));
    }
    match expression(&format!("NULL::{text}"))?.kind {
        ExprKind::Cast(_, ty) => Ok(ty),
        _ => Err(Error::unsupported("this type in PL/pgSQL")),
    }
}

fn query(text: &str) -> Result<Select> {
    match command(text)? {
        Statement::Select(select) => Ok(*select),
        _ => Err(Error::unsupported("this query in PL/pgSQL")),
    }
}

fn command(text: &str) -> Result<Statement> {
    let mut parsed = super::parse(text).map_err(placeless)?;
    let statement = match (parsed.len(), parsed.pop()) {
        (1, Some(parsed)) => parsed.statement,
        _ => return Err(Error::unsupported("this statement in PL/pgSQL")),
    };
    let returning = match &statement {
        Statement::Insert(insert) => !insert.returning.is_empty(),
        Statement::Update(update) => !update.returning.is_empty(),
        Statement::Delete(delete) => !delete.returning.is_empty(),
        Statement::Select(_) => false,
        Statement::Unsupported(what) => return Err(Error::unsupported(what)),
        _ => return Err(Error::unsupported("this statement in PL/pgSQL")),
    };
    match returning {
        true => Err(Error::unsupported("RETURNING in PL/pgSQL")),
        false => Ok(statement),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(body: &str) -> Vec<Step> {
        block(body).unwrap().steps
    }

    #[test]
    fn a_guard_is_an_if_with_a_raise() {
        let found = steps(
            "BEGIN\n IF OLD.a != NEW.a OR CASE WHEN NEW.b THEN true END THEN -- why\n \
             RAISE EXCEPTION 'no % for %%', NEW.a USING ERRCODE = 'check_violation';\n \
             END IF;\n RETURN NEW;\nEND;",
        );
        let [Step::If(branches, otherwise), Step::Return(Returned::New)] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(otherwise.is_empty());
        let [(_, inner)] = branches.as_slice() else { panic!("{branches:?}") };
        let [Step::Raise(raise)] = inner.as_slice() else { panic!("{inner:?}") };
        assert_eq!(raise.state, "23514");
    }

    #[test]
    fn assignments_queries_and_commands() {
        let found = block(
            "DECLARE n int := 1; t text; BEGIN SELECT count(*), 'x' INTO n, t FROM log; \
             NEW.a := now(); new.\"B\" = n; PERFORM 1 FROM log; NULL; \
             INSERT INTO log (a) VALUES (NEW.a); RETURN NULL; END",
        )
        .unwrap();
        assert_eq!(found.variables.len(), 2);
        let [Step::Into(targets, _), Step::SetColumn(a, _), Step::SetColumn(b, _), ..] =
            found.steps.as_slice()
        else {
            panic!("{:?}", found.steps);
        };
        assert_eq!((targets.len(), a.as_str(), b.as_str()), (2, "a", "B"));
        assert_eq!(found.steps.len(), 6);
    }

    #[test]
    fn what_is_not_served_is_named() {
        for body in [
            "BEGIN LOOP NULL; END LOOP; END",
            "BEGIN EXECUTE 'x'; END",
            "BEGIN NULL; EXCEPTION WHEN others THEN NULL; END",
            "BEGIN RAISE NOTICE 'x'; END",
            "DECLARE r t%ROWTYPE; BEGIN RETURN NEW; END",
        ] {
            assert_eq!(block(body).unwrap_err().sqlstate(), state::FEATURE_NOT_SUPPORTED, "{body}");
        }
        assert_eq!(block("BEGIN RETURN NEW END").unwrap_err().sqlstate().as_str(), "0A000");
        assert_eq!(block("BEGIN IF x THEN").unwrap_err().sqlstate(), state::SYNTAX_ERROR);
    }
}
