//! CREATE DATABASE and DROP DATABASE, where every database name reaches the same pair.
//!
//! Owns their answers. It must never pretend to have made or dropped anything.

use super::reply::Tag;
use super::write::Severity;
use super::{Session, Step};
use crate::error::{Error, state};

impl Session {
    /// Any name reaches the data, unless the configuration names the only one; none but the
    /// session's own is shown, and none can be dropped.
    pub(super) fn database_command(
        &mut self,
        name: &str,
        create: bool,
        if_exists: bool,
    ) -> Step<Tag> {
        let verb = if create { "CREATE DATABASE" } else { "DROP DATABASE" };
        self.outside_block(verb)?;
        if create && self.shared.database.as_ref().is_none_or(|only| only == name) {
            let message = format!("database \"{name}\" already exists");
            return Err(Error::client(state::DUPLICATE_DATABASE, message)
                .hint("While SQLite is primary every database name reaches the same data.")
                .into());
        }
        if !create && name == self.database {
            let message = "cannot drop the currently open database";
            return Err(Error::client(state::OBJECT_IN_USE, message).into());
        }
        // As pg_database shows it: no other is there.
        if !create {
            let message = format!("database \"{name}\" does not exist");
            if if_exists {
                let skipped = Error::client(state::SUCCESSFUL_COMPLETION, message + ", skipping");
                self.notice(Severity::Notice, &skipped);
                return Ok(verb.into());
            }
            return Err(Error::client(state::INVALID_CATALOG_NAME, message).into());
        }
        Err(Error::unsupported(verb)
            .hint("Crossfade serves one pair of databases; make another with a proxy of its own.")
            .into())
    }
}
