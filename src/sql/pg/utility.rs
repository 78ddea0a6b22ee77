//! Everything that is neither query, DML nor DDL: transactions, settings, cursors, COPY.

use pg_query::protobuf::{
    self, DiscardMode, FetchDirection as Direction, TransactionStmtKind, VariableSetKind,
    node::Node as N,
};

use super::types::{option_text, option_truth};
use super::{Lower, Lowered, Stop, missing, string, strings, text_of};
use crate::error::{Error, state};
use crate::sql::ast::{
    Copy, Explain, ExplainFormat, FetchDirection, Modes, SessionCommand, Statement, Transaction,
};
use crate::sql::lexer::{self, Kind};

type Node = protobuf::Node;

/// DO
pub(super) fn inline(block: protobuf::DoStmt) -> Lowered<Statement> {
    let mut body = None;
    for node in block.args {
        let Some(N::DefElem(option)) = node.node else { return Err(missing()) };
        let text = option.arg.and_then(|node| string(*node)).unwrap_or_default();
        match option.defname.as_str() {
            "as" => body = Some(text),
            "language" if text.eq_ignore_ascii_case("plpgsql") => {}
            _ => return Err(Stop::Unsupported("DO in this language")),
        }
    }
    body.map(Statement::Do).ok_or_else(missing)
}

/// Bits of DECLARE's options, as the parse tree numbers them.
mod cursor {
    pub(super) const BINARY: i32 = 0x0001;
    pub(super) const SCROLL: i32 = 0x0002;
    pub(super) const NO_SCROLL: i32 = 0x0004;
    pub(super) const HOLD: i32 = 0x0020;
}

