//! Transactions: virtual BEGIN, the writer, savepoints, isolation, commit.
//!
//! Owns where a statement runs. Before a transaction's first write nothing is open on
//! SQLite; from then on the one writer is held and the savepoints are replayed on it. It
//! must never acknowledge a commit before it is durable, and never keep the writer for a
//! transaction that can only be rolled back. Start at [`Session::enter`].

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::task::block_in_place;

use super::moving::{GATE_WAIT, left_behind};
use super::settings::Snapshot;
use super::{Session, Step, Stop};
use crate::backend::Position;
use crate::backend::sqlite::ddl::Temporary;
use crate::backend::sqlite::{Connection, Mark, Writer};
use crate::cutover::gate::{Pass, Route, Wish};
use crate::error::{Error, Result, state};
use crate::schema::Catalog;
use crate::sql::ast::Modes;
use crate::value::enums::Enums;

/// State of the transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Block {
    /// Nothing has begun.
    #[default]
    Idle,
    /// A statement outside a block, a multi-statement query, or a run up to Sync.
    Implicit,
    /// After BEGIN.
    Open,
    /// After BEGIN and an error.
    Failed,
}

/// Isolation levels that differ here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Isolation {
    /// READ COMMITTED, READ UNCOMMITTED
    #[default]
    ReadCommitted,
    /// REPEATABLE READ: one snapshot.
    RepeatableRead,
    /// SERIALIZABLE: one snapshot; any commit in between is 40001 at the first write.
    Serializable,
}

impl Isolation {
    fn parse(text: &str) -> Self {
        match text {
            "repeatable read" => Self::RepeatableRead,
            "serializable" => Self::Serializable,
            _ => Self::ReadCommitted,
        }
    }
}

/// One savepoint of the client.
pub(super) struct Savepoint {
    pub(super) name: String,
    /// The capture's mark, once the savepoint exists on the writer.
    mark: Option<Mark>,
    pub(super) settings: Snapshot,
    catalog: Option<Arc<Catalog>>,
    schema_steps: usize,
    temporary: Option<Arc<Temporary>>,
    notifications: usize,
}

/// Where the snapshot of REPEATABLE READ and above is held.
pub(super) enum SnapshotOn {
    /// A connection for it alone.
    Dedicated(Connection),
    /// The session's own connection, which has its temporary tables.
    Own,
}

/// The writer while a transaction holds it.
pub(super) struct Held {
    writer: Writer,
    /// None when the session keeps a pass of its own: it holds what cannot move.
    pass: Option<Pass>,
}

/// One session's transaction.
#[derive(Default)]
pub(super) struct Transaction {
    pub(super) block: Block,
    pub(super) held: Option<Held>,
    /// REPEATABLE READ and above: the snapshot, and the last commit known before it.
    pub(super) snapshot: Option<(SnapshotOn, Position)>,
    pub(super) savepoints: Vec<Savepoint>,
    /// Start, PostgreSQL microseconds.
    pub(super) started: i64,
    pub(super) read_only: bool,
    pub(super) isolation: Isolation,
    /// As written or defaulted, for SHOW.
    pub(super) isolation_name: String,
    pub(super) deferrable: bool,
    /// A query has run: SET TRANSACTION comes too late.
    pub(super) queried: bool,
    /// What txid_current() has told; 0 before.
    pub(super) xid: AtomicU64,
    pub(super) begin: Option<Snapshot>,
    /// The catalog as changed by this transaction's DDL.
    pub(super) catalog: Option<Arc<Catalog>>,
    /// The catalog behind each schema change that the journal has noted for this transaction.
    pub(super) schema_steps: Vec<Arc<Catalog>>,
    /// The temporary tables, likewise.
    pub(super) temporary: Option<Arc<Temporary>>,
    /// The connection's system tables show this transaction's catalog.
    pub(super) shown: bool,
    pub(super) notifications: Vec<(String, String)>,
    /// LISTEN (true) and UNLISTEN of this transaction, done when it commits.
    pub(super) listens: Vec<(bool, Option<String>)>,
    /// Leave to run on SQLite until the statement ends.
    pub(super) pass: Option<Pass>,
    /// SET CONSTRAINTS … DEFERRED: foreign keys are checked at COMMIT.
    pub(super) deferred: bool,
    /// SET CONSTRAINTS as they were given: names, none for ALL, and whether DEFERRED.
    pub(super) constraints: Vec<(Vec<String>, bool)>,
    /// SQLite has rolled everything back (an interrupted write): no savepoint is left.
    lost: bool,
}

