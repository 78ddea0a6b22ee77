//! Both query protocols of the console.
//!
//! Describe never runs anything. After an error everything up to Sync is skipped. Start at
//! [`Session::simple`] and [`Session::extended`].

use std::sync::Arc;

use super::rows::Row;
use super::run::Answer;
use super::statement::{Prepared, What, prepare};
use super::{Block, Session, Step, Stop, order};
use crate::error::{Error, Result, state};
use crate::sql::ir::Output;
use crate::value::{Cell, Codec, Format, oid, wire as codec};
use crate::wire::{Bind, Frontend, Parse, Target, write};

/// Output beyond this is sent before more is made.
const OUTPUT_BYTES: usize = 64 << 10;
/// Prepared statements, and portals, of one session.
const NAMES_MAX: usize = 1000;

/// A statement with its parameters, and what is left of its answer.
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    params: Vec<Cell>,
    formats: Vec<Format>,
    answer: Option<(Answer, usize)>,
}

fn aborted() -> Error {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Error::client(state::IN_FAILED_SQL_TRANSACTION, message)
}

fn missing(what: &str, name: &str, code: crate::error::SqlState) -> Error {
    Error::client(code, format!("{what} \"{name}\" does not exist"))
}

impl Session {
    /// Query: any number of statements, answered with ReadyForQuery.
    pub(super) async fn simple(&mut self, sql: &str) -> Step<()> {
        self.statements.remove("");
        self.portals.remove("");
        match self.simple_statements(sql).await {
            Ok(()) => {}
            Err(Stop::Error(error)) if !error.fields().fatal => {
                self.fail();
                self.io.error(&error);
            }
            Err(stop) => return Err(stop),
        }
        self.ready();
        self.flush().await
    }

    async fn simple_statements(&mut self, sql: &str) -> Step<()> {
        let pieces = order::split(sql);
        if pieces.is_empty() {
            write::empty_query(self.io.out());
        }
        for piece in pieces {
            let prepared = prepare(piece.text, &[]).map_err(|e| e.shifted(piece.offset))?;
            self.check_block(&prepared)?;
            let answer = self.execute(&prepared, &[]).await.map_err(|stop| match stop {
                Stop::Error(e) => Stop::Error(e.shifted(piece.offset)),
                Stop::Gone => Stop::Gone,
            })?;
            if let Some(columns) = &prepared.columns {
                self.describe(columns, &[]);
                self.send(&answer, columns, &[], 0, answer.rows.len()).await?;
            }
            write::command_complete(self.io.out(), &answer.tag);
        }
        Ok(())
    }

    /// One message of the extended protocol.
    pub(super) async fn extended(&mut self, message: Frontend) -> Step<()> {
        if matches!(message, Frontend::Sync) {
            self.skipping = false;
            if matches!(self.block, Block::Idle) {
                self.portals.clear();
            }
            self.ready();
            return self.flush().await;
        }
        if self.skipping {
            return Ok(());
        }
        let own_ready = matches!(
            message,
            Frontend::FunctionCall(_) | Frontend::Malformed { kind: b'Q' | b'F', .. }
        );
        match self.extended_message(message).await {
            Err(Stop::Error(error)) if !error.fields().fatal => {
                self.fail();
                self.io.error(&error);
                if own_ready {
                    self.ready();
                } else {
                    self.skipping = true;
                }
                self.flush().await
            }
            other => other,
        }
    }

    async fn extended_message(&mut self, message: Frontend) -> Step<()> {
        match message {
            Frontend::Parse(parse) => Ok(self.parse(&parse)?),
            Frontend::Bind(bind) => Ok(self.bind(&bind)?),
            Frontend::Describe { target, name } => Ok(self.describe_target(target, &name)?),
            Frontend::Execute { portal, max_rows } => {
                self.execute_portal(&portal, usize::try_from(max_rows).unwrap_or(0)).await
            }
            Frontend::Close { target, name } => {
                match target {
                    Target::Statement => drop(self.statements.remove(name.as_str())),
                    Target::Portal => drop(self.portals.remove(name.as_str())),
                }
                write::close_complete(self.io.out());
                Ok(())
            }
            Frontend::Flush => self.flush().await,
            Frontend::FunctionCall(_) => {
                Err(Error::unsupported("the function call message").into())
            }
            Frontend::Malformed { error, .. } => Err(error.into()),
            _ => Err(Error::internal("unexpected message").into()),
        }
    }

