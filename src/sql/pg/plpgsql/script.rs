//! The bodies of DO and of functions that are called.
//!
//! Owns their text: any statement may stand in it, as the session runs them one by one. Cursors,
//! labels and arrays of loops are 0A000 by name. Start at [`script`].

use super::conditions::code_of;
use super::{DEPTH_MAX, Reader, expression, literal, placeless, query};
use crate::error::{Error, Result, state};
use crate::sql::ast::{
    Declared, Expr, ExprKind, Into, Line, Literal, Order, Raise, Range, Script, SelectBody, Source,
    Statement, Target,
};
use crate::sql::lexer::{self, Kind};

/// The body of DO.
///
/// # Errors
/// 0A000 for what is not served, 42601 for what is no PL/pgSQL.
pub(crate) fn script(body: &str) -> Result<Script> {
    let mut reader = Reader { text: body, tokens: lexer::tokens(body).collect(), at: 0, depth: 0 };
    let script = reader.script()?;
    reader.take_kind(Kind::Semicolon);
    match reader.at < reader.tokens.len() {
        true => Err(reader.syntax()),
        false => Ok(script),
    }
}

/// The variable that takes a column of what a function in SQL returns, counted from 0: no
/// client's has this name.
pub(crate) fn result_name(column: usize) -> String {
    format!("$result{column}")
}

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// void
    Nothing,
    /// One row of so many columns.
    Row(usize),
    /// Rows.
    Rows,
}

/// The body of a function in SQL: its statements, and what the last one gives. `returns` is the
/// type's name.
///
/// # Errors
/// 42P13 when the last statement gives no value; else what the parser says.
pub(crate) fn statements(body: &str, gives: &Gives, returns: &str) -> Result<Script> {
    let parsed = super::super::parse(body).map_err(placeless)?;
    let mut script = Script::default();
    let last = parsed.len();
    let mut given = false;
    for (number, one) in (1..).zip(parsed) {
        let is_result = number == last && *gives != Gives::Nothing;
        given = is_result && gives_value(&one.statement, gives);
        let what = match one.statement {
            Statement::Select(select) if !is_result => Order::Perform(select),
            statement => {
                let source = Source::Static(Box::new(statement), one.text);
                let targets = match gives {
                    Gives::Rows if given => Vec::new(),
                    Gives::Row(columns) if given => (0..*columns).map(result_name).collect(),
                    _ => Vec::new(),
                };
                match gives {
                    Gives::Rows if given => Order::ReturnQuery(source),
                    _ => Order::Run(source, Into { targets, strict: false }),
                }
            }
        };
        script.steps.push(Line { number, what });
    }
    if *gives != Gives::Nothing && !given {
        let message = format!("return type mismatch in function declared to return {returns}");
        let detail = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING.";
        return Err(Error::client(state::INVALID_FUNCTION_DEFINITION, message).detail(detail));
    }
    Ok(script)
}

/// Whether a statement gives rows of so many columns, as far as it can be seen.
fn gives_value(statement: &Statement, gives: &Gives) -> bool {
    let fits = |targets: &[Target]| match gives {
        Gives::Row(1) => matches!(targets, [_]),
        _ => !targets.is_empty(),
    };
    match statement {
        Statement::Select(select) => match &select.body {
            SelectBody::Simple(simple) => fits(&simple.targets),
            _ => true,
        },
        Statement::Insert(insert) => fits(&insert.returning),
        Statement::Update(update) => fits(&update.returning),
        Statement::Delete(delete) => fits(&delete.returning),
        _ => false,
    }
}

/// What CASE raises where nothing fits and it has no ELSE.
fn not_found() -> Box<Raise> {
    Box::new(Raise {
        state: "20000".to_owned(),
        message: Some(literal("case not found")),
        hint: Some(literal("CASE statement is missing ELSE part.")),
        ..Raise::default()
    })
}

/// The one statement of a text.
fn statement(text: &str) -> Result<Statement> {
    let mut parsed = super::super::parse(text).map_err(placeless)?;
    match (parsed.len(), parsed.pop()) {
        (1, Some(parsed)) => Ok(parsed.statement),
        _ => Err(Error::unsupported("this statement in PL/pgSQL")),
    }
}

fn plain(text: &str) -> Result<Source> {
    Ok(Source::Static(Box::new(statement(text)?), text.to_owned()))
}

