//! Orders as the console reads them: `PAUSE`, `PROMOTE DRY RUN`, `REPAIR d7` …
//!
//! PostgreSQL's grammar does not know them, so they are told apart by their first word. It
//! must never take a statement that PostgreSQL's grammar accepts, except `ROLLBACK TO SQLITE`.
//! Start at [`parse`] and [`split`].

use crate::control::{Command, Options};
use crate::error::{Error, Result, state};
use crate::sql::lexer::{Kind, tokens};

/// What a client orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A command with steps and an end.
    Run(Command),
    /// SHUTDOWN
    Shutdown,
}

impl Order {
    /// The command tag.
    pub(super) fn tag(&self) -> String {
        match self {
            Self::Run(Command::Rollback(_)) => "ROLLBACK TO SQLITE".to_owned(),
            Self::Run(command) => command.verb().to_ascii_uppercase(),
            Self::Shutdown => "SHUTDOWN".to_owned(),
        }
    }
}

/// A statement of a query string, with the number of characters before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) offset: u32,
}

/// The statements of a query string; empty ones are left out.
pub(super) fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut span: Option<(usize, usize)> = None;
    let mut add = |span: Option<(usize, usize)>| {
        let Some((start, end)) = span else { return };
        let (Some(before), Some(text)) = (text.get(..start), text.get(start..end)) else { return };
        let offset = u32::try_from(before.chars().count()).unwrap_or(u32::MAX);
        pieces.push(Piece { text, offset });
    };
    for token in tokens(text) {
        if token.kind == Kind::Semicolon {
            add(span.take());
        } else {
            span = Some((span.map_or(token.start, |(start, _)| start), token.end));
        }
    }
    add(span);
    pieces
}

/// A word of an order: its text as meant, as written, and where it stands.
struct Word<'a> {
    /// Folded, or without its quotes.
    name: String,
    written: &'a str,
    kind: Kind,
    start: usize,
}

impl Word<'_> {
    fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.name == word
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    tokens(text)
        .map(|token| {
            let written = text.get(token.start..token.end).unwrap_or_default();
            let unquoted = |quote: char| {
                let inner = written.strip_prefix(quote).and_then(|w| w.strip_suffix(quote));
                inner.unwrap_or(written).replace(&format!("{quote}{quote}"), &quote.to_string())
            };
            let name = match token.kind {
                Kind::Quoted => unquoted('"'),
                Kind::Text => unquoted('\''),
                _ => written.to_lowercase(),
            };
            Word { name, written, kind: token.kind, start: token.start }
        })
        .collect()
}

/// Reads an order; None when the text is none.
pub(super) fn parse(text: &str) -> Option<Result<Order>> {
    let words = words(text);
    let (first, mut rest) = words.split_first()?;
    if first.kind != Kind::Word {
        return None;
    }
    let verb = first.name.as_str();
    match verb {
        "pause" | "resume" | "reload" | "shutdown" => {
            let order = match Command::from_verb(verb, Options::default()) {
                Some(command) => Order::Run(command),
                None => Order::Shutdown,
            };
            return Some(end(text, rest).map(|()| order));
        }
        "backfill" | "verify" | "repair" | "promote" | "complete" => {}
        "rollback" => match rest {
            [to, sqlite, ..] if to.is("to") && sqlite.is("sqlite") => rest = &rest[2..],
            _ => return None,
        },
        _ => return None,
    }
    Some(options(text, verb, rest).and_then(|options| {
        let command = Command::from_verb(verb, options);
        command.map(Order::Run).ok_or_else(|| Error::internal("an order without a command"))
    }))
}