    fn parse(&mut self, parse: &Parse) -> Result<()> {
        let types: Vec<u32> =
            parse.types.iter().map(|t| if *t == oid::UNKNOWN { 0 } else { *t }).collect();
        let pieces = order::split(&parse.sql);
        let prepared = match pieces.as_slice() {
            [] => Prepared { what: What::Empty, params: Vec::new(), columns: None },
            [one] => prepare(one.text, &types).map_err(|e| e.shifted(one.offset))?,
            _ => {
                let message = "cannot insert multiple commands into a prepared statement";
                return Err(Error::client(state::SYNTAX_ERROR, message));
            }
        };
        self.check_block(&prepared)?;
        let name = parse.name.as_str();
        if !name.is_empty() && self.statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::client(state::DUPLICATE_PREPARED_STATEMENT, message));
        }
        if self.statements.len() >= NAMES_MAX {
            let message = "too many prepared statements on the console";
            return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        write::parse_complete(self.io.out());
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<Arc<Prepared>> {
        let found = self.statements.get(name).cloned();
        found.ok_or_else(|| missing("prepared statement", name, state::INVALID_SQL_STATEMENT_NAME))
    }

    fn bind(&mut self, bind: &Bind) -> Result<()> {
        let prepared = self.statement(&bind.statement)?;
        self.check_block(&prepared)?;
        if bind.len() != prepared.params.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                bind.len(),
                bind.statement.as_str(),
                prepared.params.len()
            );
            return Err(Error::client(state::PROTOCOL_VIOLATION, message));
        }
        let style = &self.settings.derived().style;
        let param = |(i, ty): (usize, &crate::value::Type)| match bind.value(i) {
            None => Ok(Cell::Null),
            Some(bytes) => codec::read(*ty, bind.parameter_format(i), bytes, style),
        };
        let params = prepared.params.iter().enumerate().map(param).collect::<Result<_>>()?;
        let formats = bind.result_formats(prepared.columns.as_ref().map_or(0, Vec::len))?;
        let name = bind.portal.as_str();
        if !name.is_empty() && self.portals.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::client(state::DUPLICATE_CURSOR, message));
        }
        if self.portals.len() >= NAMES_MAX {
            let message = "too many portals on the console";
            return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.portals.insert(name.to_owned(), Portal { prepared, params, formats, answer: None });
        write::bind_complete(self.io.out());
        Ok(())
    }

    fn describe_target(&mut self, target: Target, name: &str) -> Result<()> {
        let (prepared, formats) = match target {
            Target::Statement => {
                let prepared = self.statement(name)?;
                let types = prepared.params.iter().map(|t| t.oid);
                write::parameter_description(self.io.out(), types);
                (prepared, Vec::new())
            }
            Target::Portal => {
                let portal = self.portals.get(name);
                let portal =
                    portal.ok_or_else(|| missing("portal", name, state::INVALID_CURSOR_NAME))?;
                (Arc::clone(&portal.prepared), portal.formats.clone())
            }
        };
        match &prepared.columns {
            Some(columns) => self.describe(columns, &formats),
            None => write::no_data(self.io.out()),
        }
        Ok(())
    }

    async fn execute_portal(&mut self, name: &str, max_rows: usize) -> Step<()> {
        let portal = self.portals.remove(name);
        let Some(mut portal) = portal else {
            return Err(missing("portal", name, state::INVALID_CURSOR_NAME).into());
        };
        self.check_block(&portal.prepared)?;
        if matches!(portal.prepared.what, What::Empty) {
            write::empty_query(self.io.out());
            self.portals.insert(name.to_owned(), portal);
            return Ok(());
        }
        let (answer, next) = match portal.answer.take() {
            Some(started) => started,
            None => (self.execute(&portal.prepared, &portal.params).await?, 0),
        };
        let left = answer.rows.len().saturating_sub(next);
        let now = if max_rows == 0 { left } else { left.min(max_rows) };
        let until = next + now;
        if let Some(columns) = &portal.prepared.columns {
            self.send(&answer, columns, &portal.formats, next, until).await?;
        }
        if until < answer.rows.len() {
            write::portal_suspended(self.io.out());
        } else {
            write::command_complete(self.io.out(), &answer.tag);
        }
        portal.answer = Some((answer, until));
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    fn check_block(&self, prepared: &Prepared) -> Result<()> {
        if self.failed() && !prepared.what.ends_block() { Err(aborted()) } else { Ok(()) }
    }

    fn describe(&mut self, columns: &[Output], formats: &[Format]) {
        let fields = columns.iter().enumerate().map(|(i, c)| write::Field {
            name: &c.name,
            table: c.origin.0,
            column: c.origin.1,
            ty: c.ty,
            format: format_of(formats, i),
        });
        write::row_description(self.io.out(), fields);
    }

    /// Sends rows `from..until` of an answer.
    async fn send(
        &mut self,
        answer: &Answer,
        columns: &[Output],
        formats: &[Format],
        from: usize,
        until: usize,
    ) -> Step<()> {
        for row in answer.rows.get(from..until).unwrap_or_default() {
            self.send_row(row, &answer.codecs, columns, formats)?;
            if self.io.out().len() >= OUTPUT_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn send_row(
        &mut self,
        row: &Row,
        codecs: &[Codec],
        columns: &[Output],
        formats: &[Format],
    ) -> Result<()> {
        let derived = Arc::clone(self.settings.derived());
        let out = self.io.out();
        let mark = write::data_row_begin(out, columns.len());
        for (i, column) in columns.iter().enumerate() {
            let cell = row.get(i).unwrap_or(&Cell::Null).as_ref();
            let stored = codecs.get(i).copied().unwrap_or(Codec::Identity);
            let format = format_of(formats, i);
            if let Err(error) = codec::write(cell, stored, column.ty, format, &derived.style, out) {
                write::abandon(out, &mark);
                return Err(error);
            }
        }
        write::end(out, &mark);
        Ok(())
    }
}

fn format_of(formats: &[Format], index: usize) -> Format {
    formats.get(index).copied().unwrap_or_default()
}