const DIAGNOSTICS: &[&str] = &[
    "row_count",
    "returned_sqlstate",
    "message_text",
    "pg_exception_detail",
    "pg_exception_hint",
    "constraint_name",
    "table_name",
    "column_name",
];

impl Reader<'_> {
    fn script(&mut self) -> Result<Script> {
        if self.token(self.at) == Some("<<") || self.token(self.at) == Some("<") {
            return Err(Error::unsupported("a label in PL/pgSQL"));
        }
        let mut script = Script::default();
        if self.take_word("declare") {
            while self.word().is_none_or(|w| w != "begin") {
                if let Some(word @ ("cursor" | "alias" | "no" | "scroll")) =
                    self.word_at(self.at + 1).as_deref()
                {
                    return Err(Error::unsupported(format!("{} in PL/pgSQL", word.to_uppercase())));
                }
                let record = self.word_at(self.at + 1).is_some_and(|w| w == "record")
                    && self.token(self.at + 2) == Some(";");
                if record {
                    script.variables.push((self.name()?, Declared::Record, None));
                    self.at += 2;
                } else if let Some(like) = self.declared_like()? {
                    script.variables.push(like);
                } else {
                    let (name, ty, first) = self.declaration()?;
                    script.variables.push((name, Declared::Type(ty), first));
                }
            }
        }
        self.expect("begin")?;
        script.steps = self.lines()?;
        if self.take_word("exception") {
            while self.take_word("when") {
                let text = self.until_word("then")?;
                script.handlers.push((conditions(text)?, self.lines()?));
            }
        }
        self.expect("end")?;
        Ok(script)
    }

    /// A declaration with %TYPE or %ROWTYPE; None, and nothing taken, for others.
    fn declared_like(&mut self) -> Result<Option<(String, Declared, Option<Expr>)>> {
        let start = self.at;
        let name = self.name()?;
        self.take_word("constant");
        let mut parts = Vec::new();
        while let Ok(part) = self.name() {
            parts.push(part);
            if self.token(self.at) != Some(".") {
                break;
            }
            self.at += 1;
        }
        let word = self.word_at(self.at + 1).filter(|_| self.token(self.at) == Some("%"));
        let declared = match word.as_deref() {
            Some("type") => Declared::Like(parts),
            Some("rowtype") => Declared::Row(parts),
            _ => {
                self.at = start;
                return Ok(None);
            }
        };
        self.at += 2;
        let first = if self.take_assign() || self.take_word("default") {
            Some(expression(self.until_semicolon()?)?)
        } else {
            self.end_of_statement()?;
            None
        };
        if first.is_some() && matches!(declared, Declared::Row(_)) {
            return Err(Error::unsupported("a row as a value in PL/pgSQL"));
        }
        Ok(Some((name, declared, first)))
    }

    fn lines(&mut self) -> Result<Vec<Line>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::unsupported("PL/pgSQL nested so deeply"));
        }
        let mut lines = Vec::new();
        while !matches!(
            self.word().as_deref(),
            Some("end" | "else" | "elsif" | "elseif" | "exception" | "when")
        ) && self.at < self.tokens.len()
        {
            let start = self.tokens.get(self.at).map_or(0, |t| t.start);
            let number = 1 + self.text[..start].matches('\n').count();
            if let Some(what) = self.order()? {
                lines.push(Line { number, what });
            }
        }
        self.depth -= 1;
        Ok(lines)
    }

    fn order(&mut self) -> Result<Option<Order>> {
        if matches!(self.token(self.at + 1), Some(":=" | "=")) {
            let name = self.name()?;
            self.at += 1;
            return Ok(Some(Order::Set(name, expression(self.until_semicolon()?)?)));
        }
        let word = self.word().ok_or_else(|| self.syntax())?;
        Ok(Some(match word.as_str() {
            "null" => {
                self.at += 1;
                self.end_of_statement()?;
                return Ok(None);
            }
            "declare" | "begin" => {
                let inner = self.script()?;
                self.end_of_statement()?;
                Order::Block(Box::new(inner))
            }
            "if" => self.choice()?,
            "case" => self.choice_by_case()?,
            "while" => {
                self.at += 1;
                let condition = expression(self.until_word("loop")?)?;
                Order::While(condition, self.looped()?)
            }
            "loop" => {
                self.at += 1;
                let always = Expr { kind: ExprKind::Literal(Literal::Bool(true)), pos: 0 };
                Order::While(always, self.looped()?)
            }
            "for" => self.each()?,
            "exit" => Order::Exit(self.leave()?),
            "continue" => Order::Continue(self.leave()?),
            "return" => {
                self.at += 1;
                if self.take_kind(Kind::Semicolon) {
                    return Ok(Some(Order::Return(None)));
                }
                if self.take_word("next") {
                    if self.take_kind(Kind::Semicolon) {
                        return Ok(Some(Order::ReturnNext(None)));
                    }
                    let value = expression(self.until_semicolon()?)?;
                    return Ok(Some(Order::ReturnNext(Some(value))));
                }
                if self.take_word("query") {
                    return self.returned_rows().map(Some);
                }
                Order::Return(Some(expression(self.until_semicolon()?)?))
            }
            "raise" => return self.raised(),
            "perform" => {
                self.at += 1;
                let text = self.until_semicolon()?;
                Order::Perform(Box::new(query(&format!("SELECT {text}"))?))
            }
            "execute" => self.executed()?,
            "get" => self.diagnostics()?,
            "select" => self.selected()?,
            "foreach" => {
                self.at += 1;
                let variable = self.name()?;
                if self.word().is_some_and(|w| w == "slice") {
                    return Err(Error::unsupported("FOREACH … SLICE in PL/pgSQL"));
                }
                self.expect("in")?;
                self.expect("array")?;
                let array = expression(self.until_word("loop")?)?;
                Order::ForEach(variable, array, self.looped()?)
            }
            "assert" => {
                self.at += 1;
                let ends = |kind: Kind, _: &str| matches!(kind, Kind::Comma | Kind::Semicolon);
                let condition = expression(self.until(ends)?)?;
                let message = match self.take_kind(Kind::Comma) {
                    true => Some(expression(self.until_semicolon()?)?),
                    false => {
                        self.end_of_statement()?;
                        None
                    }
                };
                Order::Assert(condition, message)
            }
            "open" | "fetch" | "move" | "close" | "call" | "commit" | "rollback" => {
                return Err(Error::unsupported(format!("{} in PL/pgSQL", word.to_uppercase())));
            }
            _ => self.ordered()?,
        }))
    }

    fn looped(&mut self) -> Result<Vec<Line>> {
        let lines = self.lines()?;
        self.expect("end")?;
        self.expect("loop")?;
        self.end_of_statement()?;
        Ok(lines)
    }

    fn leave(&mut self) -> Result<Option<Expr>> {
        self.at += 1;
        if self.take_word("when") {
            return Ok(Some(expression(self.until_semicolon()?)?));
        }
        if self.take_kind(Kind::Semicolon) {
            return Ok(None);
        }
        Err(Error::unsupported("a label in PL/pgSQL"))
    }

    fn choice(&mut self) -> Result<Order> {
        self.at += 1;
        let mut branches = Vec::new();
        let condition = expression(self.until_word("then")?)?;
        branches.push((condition, self.lines()?));
        let mut otherwise = Vec::new();
        loop {
            if self.take_word("elsif") || self.take_word("elseif") {
                let condition = expression(self.until_word("then")?)?;
                branches.push((condition, self.lines()?));
            } else if self.take_word("else") {
                otherwise = self.lines()?;
            } else {
                break;
            }
        }
        self.expect("end")?;
        self.expect("if")?;
        self.end_of_statement()?;
        Ok(Order::If(branches, otherwise))
    }

    fn choice_by_case(&mut self) -> Result<Order> {
        let start = self.tokens.get(self.at).map_or(0, |t| t.start);
        let line = 1 + self.text[..start].matches('\n').count();
        self.at += 1;
        let subject = match self.word().as_deref() {
            Some("when") => None,
            _ => Some(self.until(|kind, text| kind == Kind::Word && text == "when")?),
        };
        let mut branches = Vec::new();
        while self.take_word("when") {
            let text = self.until_word("then")?;
            let condition = match subject {
                Some(subject) => expression(&format!("({subject}) IN ({text})"))?,
                None => expression(text)?,
            };
            branches.push((condition, self.lines()?));
        }
        let otherwise = match self.take_word("else") {
            true => self.lines()?,
            false => vec![Line { number: line, what: Order::Raise("exception", not_found()) }],
        };
        self.expect("end")?;
        self.expect("case")?;
        self.end_of_statement()?;
        Ok(Order::If(branches, otherwise))
    }

    fn each(&mut self) -> Result<Order> {
        self.at += 1;
        let mut targets = vec![self.name()?];
        while self.take_kind(Kind::Comma) {
            targets.push(self.name()?);
        }
        self.expect("in")?;
        if self.take_word("execute") {
            let ends =
                |kind: Kind, text: &str| kind == Kind::Word && matches!(text, "loop" | "using");
            let text = expression(self.until(ends)?)?;
            let mut values = Vec::new();
            if self.take_word("using") {
                loop {
                    let ends = |kind: Kind, text: &str| {
                        kind == Kind::Comma || (kind == Kind::Word && text == "loop")
                    };
                    values.push(expression(self.until(ends)?)?);
                    if !self.take_kind(Kind::Comma) {
                        break;
                    }
                }
            }
            self.expect("loop")?;
            return Ok(Order::ForRows(targets, Source::Dynamic(text, values), self.looped()?));
        }
        let reverse = self.take_word("reverse");
        let is_query = matches!(self.word().as_deref(), Some("select" | "with" | "values"))
            || self.token(self.at) == Some("(");
        let text = self.until_word("loop")?;
        let range = text.split_once("..").filter(|_| targets.len() == 1 && !is_query);
        let Some((from, rest)) = range else {
            if reverse || !is_query {
                return Err(Error::unsupported("this FOR in PL/pgSQL"));
            }
            return Ok(Order::ForRows(targets, plain(text)?, self.looped()?));
        };
        let lower = rest.to_ascii_lowercase();
        let (to, by) = match lower.rfind(" by ") {
            Some(at) => (&rest[..at], Some(expression(&rest[at + 4..])?)),
            None => (rest, None),
        };
        let range = Range {
            variable: targets.remove(0),
            from: expression(from)?,
            to: expression(to)?,
            by,
            reverse,
        };
        Ok(Order::ForRange(Box::new(range), self.looped()?))
    }

    fn raised(&mut self) -> Result<Option<Order>> {
        if self.token(self.at + 1) == Some(";") {
            self.at += 2;
            return Ok(Some(Order::Again));
        }
        let (level, raise) = self.raise_at_any_level()?;
        Ok(Some(Order::Raise(level, Box::new(raise))))
    }

    /// Targets behind INTO, at any place of a statement.
    fn into(&mut self) -> Result<Into> {
        let mut into = Into { strict: self.take_word("strict"), ..Into::default() };
        loop {
            into.targets.push(self.name()?);
            if !self.take_kind(Kind::Comma) {
                return Ok(into);
            }
        }
    }

    fn executed(&mut self) -> Result<Order> {
        self.at += 1;
        let ends = |kind: Kind, text: &str| {
            kind == Kind::Semicolon || (kind == Kind::Word && matches!(text, "into" | "using"))
        };
        let text = expression(self.until(ends)?)?;
        let (mut into, mut values) = (Into::default(), Vec::new());
        loop {
            if self.take_word("into") {
                into = self.into()?;
            } else if self.take_word("using") {
                loop {
                    let ends = |kind: Kind, text: &str| {
                        matches!(kind, Kind::Comma | Kind::Semicolon)
                            || (kind == Kind::Word && text == "into")
                    };
                    values.push(expression(self.until(ends)?)?);
                    if !self.take_kind(Kind::Comma) {
                        break;
                    }
                }
            } else {
                self.end_of_statement()?;
                return Ok(Order::Run(Source::Dynamic(text, values), into));
            }
        }
    }

    /// RETURN QUERY
    fn returned_rows(&mut self) -> Result<Order> {
        if self.word().is_some_and(|w| w == "execute") {
            return match self.executed()? {
                Order::Run(source, into) if into.targets.is_empty() => {
                    Ok(Order::ReturnQuery(source))
                }
                _ => Err(self.syntax()),
            };
        }
        Ok(Order::ReturnQuery(plain(self.until_semicolon()?)?))
    }

    fn diagnostics(&mut self) -> Result<Order> {
        self.at += 1;
        let stacked = self.take_word("stacked");
        if !stacked {
            self.take_word("current");
        }
        self.expect("diagnostics")?;
        let mut items = Vec::new();
        loop {
            let name = self.name()?;
            if !self.take_assign() {
                return Err(self.syntax());
            }
            let item = self.name()?;
            if stacked == (item == "row_count") || !DIAGNOSTICS.contains(&item.as_str()) {
                return Err(Error::unsupported("this GET DIAGNOSTICS in PL/pgSQL"));
            }
            items.push((name, item));
            if !self.take_kind(Kind::Comma) {
                break;
            }
        }
        self.end_of_statement()?;
        Ok(Order::Diagnostics(items))
    }

    fn selected(&mut self) -> Result<Order> {
        let ends = |kind: Kind, text: &str| {
            kind == Kind::Semicolon || (kind == Kind::Word && text == "into")
        };
        let head = self.until(ends)?;
        if !self.take_word("into") {
            self.end_of_statement()?;
            return Ok(Order::Run(plain(head)?, Into::default()));
        }
        let into = self.into()?;
        let rest = match self.take_kind(Kind::Semicolon) {
            true => "",
            false => self.until_semicolon()?,
        };
        Ok(Order::Run(plain(&format!("{head}\n{rest}"))?, into))
    }

    /// Any other statement of SQL; RETURNING may have its INTO.
    fn ordered(&mut self) -> Result<Order> {
        let (first, mut returning, mut at) = (self.at, false, None);
        let text = self.until_semicolon()?;
        let last = self.at - 1;
        for index in first..last {
            match self.word_at(index).as_deref() {
                Some("returning") => returning = true,
                Some("into") if returning => at = at.or(Some(index)),
                _ => {}
            }
        }
        let Some(index) = at else { return Ok(Order::Run(plain(text)?, Into::default())) };
        let head = &self.text[self.tokens[first].start..self.tokens[index].start];
        self.at = index + 1;
        let into = self.into()?;
        self.end_of_statement()?;
        Ok(Order::Run(plain(head)?, into))
    }
}