/// Where a transaction's first write goes.
enum Taken {
    Here(Held),
    /// PostgreSQL is primary.
    Elsewhere(Pass),
    /// SQLite was fenced while what the session holds kept it here.
    TooLate,
}

impl Transaction {
    /// The writer, when held.
    pub(super) fn writer(&self) -> Option<&Writer> {
        self.held.as_ref().map(|h| &h.writer)
    }

    /// The writer of this transaction, to change what it is.
    pub(super) fn writer_mut(&mut self) -> Option<&mut Writer> {
        self.held.as_mut().map(|h| &mut h.writer)
    }

    /// The connection of this transaction: the writer, else its snapshot.
    pub(super) fn connection(&self) -> Option<&Connection> {
        match (&self.held, &self.snapshot) {
            (Some(held), _) => Some(&held.writer),
            (None, Some((SnapshotOn::Dedicated(reader), _))) => Some(reader),
            (None, _) => None,
        }
    }

    /// Nesting depth, for the lifetime of cursors.
    pub(super) fn depth(&self) -> usize {
        self.savepoints.len()
    }
}

/// 25P02
pub(super) fn aborted() -> Error {
    Error::client(
        state::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// Begins a transaction that sees one state, from now on.
fn begin_snapshot(connection: &Connection) -> Result<()> {
    block_in_place(|| {
        connection.execute("BEGIN", &[])?;
        connection.execute("SELECT 1 FROM \"public\".sqlite_schema LIMIT 1", &[])
    })
    .map(drop)
}

/// The savepoint's name on SQLite: the client's may clash with an outer one.
fn name_of(index: usize) -> String {
    format!("crossfade_{index}")
}

impl Session {
    /// Passes the gate and begins an implicit transaction when none runs. Every statement
    /// except transaction control comes through here.
    ///
    /// # Errors
    /// 25P02 in a failed block.
    pub(super) async fn enter(&mut self) -> Step<()> {
        if self.transaction.block == Block::Failed {
            return Err(aborted().into());
        }
        self.pass_gate().await?;
        if self.transaction.block == Block::Idle {
            self.start_transaction(Block::Implicit);
        }
        Ok(())
    }

    pub(super) fn start_transaction(&mut self, block: Block) {
        let derived = Arc::clone(self.settings.derived());
        let t = &mut self.transaction;
        t.block = block;
        t.started = self.message_at;
        t.read_only = derived.read_only;
        t.isolation = Isolation::parse(&derived.isolation);
        t.isolation_name.clone_from(&derived.isolation);
        t.deferrable = false;
        t.queried = false;
        t.deferred = false;
        t.constraints.clear();
        t.lost = false;
        t.xid = AtomicU64::new(0);
        t.begin = Some(self.settings.snapshot());
    }

    /// BEGIN, START TRANSACTION
    pub(super) async fn begin(&mut self, modes: &Modes) -> Step<()> {
        match self.transaction.block {
            Block::Failed => return Err(aborted().into()),
            Block::Open => {
                self.warning(
                    state::ACTIVE_SQL_TRANSACTION,
                    "there is already a transaction in progress",
                );
            }
            Block::Idle => {
                self.pass_gate().await?;
                self.start_transaction(Block::Open);
            }
            // What ran before in this run belongs to the block.
            Block::Implicit => self.transaction.block = Block::Open,
        }
        self.set_modes(modes)
    }

    /// SET TRANSACTION, and the modes of BEGIN.
    pub(super) fn set_modes(&mut self, modes: &Modes) -> Step<()> {
        let t = &mut self.transaction;
        if let Some(level) = &modes.isolation {
            let isolation = Isolation::parse(level);
            if t.queried && isolation != t.isolation {
                return Err(Error::client(
                    state::ACTIVE_SQL_TRANSACTION,
                    "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                )
                .into());
            }
            t.isolation = isolation;
            t.isolation_name.clone_from(level);
        }
        if let Some(read_only) = modes.read_only {
            if !read_only && t.read_only && t.queried {
                return Err(Error::client(
                    state::ACTIVE_SQL_TRANSACTION,
                    "transaction read-write mode must be set before any query",
                )
                .into());
            }
            t.read_only = read_only;
        }
        if let Some(deferrable) = modes.deferrable {
            t.deferrable = deferrable;
        }
        Ok(())
    }

    /// The catalog this session sees.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        if let Some(own) = &self.transaction.catalog {
            return Arc::clone(own);
        }
        let shared = self.shared.sqlite.catalog();
        if self.types.any_temporary() { self.overlay(shared) } else { shared }
    }

    /// The shared catalog with this session's temporary types, under a version of its own.
    fn overlay(&self, shared: Arc<Catalog>) -> Arc<Catalog> {
        let mut overlaid = self.overlaid.lock();
        if let Some((base, own)) = &*overlaid
            && Arc::ptr_eq(base, &shared)
        {
            return Arc::clone(own);
        }
        let mut own = Catalog::clone(&shared);
        own.enums = Arc::new(shared.enums.joined(&self.types));
        own.version = self.shared.visible.new_version();
        let own = Arc::new(own);
        *overlaid = Some((shared, Arc::clone(&own)));
        own
    }

    /// Takes a committing transaction's temporary types out of the catalog that everybody is
    /// to see.
    fn keep_types(&self, catalog: &mut Option<Arc<Catalog>>) -> Option<Arc<Enums>> {
        let catalog = catalog.as_mut()?;
        if !catalog.enums.any_temporary() && !self.types.any_temporary() {
            return None;
        }
        let own = catalog.enums.only_temporary();
        let kept = catalog.enums.without_temporary();
        Arc::make_mut(catalog).enums = Arc::new(kept);
        Some(Arc::new(own))
    }

    /// The temporary tables this session sees.
    pub(super) fn temporary(&self) -> &Arc<Temporary> {
        self.transaction.temporary.as_ref().unwrap_or(&self.temporary)
    }

    /// The connection of the transaction, or the session's own.
    pub(super) fn connection(&self) -> Option<&Connection> {
        self.transaction.connection().or(self.own.as_ref())
    }

    /// Takes the writer for this transaction, if it is not held yet: the fair queue, then
    /// BEGIN IMMEDIATE, then the client's savepoints again.
    pub(super) async fn take_writer(&mut self) -> Step<()> {
        if self.transaction.held.is_some() {
            return Ok(());
        }
        if self.transaction.lost {
            return Err(aborted().into());
        }
        self.set_aside_live()?;
        let began = self.shared.clock.instant();
        let shared = Arc::clone(&self.shared);
        // A session with advisory locks may be waited for by the writer: a cycle is 40P01.
        let waiting = match self.held.is_empty() {
            true => None,
            false => Some(shared.locks.wait_for_writer(self.pid)?),
        };
        // A drain waits for those who are inside: who waits for it must not be, unless it
        // holds what the drain waits for anyway.
        let fast = self.holds_fast();
        let inside = fast.and(self.transaction.pass.as_ref()).map(Pass::route);
        if inside.is_none() {
            self.transaction.pass = None;
        }
        let (gate, sqlite) = (Arc::clone(&shared.gate), shared.sqlite.clone());
        let room = shared.room.clone();
        let own = self.own.take();
        let own_connection = own.as_ref();
        let on_own = matches!(self.transaction.snapshot, Some((SnapshotOn::Own, _)));
        let taken = self
            .wait_for_writer(async move {
                loop {
                    room.wait().await;
                    let pass = match inside {
                        Some(_) => None,
                        None => Some(gate.pass(Wish::Write, GATE_WAIT).await?),
                    };
                    let pass = match pass {
                        Some(pass) if matches!(pass.route(), Route::Postgres(_)) => {
                            return Ok(Taken::Elsewhere(pass));
                        }
                        pass => pass,
                    };
                    let writer = match own_connection {
                        Some(own) => {
                            // The snapshot ends where the writer begins: the same state, or
                            // 40001 below.
                            if on_own && own.in_transaction() {
                                own.execute("ROLLBACK", &[])?;
                            }
                            sqlite.writer_on(own, None).await?
                        }
                        None => sqlite.writer(None).await?,
                    };
                    if inside.is_some_and(|route| !gate.may_write(route)) {
                        return Ok(Taken::TooLate);
                    }
                    // One that wrote before may have filled the journal, and the drain may have
                    // begun while the writer was waited for.
                    if room.is_full() {
                        continue;
                    }
                    if pass.as_ref().is_none_or(|pass| gate.still_open(pass)) {
                        return Ok(Taken::Here(Held { writer, pass }));
                    }
                }
            })
            .await;
        self.own = own;
        drop(waiting);
        if on_own && taken.is_err() {
            // The snapshot is gone, and nothing may be read as if it were not.
            self.transaction.lost = true;
        }
        let held = match taken? {
            Taken::Here(held) => held,
            Taken::Elsewhere(pass) => {
                self.moving = Some(pass);
                return Err(Stop::Move);
            }
            Taken::TooLate => return Err(left_behind(fast.unwrap_or_default()).into()),
        };
        shared.observer.waited(shared.clock.instant().duration_since(began));
        shared.locks.writer(self.pid, true);
        let snapshot = self.transaction.snapshot.take();
        if let Some((_, position)) = &snapshot
            && held.writer.position() != position.next()
        {
            self.transaction.lost = true;
            shared.locks.writer(self.pid, false);
            return Err(Error::primary(
                state::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent update",
            )
            .retryable()
            .into());
        }
        drop(snapshot);
        if self.transaction.deferred {
            block_in_place(|| held.writer.batch("PRAGMA defer_foreign_keys = ON"))?;
        }
        self.transaction.held = Some(held);
        self.replay_savepoints()?;
        Ok(())
    }

    fn replay_savepoints(&mut self) -> Result<()> {
        let t = &mut self.transaction;
        let Some(held) = &t.held else { return Ok(()) };
        for (index, savepoint) in t.savepoints.iter_mut().enumerate() {
            savepoint.mark = Some(block_in_place(|| held.writer.savepoint(&name_of(index)))?);
        }
        Ok(())
    }

    /// The snapshot of REPEATABLE READ and above, taken at the first query.
    pub(super) async fn take_snapshot(&mut self) -> Step<()> {
        if self.transaction.snapshot.is_some() || self.transaction.held.is_some() {
            return Ok(());
        }
        let sqlite = self.shared.sqlite.clone();
        // Read before the snapshot: a commit in between is then taken for a conflict, and
        // never the other way round.
        let position = sqlite.position();
        if let Some(own) = &self.own {
            begin_snapshot(own)?;
            self.transaction.snapshot = Some((SnapshotOn::Own, position));
            return Ok(());
        }
        // A client that thinks must not keep a pooled reader from the others.
        let connection = block_in_place(|| sqlite.dedicated())?;
        begin_snapshot(&connection)?;
        self.transaction.snapshot = Some((SnapshotOn::Dedicated(connection), position));
        Ok(())
    }

    /// Lets go of the snapshot; nothing was written on it.
    fn end_snapshot(&mut self) {
        let held = self.transaction.snapshot.take();
        if let (Some((SnapshotOn::Own, _)), Some(own)) = (held, &self.own)
            && own.in_transaction()
            && let Err(error) = block_in_place(|| own.execute("ROLLBACK", &[]))
        {
            tracing::error!(%error, "a snapshot could not be let go of");
        }
    }

    /// SAVEPOINT
    pub(super) fn savepoint(&mut self, name: &str) -> Step<()> {
        self.in_block("SAVEPOINT")?;
        if self.transaction.block == Block::Failed {
            return Err(aborted().into());
        }
        self.push_savepoint(name).map(drop)
    }

    /// Makes a savepoint, in a block or not; how many there were before.
    pub(super) fn push_savepoint(&mut self, name: &str) -> Step<usize> {
        self.set_aside_live()?;
        let settings = self.settings.snapshot();
        let t = &mut self.transaction;
        let index = t.savepoints.len();
        let mark = match &t.held {
            None => None,
            Some(held) => Some(block_in_place(|| held.writer.savepoint(&name_of(index)))?),
        };
        t.savepoints.push(Savepoint {
            name: name.to_owned(),
            mark,
            settings,
            catalog: t.catalog.clone(),
            schema_steps: t.schema_steps.len(),
            temporary: t.temporary.clone(),
            notifications: t.notifications.len(),
        });
        Ok(index)
    }

    /// RELEASE SAVEPOINT
    pub(super) fn release(&mut self, name: &str) -> Step<()> {
        self.in_block("RELEASE SAVEPOINT")?;
        if self.transaction.block == Block::Failed {
            return Err(aborted().into());
        }
        self.set_aside_live()?;
        let index = self.find_savepoint(name)?;
        self.drop_savepoint(index)
    }

    /// Forgets a savepoint and those behind it, and keeps what has been done.
    pub(super) fn drop_savepoint(&mut self, index: usize) -> Step<()> {
        self.set_aside_live()?;
        let t = &mut self.transaction;
        if let Some(held) = &t.held {
            block_in_place(|| held.writer.release(&name_of(index)))?;
        }
        t.savepoints.truncate(index);
        self.portals.released(index);
        Ok(())
    }

    /// ROLLBACK TO SAVEPOINT
    pub(super) fn rollback_to(&mut self, name: &str) -> Step<()> {
        self.in_block("ROLLBACK TO SAVEPOINT")?;
        let index = self.find_savepoint(name)?;
        if self.transaction.lost {
            return Err(Error::client(
                state::IN_FAILED_SQL_TRANSACTION,
                "the interrupted statement has ended the whole transaction",
            )
            .hint("Send ROLLBACK and begin again.")
            .into());
        }
        self.undo_to_savepoint(index)?;
        self.transaction.block = Block::Open;
        Ok(())
    }

    /// Whether anything of this transaction can be undone without the rest.
    pub(super) fn can_undo(&self) -> bool {
        let t = &self.transaction;
        !t.lost && t.held.as_ref().is_none_or(|held| held.writer.in_transaction())
    }

    /// Undoes what has been done since a savepoint.
    pub(super) fn undo_to_savepoint(&mut self, index: usize) -> Step<()> {
        self.portals.rolled_back(index + 1);
        self.set_aside_live()?;
        let t = &mut self.transaction;
        t.savepoints.truncate(index + 1);
        let Some(savepoint) = t.savepoints.last() else { return Ok(()) };
        if let (Some(held), Some(mark)) = (&t.held, &savepoint.mark) {
            block_in_place(|| held.writer.rollback_to(&name_of(index), *mark))?;
        }
        t.catalog.clone_from(&savepoint.catalog);
        t.schema_steps.truncate(savepoint.schema_steps);
        t.temporary.clone_from(&savepoint.temporary);
        t.notifications.truncate(savepoint.notifications);
        self.settings.restore(&savepoint.settings);
        if t.shown {
            self.show_own()?;
        }
        Ok(())
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        self.transaction.savepoints.iter().rposition(|s| s.name == name).ok_or_else(|| {
            Error::client(state::INVALID_SAVEPOINT, format!("savepoint \"{name}\" does not exist"))
        })
    }

    /// 25P01 unless a block is open.
    pub(super) fn in_block(&self, what: &str) -> Result<()> {
        if matches!(self.transaction.block, Block::Open | Block::Failed) {
            return Ok(());
        }
        Err(Error::client(
            state::NO_ACTIVE_SQL_TRANSACTION,
            format!("{what} can only be used in transaction blocks"),
        ))
    }

    /// COMMIT, END. Returns the command tag: a failed block is rolled back.
    pub(super) async fn commit_block(&mut self, chain: bool) -> Step<&'static str> {
        let modes = self.chained_modes(chain)?;
        let tag = match self.transaction.block {
            Block::Failed => {
                self.roll_back();
                "ROLLBACK"
            }
            block => {
                if block != Block::Open {
                    self.warning(
                        state::NO_ACTIVE_SQL_TRANSACTION,
                        "there is no transaction in progress",
                    );
                }
                self.commit().await?;
                "COMMIT"
            }
        };
        self.chain(modes).await?;
        Ok(tag)
    }

    /// ROLLBACK, ABORT
    pub(super) async fn rollback_block(&mut self, chain: bool) -> Step<()> {
        let modes = self.chained_modes(chain)?;
        if matches!(self.transaction.block, Block::Idle | Block::Implicit) {
            self.warning(state::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
        }
        self.roll_back();
        self.chain(modes).await
    }

    fn chained_modes(&self, chain: bool) -> Result<Option<Modes>> {
        if !chain {
            return Ok(None);
        }
        self.in_block("COMMIT AND CHAIN")?;
        let t = &self.transaction;
        Ok(Some(Modes {
            isolation: Some(t.isolation_name.clone()),
            read_only: Some(t.read_only),
            deferrable: Some(t.deferrable),
        }))
    }

    async fn chain(&mut self, modes: Option<Modes>) -> Step<()> {
        match modes {
            Some(modes) => self.begin(&modes).await,
            None => Ok(()),
        }
    }

    /// Commits what has begun, block or not, and waits until it is durable. On failure
    /// everything is rolled back.
    pub(super) async fn commit(&mut self) -> Step<()> {
        if self.transaction.block == Block::Idle {
            return Ok(());
        }
        self.portals.end_transaction();
        self.end_snapshot();
        if let Err(error) = self.on_commit() {
            self.roll_back();
            return Err(self.describe(error).into());
        }
        self.show_shared();
        let mut pending_temporary = None;
        if let Some(held) = self.transaction.held.take() {
            let Held { writer, pass } = held;
            // Until the statement ends: it may leave behind what cannot move.
            if pass.is_some() {
                self.transaction.pass = pass;
            }
            let mut catalog = self.transaction.catalog.take();
            let types = self.keep_types(&mut catalog);
            let steps = std::mem::take(&mut self.transaction.schema_steps);
            if let Some(temporary) = self.transaction.temporary.take() {
                pending_temporary = Some(temporary);
            }
            let shared = Arc::clone(&self.shared);
            let committed = block_in_place(|| {
                writer.commit_with(|committed| {
                    // Nobody may write before the new catalog is what everyone sees.
                    if let Some(catalog) = catalog {
                        shared.visible.publish(catalog, steps, committed.position);
                    }
                })
            });
            shared.locks.writer(self.pid, false);
            match committed {
                Ok(committed) => {
                    if let Some(types) = types {
                        self.types = types;
                        *self.overlaid.lock() = None;
                    }
                    if let Some(temporary) = pending_temporary {
                        self.temporary = temporary;
                        if self.temporary.is_empty() {
                            self.own = None;
                        }
                    }
                    shared.sqlite.wait_committed(committed).await?;
                }
                Err(error) => {
                    self.roll_back();
                    return Err(self.describe(error).into());
                }
            }
        }
        // First: who listens from now on hears what the same transaction sends.
        for (listen, channel) in std::mem::take(&mut self.transaction.listens) {
            match (listen, channel) {
                (true, Some(channel)) => self.inbox.listen(&channel),
                (_, channel) => self.inbox.unlisten(channel.as_deref()),
            }
        }
        for (channel, payload) in std::mem::take(&mut self.transaction.notifications) {
            self.shared.hub.send(super::notify::Notification { pid: self.pid, channel, payload });
        }
        self.settings.end_local();
        self.end_transaction();
        Ok(())
    }

    /// Undoes what has begun, block or not.
    pub(super) fn roll_back(&mut self) {
        if self.transaction.block == Block::Idle {
            return;
        }
        self.portals.abort_transaction();
        self.release_writer();
        if let Some(begin) = self.transaction.begin.take() {
            self.settings.restore(&begin);
        }
        self.settings.end_local();
        self.transaction.notifications.clear();
        self.end_transaction();
    }

    fn release_writer(&mut self) {
        self.show_shared();
        self.transaction.temporary = None;
        self.end_snapshot();
        self.transaction.catalog = None;
        self.transaction.schema_steps.clear();
        if let Some(held) = self.transaction.held.take() {
            let Held { writer, pass } = held;
            if pass.is_some() {
                self.transaction.pass = pass;
            }
            block_in_place(|| writer.rollback());
            self.shared.locks.writer(self.pid, false);
        }
    }

    fn end_transaction(&mut self) {
        self.held.end_transaction(&self.shared.locks, self.pid);
        self.large.clear();
        let t = &mut self.transaction;
        t.block = Block::Idle;
        t.savepoints.clear();
        t.begin = None;
        t.catalog = None;
        t.schema_steps.clear();
        t.temporary = None;
        t.lost = false;
        t.listens.clear();
    }

    /// A statement failed: an implicit transaction ends, a block waits for its ROLLBACK. A
    /// block that can only be rolled back gives the writer back at once.
    pub(super) fn fail(&mut self) {
        drop(self.requests.take());
        match self.transaction.block {
            Block::Idle | Block::Failed => {}
            Block::Implicit => self.roll_back(),
            Block::Open => {
                self.transaction.block = Block::Failed;
                self.portals.abort_running();
                let t = &mut self.transaction;
                if t.held.as_ref().is_some_and(|h| !h.writer.in_transaction()) {
                    t.lost = true;
                }
                if t.savepoints.is_empty() || t.lost {
                    self.release_writer();
                }
            }
        }
    }

    /// Fills in what only the catalog knows about an error.
    pub(super) fn describe(&self, error: Error) -> Error {
        let error = match error.fields().culprit {
            // SQLite's positions are in the text we printed, not in the client's.
            crate::error::Culprit::Primary => error.without_position(),
            _ => error,
        };
        super::cancel::reason(&self.cancel, self.deadline, self.shared.clock.instant(), error)
    }
}
