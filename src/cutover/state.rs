//! What each back end durably knows about the switch.

use std::collections::BTreeMap;

/// Number of a primary's reign. Rises with every decided or abandoned switch.
pub type Epoch = u64;

/// A point of a history: a position and the hash of the record there, which covers all
/// records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Point {
    /// Position; 0 before the first commit.
    pub position: u64,
    /// SHA-256 chained over all records up to the position.
    pub hash: [u8; 32],
}

/// Which PostgreSQL this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct System {
    /// `system_identifier` of pg_control_system().
    pub identifier: u64,
    /// Timeline; a failover or a point-in-time restore raises it.
    pub timeline: u32,
}

/// SQLite's part, stored in the application's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqliteState {
    /// Epoch this side knows of.
    pub epoch: Epoch,
    /// Role in that epoch.
    pub role: SqliteRole,
}

/// SQLite's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqliteRole {
    /// Serves clients.
    Primary,
    /// Serves clients again after a rollback, but PostgreSQL may not have stored the return
    /// yet: that comes before the first client.
    Returned(Point),
    /// Accepts no writes: the last transaction wrote this. `epoch + 1` is being decided.
    Fenced {
        /// Final point of SQLite's history.
        at: Point,
        /// The PostgreSQL that is to decide.
        system: System,
    },
    /// Follows PostgreSQL, which was promoted under `epoch`.
    Shadow {
        /// The PostgreSQL that decided.
        system: System,
    },
}

/// PostgreSQL's part, stored in schema `crossfade` of the application's database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PostgresState {
    /// Which server this is.
    pub system: System,
    /// One record for each epoch: a unique key, so that only the first of two can land.
    pub records: BTreeMap<Epoch, Record>,
    /// Last point of SQLite's history applied here.
    pub applied: Point,
    /// Whether SQLite's journal holds exactly `applied` (or ends there, or was trimmed there).
    pub applied_is_known: bool,
    /// The application role is shut out.
    pub fenced: bool,
    /// It was found to lack what SQLite has followed, and a person has not decided otherwise.
    pub disowned: bool,
    /// Its log reaches to where SQLite has followed it, or SQLite has followed nothing.
    pub place_is_known: bool,
}

/// What PostgreSQL recorded under an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// PostgreSQL became primary.
    Decided,
    /// The attempt was given up; the number is burned.
    Abandoned,
    /// SQLite became primary again (the decision itself is in SQLite).
    Returned,
}

/// What the driver could learn about PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PostgresView {
    /// None is configured: phase direct.
    Absent,
    /// No answer.
    Unreachable,
    /// Another proxy holds the lock of this pair.
    Locked,
    /// Answered.
    Reachable(PostgresState),
}

/// What this installation has seen, kept in Crossfade's own state file: it notices a restored
/// file even while PostgreSQL does not answer, or when both sides were restored.
///
/// `attempted` is raised after SQLite is fenced and before a decision is sent; an attempt given
/// up burns its number on SQLite too, so that SQLite's epoch never stays behind by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Witness {
    /// Highest epoch a decision may have been sent for.
    pub attempted: Epoch,
    /// Highest epoch under which a client was served.
    pub served: Epoch,
}

impl Witness {
    /// Notes that clients are about to be served under this epoch.
    pub fn serve(&mut self, epoch: Epoch) {
        self.served = self.served.max(epoch);
        self.attempted = self.attempted.max(epoch);
    }
}
