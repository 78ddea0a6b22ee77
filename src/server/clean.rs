//! `crossfade complete --clean FILE`: what is left of a move in the SQLite file goes.
//!
//! Owns the question whether the file may become a plain one: only where it knows that PostgreSQL
//! reigns alone, and while no proxy serves it. It must never ask a running proxy: there must be none.
//! Start at [`clean`].

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::backend::sqlite::Connection;
use crate::backend::sqlite::plain::Plain;
use crate::cli::{self, OrderArgs, exit, out};
use crate::count::counted;
use crate::cutover::facts;
use crate::cutover::phase::Phase;
use crate::error::{Culprit, Error, Result, state};

/// Runs the verb on this file.
pub fn clean(args: &OrderArgs, file: &Path) -> ExitCode {
    let done = (|| {
        let plain = Plain::look(file, over)?;
        if args.dry_run {
            tell(args.admin.json, plain.path(), None);
            return Ok(exit::DONE);
        }
        if let Err(code) = cli::confirmed("complete", args) {
            return Ok(code);
        }
        let tables = plain.make()?;
        tell(args.admin.json, plain.path(), Some(tables));
        Ok(exit::DONE)
    })();
    ExitCode::from(done.unwrap_or_else(|error: Error| {
        super::complain(&error);
        if args.admin.json {
            let fields = error.fields();
            let code = fields.sqlstate.to_string();
            out::json(&out::error(&code, &fields.message, fields.hint.as_deref()));
        }
        match error.sqlstate() {
            state::OBJECT_NOT_IN_PREREQUISITE_STATE => exit::REFUSED,
            state::CONFIG_FILE_ERROR => exit::USAGE,
            state::INTERNAL_ERROR => exit::BUG,
            _ => exit::UNREACHABLE,
        }
    }))
}

/// Whether the move is over for this file. Its phase is what `complete` wrote.
fn over(file: &Connection) -> Result<()> {
    let (_, phase) = facts::load(file)?;
    if phase == Phase::Complete {
        return Ok(());
    }
    let message = format!("the phase of the SQLite file is {}, not complete", phase.as_str());
    Err(Error::new(Culprit::Client, state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("Its tables say who is primary until then: crossfade complete ends the way back."))
}

/// `tables`: how many were dropped; None where nothing was done.
fn tell(in_json: bool, file: &Path, tables: Option<u64>) {
    if in_json {
        let mode = tables.map(|_| "delete");
        out::json(&json!({ "file": file, "tables_dropped": tables, "journal_mode": mode }));
        return;
    }
    let file = file.display();
    let Some(tables) = tables else {
        out::line(format_args!("{file} would become a plain SQLite file"));
        out::talk(
            "with the tables goes what only they hold: views, functions and comments that were made \
             through Crossfade, and in which form it stored values of their tables' columns\n",
        );
        return;
    };
    let tables = counted(tables, "table");
    out::line(format_args!("{file} is a plain SQLite file: {tables} of Crossfade's dropped"));
    out::talk(format_args!(
        "left beside it: {file}-crossfade.jsonl, which knows of the switch, and the lock file; on \
         PostgreSQL: schema crossfade, which keeps old copies of the file from being served\n"
    ));
}
