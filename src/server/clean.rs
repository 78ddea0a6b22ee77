//! `crossfade complete --clean FILE`: what is left of a move in the SQLite file goes.
//!
//! Owns the question whether the file may become a plain one: only where it knows that PostgreSQL
//! reigns alone, and while no proxy serves it. It must never ask a running proxy: there must be none.
//! Start at [`clean`].

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::backend::sqlite::{Connection, plain};
use crate::cli::{self, OrderArgs, exit, out};
use crate::count::counted;
use crate::cutover::facts;
use crate::cutover::phase::Phase;
use crate::error::{Culprit, Error, Result, state};

/// Runs the verb on this file.
pub fn clean(args: &OrderArgs, file: &Path) -> ExitCode {
    if args.dry_run {
        out::line(format_args!("{} would become a plain SQLite file", file.display()));
        return ExitCode::from(exit::DONE);
    }
    if let Err(code) = cli::confirmed("complete", args) {
        return ExitCode::from(code);
    }
    match plain::make_plain(file, over) {
        Ok(tables) => {
            tell(args.admin.json, file, tables);
            ExitCode::from(exit::DONE)
        }
        Err(error) => {
            super::complain(&error);
            if args.admin.json {
                let fields = error.fields();
                let code = fields.sqlstate.to_string();
                out::json(&out::error(&code, &fields.message, fields.hint.as_deref()));
            }
            ExitCode::from(match error.sqlstate() {
                state::OBJECT_NOT_IN_PREREQUISITE_STATE => exit::REFUSED,
                _ => exit::UNREACHABLE,
            })
        }
    }
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

fn tell(in_json: bool, file: &Path, tables: u64) {
    if in_json {
        out::json(&json!({ "file": file, "tables_dropped": tables, "journal_mode": "delete" }));
        return;
    }
    let (file, tables) = (file.display(), counted(tables, "table"));
    out::line(format_args!("{file} is a plain SQLite file: {tables} of Crossfade's dropped"));
    out::talk(format_args!(
        "left beside it: {file}-crossfade.jsonl, which knows of the switch, and the lock file; on \
         PostgreSQL: schema crossfade, which keeps old copies of the file from being served\n"
    ));
}