impl Lower<'_> {
    pub(super) fn transaction(&mut self, t: protobuf::TransactionStmt) -> Lowered<Transaction> {
        use TransactionStmtKind as K;
        Ok(match K::try_from(t.kind).unwrap_or(K::Undefined) {
            K::TransStmtBegin | K::TransStmtStart => Transaction::Begin(modes(t.options)),
            K::TransStmtCommit => Transaction::Commit(t.chain),
            K::TransStmtRollback => Transaction::Rollback(t.chain),
            K::TransStmtSavepoint => Transaction::Savepoint(t.savepoint_name),
            K::TransStmtRelease => Transaction::Release(t.savepoint_name),
            K::TransStmtRollbackTo => Transaction::RollbackTo(t.savepoint_name),
            K::TransStmtPrepare | K::TransStmtCommitPrepared | K::TransStmtRollbackPrepared => {
                Transaction::TwoPhase
            }
            K::Undefined => return Err(missing()),
        })
    }

    pub(super) fn set(&mut self, set: protobuf::VariableSetStmt) -> Lowered<Statement> {
        use VariableSetKind as K;
        let name = set.name.to_ascii_lowercase();
        let local = set.is_local;
        let command = match K::try_from(set.kind).unwrap_or(K::Undefined) {
            K::VarSetMulti => {
                return match name.as_str() {
                    "transaction" => {
                        Ok(Statement::Transaction(Transaction::SetTransaction(modes(set.args))))
                    }
                    "session characteristics" => {
                        Ok(Statement::Transaction(Transaction::SetCharacteristics(modes(set.args))))
                    }
                    _ => Err(Stop::Unsupported("SET TRANSACTION SNAPSHOT")),
                };
            }
            K::VarSetValue => {
                let values = set.args.into_iter().filter_map(setting_text).collect();
                SessionCommand::Set { name, values: Some(values), local }
            }
            K::VarSetDefault => SessionCommand::Set { name, values: None, local },
            K::VarReset => SessionCommand::Reset(Some(name)),
            K::VarResetAll => SessionCommand::Reset(None),
            K::VarSetCurrent => return Err(Stop::Unsupported("SET … FROM CURRENT")),
            K::Undefined => return Err(missing()),
        };
        Ok(Statement::Session(command))
    }

    pub(super) fn copy(&mut self, copy: protobuf::CopyStmt) -> Lowered<Copy> {
        let mut options = Vec::with_capacity(copy.options.len());
        for node in copy.options {
            let Some(N::DefElem(option)) = node.node else { return Err(missing()) };
            let value = option.arg.and_then(|node| option_text(*node));
            options.push((option.defname.to_ascii_lowercase(), value));
        }
        let table = match copy.relation {
            Some(range) => Some(self.relation(Some(range))?),
            None => None,
        };
        let query = match copy.query {
            None => None,
            node => Some(Box::new(self.nested_statement(node)?)),
        };
        Ok(Copy {
            table,
            columns: strings(copy.attlist),
            query,
            from: copy.is_from,
            stdio: copy.filename.is_empty() && !copy.is_program,
            options,
            filter: self.maybe(copy.where_clause)?,
        })
    }

    pub(super) fn explain(&mut self, explain: protobuf::ExplainStmt) -> Lowered<Statement> {
        let (mut chosen, mut wal) = (Explain::default(), false);
        for node in explain.options {
            let Some(N::DefElem(option)) = node.node else { return Err(missing()) };
            let arg = option.arg.map(|node| *node);
            match option.defname.to_ascii_lowercase().as_str() {
                "analyze" => chosen.analyze = option_truth(arg),
                "format" => {
                    let format = arg.and_then(option_text).unwrap_or_default();
                    chosen.format = match format.to_ascii_lowercase().as_str() {
                        "text" => ExplainFormat::Text,
                        "json" => ExplainFormat::Json,
                        "xml" => ExplainFormat::Xml,
                        "yaml" => ExplainFormat::Yaml,
                        _ => {
                            let message = format!(
                                "unrecognized value for EXPLAIN option \"format\": \"{format}\""
                            );
                            let pos = self.pos(option.location);
                            let error = Error::client(state::INVALID_PARAMETER_VALUE, message);
                            return Err(Stop::Error(error.at(pos)));
                        }
                    };
                }
                "timing" => chosen.timing = Some(option_truth(arg)),
                "summary" => chosen.summary = Some(option_truth(arg)),
                "wal" => wal = option_truth(arg),
                "verbose" | "costs" | "settings" | "buffers" => {}
                other => {
                    let message = format!("unrecognized EXPLAIN option \"{other}\"");
                    let pos = self.pos(option.location);
                    return Err(Stop::Error(Error::client(state::SYNTAX_ERROR, message).at(pos)));
                }
            }
        }
        let needs = match chosen.timing {
            Some(true) => Some("TIMING"),
            _ if wal => Some("WAL"),
            _ => None,
        };
        if let Some(option) = needs.filter(|_| !chosen.analyze) {
            let message = format!("EXPLAIN option {option} requires ANALYZE");
            return Err(Stop::Error(Error::client(state::INVALID_PARAMETER_VALUE, message)));
        }
        let statement = self.nested_statement(explain.query)?;
        Ok(Statement::Explain(Box::new(statement), chosen))
    }

    pub(super) fn prepare(&mut self, prepare: protobuf::PrepareStmt) -> Lowered<Statement> {
        let mut types = Vec::with_capacity(prepare.argtypes.len());
        for node in prepare.argtypes {
            let Some(N::TypeName(ty)) = node.node else { return Err(missing()) };
            types.push(self.type_name(ty)?);
        }
        let text = self.after_as().ok_or_else(missing)?.to_owned();
        let statement = Box::new(self.nested_statement(prepare.query)?);
        Ok(Statement::Prepare { name: prepare.name, types, statement, text })
    }

    /// The text after the first AS outside parentheses.
    fn after_as(&self) -> Option<&str> {
        let mut depth = 0_i32;
        for token in lexer::tokens(self.text) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth -= 1,
                Kind::Word
                    if depth == 0
                        && self.text[token.start..token.end].eq_ignore_ascii_case("as") =>
                {
                    return Some(self.text[token.end..].trim());
                }
                _ => {}
            }
        }
        None
    }

    pub(super) fn declare(&mut self, d: protobuf::DeclareCursorStmt) -> Lowered<Statement> {
        let scroll = match (d.options & cursor::SCROLL != 0, d.options & cursor::NO_SCROLL != 0) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        Ok(Statement::Declare {
            name: d.portalname,
            query: Box::new(self.subquery(d.query)?),
            hold: d.options & cursor::HOLD != 0,
            scroll,
            binary: d.options & cursor::BINARY != 0,
        })
    }

    pub(super) fn lock(&mut self, lock: protobuf::LockStmt) -> Lowered<Statement> {
        let mode = match lock.mode {
            1 => "ACCESS SHARE",
            2 => "ROW SHARE",
            3 => "ROW EXCLUSIVE",
            4 => "SHARE UPDATE EXCLUSIVE",
            5 => "SHARE",
            6 => "SHARE ROW EXCLUSIVE",
            7 => "EXCLUSIVE",
            _ => "ACCESS EXCLUSIVE",
        };
        let tables = self.relations(lock.relations)?;
        Ok(Statement::Lock { tables, mode: mode.to_owned(), nowait: lock.nowait })
    }

    pub(super) fn set_constraints(
        &mut self,
        set: protobuf::ConstraintsSetStmt,
    ) -> Lowered<Transaction> {
        let names = self.relations(set.constraints)?;
        let names = names.into_iter().map(|name| name.name).collect();
        Ok(Transaction::SetConstraints(names, set.deferred))
    }
}