fn options(text: &str, verb: &str, mut rest: &[Word<'_>]) -> Result<Options> {
    let mut options = Options::default();
    loop {
        match rest {
            [dry, run, ..] if dry.is("dry") && run.is("run") => {
                options.dry_run = true;
                rest = &rest[2..];
            }
            [word, ..] if word.is("rehearse") && verb == "promote" => {
                options.rehearse = true;
                rest = &rest[1..];
            }
            [word, ..] if word.is("resume") && verb == "backfill" => {
                options.resume = true;
                rest = &rest[1..];
            }
            [word, ..] if word.is("override") && verb == "promote" => {
                options.overrides.extend(list(text, &mut rest, 1)?);
            }
            [id, ..] if verb == "repair" && options.divergence.is_none() && is_id(&id.name) => {
                options.divergence = Some(id.name.clone());
                rest = &rest[1..];
            }
            [_, ..] if matches!(verb, "backfill" | "verify" | "repair") => {
                options.tables.extend(list(text, &mut rest, 0)?);
            }
            _ => break,
        }
    }
    end(text, rest)?;
    Ok(options)
}

/// `d7`: a divergence, not a table.
fn is_id(name: &str) -> bool {
    name.strip_prefix('d').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Names between commas, after `skip` words.
fn list(text: &str, rest: &mut &[Word<'_>], skip: usize) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut at = skip;
    loop {
        match rest.get(at) {
            Some(word) if matches!(word.kind, Kind::Word | Kind::Quoted | Kind::Text) => {
                names.push(word.name.clone());
            }
            other => return Err(unexpected(text, other)),
        }
        at += 1;
        if rest.get(at).is_none_or(|w| w.kind != Kind::Comma) {
            break;
        }
        at += 1;
    }
    *rest = &rest[at..];
    Ok(names)
}

fn end(text: &str, rest: &[Word<'_>]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        word => Err(unexpected(text, word)),
    }
}

fn unexpected(text: &str, word: Option<&Word<'_>>) -> Error {
    let (message, before) = match word {
        Some(word) => (format!("syntax error at or near \"{}\"", word.written), word.start),
        None => ("syntax error at end of input".to_owned(), text.len()),
    };
    let before = text.get(..before).map_or(0, |t| t.chars().count());
    Error::client(state::SYNTAX_ERROR, message)
        .hint("SHOW HELP lists what the console understands.")
        .at(u32::try_from(before + 1).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Order {
        parse(text).expect("an order").unwrap()
    }

    #[test]
    fn orders_are_read() {
        assert_eq!(order("pause"), Order::Run(Command::Pause));
        assert_eq!(order("SHUTDOWN"), Order::Shutdown);
        let Order::Run(Command::Promote(o)) = order("Promote dry run OVERRIDE quiet, \"keys\"")
        else {
            panic!("a promote")
        };
        assert!(o.dry_run);
        assert_eq!(o.overrides, ["quiet", "keys"]);
        let Order::Run(Command::Promote(o)) = order("PROMOTE REHEARSE") else {
            panic!("a promote")
        };
        assert!(o.rehearse && !o.dry_run);
        let Order::Run(Command::Repair(o)) = order("REPAIR d7") else { panic!("a repair") };
        assert_eq!(o.divergence.as_deref(), Some("d7"));
        let Order::Run(Command::Verify(o)) = order("VERIFY Orders, \"Big Table\"") else {
            panic!("a verify")
        };
        assert_eq!(o.tables, ["orders", "Big Table"]);
        let Order::Run(Command::Backfill(o)) = order("BACKFILL RESUME orders, \"resume\"") else {
            panic!("a backfill")
        };
        assert!(o.resume);
        assert_eq!(o.tables, ["orders", "resume"]);
        assert!(matches!(order("ROLLBACK TO SQLITE DRY RUN"), Order::Run(Command::Rollback(_))));
        for other in ["ROLLBACK", "ROLLBACK TO s1", "SELECT 1", "", "\"pause\""] {
            assert!(parse(other).is_none(), "{other}");
        }
        for wrong in ["PAUSE app", "PROMOTE now", "VERIFY a,", "COMPLETE it", "RELOAD 1"] {
            let error = parse(wrong).expect("an order").unwrap_err();
            assert_eq!(error.sqlstate(), state::SYNTAX_ERROR, "{wrong}");
        }
    }

    #[test]
    fn statements_are_told_apart() {
        let texts: Vec<_> = split(";;PAUSE; SELECT ';' -- x;\n;").iter().map(|p| p.text).collect();
        assert_eq!(texts, ["PAUSE", "SELECT ';'"]);
        assert_eq!(split("é; show x")[1].offset, 3);
    }
}