/// The conditions of WHEN.
fn conditions(text: &str) -> Result<Vec<Option<String>>> {
    let mut found = Vec::new();
    let mut words = lexer::tokens(text).map(|t| (t.kind, &text[t.start..t.end]));
    loop {
        let (_, word) = words.next().ok_or_else(|| Error::unsupported("this EXCEPTION"))?;
        let word = word.to_lowercase();
        found.push(match word.as_str() {
            "others" => None,
            "sqlstate" => {
                let (_, code) = words.next().unwrap_or((Kind::Other, ""));
                Some(code_of(code.trim_matches('\''))?)
            }
            name => Some(code_of(name)?),
        });
        match words.next() {
            None => return Ok(found),
            Some((Kind::Word, or)) if or.eq_ignore_ascii_case("or") => {}
            Some((_, near)) => {
                let message = format!("syntax error at or near \"{near}\"");
                return Err(Error::client(state::SYNTAX_ERROR, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_migrations_send_is_read() {
        let found = script(
            "DECLARE r record; n int := 0;\nBEGIN\n IF NOT EXISTS (SELECT 1 FROM t) THEN \
             CREATE TYPE e AS ENUM ('a'); END IF;\n FOR r IN SELECT x FROM t LOOP EXECUTE \
             format('DROP TABLE %I', r.x); END LOOP;\n INSERT INTO t VALUES (1) RETURNING x INTO n;\n\
             FOR i IN REVERSE 3..1 BY 2 LOOP CONTINUE WHEN i = 2; END LOOP;\n\
             EXCEPTION WHEN duplicate_object OR SQLSTATE '42P07' THEN NULL; WHEN others THEN RAISE;\nEND",
        )
        .unwrap();
        assert_eq!((found.variables.len(), found.steps.len(), found.handlers.len()), (2, 4, 2));
        assert_eq!(found.handlers[0].0, [Some("42710".to_owned()), Some("42P07".to_owned())]);
        assert!(matches!(&found.steps[2].what, Order::Run(_, into) if into.targets == ["n"]));
        assert_eq!(found.steps[1].number, 4);
        assert!(script("BEGIN OPEN c; END").is_err());
        assert!(script("BEGIN NULL").is_err());
    }
}