/// Modes of BEGIN and SET TRANSACTION; the last of each kind wins.
fn modes(options: Vec<Node>) -> Modes {
    let mut modes = Modes::default();
    for node in options {
        let Some(N::DefElem(option)) = node.node else { continue };
        let value = option.arg.and_then(|node| option_text(*node)).unwrap_or_default();
        match option.defname.as_str() {
            "transaction_isolation" => modes.isolation = Some(value.to_ascii_lowercase()),
            "transaction_read_only" => modes.read_only = Some(value != "0"),
            "transaction_deferrable" => modes.deferrable = Some(value != "0"),
            _ => {}
        }
    }
    modes
}

pub(super) fn fetch(fetch: protobuf::FetchStmt) -> Lowered<Statement> {
    let n = fetch.how_many;
    let direction = match Direction::try_from(fetch.direction).unwrap_or(Direction::Undefined) {
        Direction::FetchForward => FetchDirection::Relative(n),
        Direction::FetchBackward => FetchDirection::Relative(n.saturating_neg()),
        Direction::FetchAbsolute => FetchDirection::Absolute(n),
        Direction::FetchRelative => FetchDirection::Offset(n),
        Direction::Undefined => return Err(missing()),
    };
    Ok(Statement::Fetch { cursor: fetch.portalname, direction, is_move: fetch.ismove })
}

pub(super) fn show(show: &protobuf::VariableShowStmt) -> Statement {
    let name = show.name.to_ascii_lowercase();
    Statement::Session(SessionCommand::Show((name != "all").then_some(name)))
}

pub(super) fn discard(discard: protobuf::DiscardStmt) -> Statement {
    let what = match DiscardMode::try_from(discard.target) {
        Ok(DiscardMode::DiscardPlans) => "PLANS",
        Ok(DiscardMode::DiscardSequences) => "SEQUENCES",
        Ok(DiscardMode::DiscardTemp) => "TEMP",
        _ => "ALL",
    };
    Statement::Session(SessionCommand::Discard(what))
}

pub(super) fn deallocate(deallocate: protobuf::DeallocateStmt) -> Statement {
    Statement::Deallocate(text_of(deallocate.name).filter(|_| !deallocate.isall))
}

pub(super) fn maintenance(vacuum: &protobuf::VacuumStmt) -> Statement {
    Statement::Maintenance(if vacuum.is_vacuumcmd { "VACUUM" } else { "ANALYZE" })
}

/// A setting's value as text. Only SET TIME ZONE takes an interval, and must know it from a name.
fn setting_text(node: protobuf::Node) -> Option<String> {
    let interval = matches!(node.node, Some(N::TypeCast(_)));
    let text = option_text(node)?;
    Some(if interval { format!("INTERVAL '{text}'") } else { text })
}
