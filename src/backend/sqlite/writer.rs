//! One writing transaction.
//!
//! Owns [`Writer`]: the writer's turn, BEGIN IMMEDIATE, the captured images with their
//! marks, the journal record, COMMIT. Dropping it rolls back and frees the turn at once.
//! It must never commit when an image may be missing. Start at [`Writer::commit`].

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection::Connection;
use super::durable::{self, Point};
use super::events::Event;
use super::hooks::Capture;
use super::queue::Turn;
use super::recorder::{PART, Recording};
use super::{Core, Durability};
use crate::backend::Position;
use crate::error::{Error, Result, state};
use crate::failpoint;

/// Captured bytes that are written to the journal between two statements.
const FLUSH: u64 = PART as u64;

/// A transaction that writes. Derefs to its [`Connection`].
pub struct Writer {
    core: Arc<Core>,
    conn: Connection,
    /// The shared writer connection goes back to its place; a session's own does not.
    shared: bool,
    /// Position the transaction will have if it commits something.
    position: Position,
    recording: Mutex<Option<Box<dyn Recording>>>,
    capture: Option<Arc<Mutex<Capture>>>,
    schema_changes: AtomicUsize,
    /// The file's objects may be other ones than before this transaction.
    altered: AtomicBool,
    /// None once the transaction has ended.
    turn: Option<Turn>,
}

/// A place in a transaction's record: before a statement, or at a savepoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    offset: u64,
    parts: u32,
    /// Nothing was pending: SQLite drops exactly the parts after it on ROLLBACK TO.
    boundary: bool,
}

/// A transaction that is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its position; the last one before it when it changed nothing worth a number.
    pub position: Position,
    pub(super) point: Point,
}

impl Deref for Writer {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.conn
    }
}

impl Writer {
    /// Begins the transaction. The turn is held.
    pub(super) async fn begin(
        core: Arc<Core>,
        conn: Connection,
        shared: bool,
        turn: Turn,
        deadline: Option<Instant>,
    ) -> Result<Self> {
        let recorder = core.recorder();
        let mut writer = Self {
            position: core.durable.committed().position.next(),
            recording: Mutex::new(None),
            capture: None,
            schema_changes: AtomicUsize::new(0),
            altered: AtomicBool::new(false),
            turn: Some(turn),
            core,
            conn,
            shared,
        };
        if recorder.is_some() {
            // Before BEGIN: installing forgets statements compiled without the hook.
            writer.capture = Some(writer.conn.capture()?.clone());
        }
        let catalog = writer.core.catalog.read().clone();
        writer.conn.bring_triggers(&catalog.fired)?;
        if !writer.conn.in_transaction() {
            writer.begin_immediate(deadline).await?;
        }
        failpoint!("writer.begun");
        if let (Some(recorder), Some(capture)) = (recorder, &writer.capture) {
            *writer.recording.lock() = Some(recorder.begin(writer.position));
            let virtual_tables = writer.core.virtual_tables(&writer.conn)?;
            let total = writer.conn.total_changes();
            capture.lock().begin(total, virtual_tables);
        }
        Ok(writer)
    }

    /// BEGIN IMMEDIATE. Only a foreign program can be in the way; SQLite would wait for it
    /// by blocking the thread, so we wait here.
    async fn begin_immediate(&self, deadline: Option<Instant>) -> Result<()> {
        let patience = Instant::now() + self.core.options.busy_timeout;
        let until = deadline.map_or(patience, |d| d.min(patience));
        let mut pause = Duration::from_millis(1);
        loop {
            match self.conn.execute("BEGIN IMMEDIATE", &[]) {
                Ok(_) => return Ok(()),
                Err(e) if e.sqlstate() == state::LOCK_NOT_AVAILABLE && Instant::now() < until => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Makes the connection the caller's own: it does not go back when the transaction ends,
    /// and what it has for itself (temporary tables) stays. The next writer opens another.
    pub fn detach(&mut self) -> Result<Connection> {
        if self.shared {
            // As a session's connection waits for locks from its beginning.
            let patience = self.core.options.busy_timeout.as_millis();
            self.conn.batch(&format!("PRAGMA busy_timeout = {patience}"))?;
            self.shared = false;
        }
        Ok(self.conn.share())
    }

    /// The position this transaction will have.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether changes are being recorded (false in phase direct).
    pub fn recording(&self) -> bool {
        self.capture.is_some()
    }

    /// Whether anything of this transaction has been recorded so far.
    pub fn has_recorded(&self) -> bool {
        let Some(capture) = &self.capture else { return false };
        self.recording.lock().as_ref().is_some_and(|r| r.parts() > 0)
            || capture.lock().stream.end() > 0
    }

    /// A mark before a statement, with the one before it done. Large records are written
    /// to the journal here.
    pub fn mark(&self) -> Result<Mark> {
        let Some(capture) = &self.capture else { return Ok(Mark::default()) };
        self.check();
        if capture.lock().stream.len() >= FLUSH {
            self.flush()?;
        }
        Ok(self.here(capture))
    }

    fn here(&self, capture: &Mutex<Capture>) -> Mark {
        let parts = self.recording.lock().as_ref().map_or(0, |r| r.parts());
        let capture = capture.lock();
        let offset = capture.stream.end();
        Mark { offset, parts, boundary: capture.stream.len() == 0 }
    }

    /// Drops what was recorded after a mark, when its statement has failed. SQLite undoes a
    /// failed statement, except under ON CONFLICT FAIL: unless the caller knows better,
    /// only [`Writer::rollback_to`] or a rollback may follow, as in PostgreSQL.
    pub fn truncate(&self, mark: Mark) -> Result<()> {
        let Some(capture) = &self.capture else { return Ok(()) };
        let total = self.conn.total_changes();
        // Always in this order: the hook takes the capture while parts are written.
        let mut recording = self.recording.lock();
        let mut capture = capture.lock();
        capture.rebase(total);
        if capture.stream.truncate(mark.offset)? {
            return Ok(());
        }
        if mark.boundary
            && let Some(recording) = recording.as_mut()
        {
            recording.rewind(mark.parts);
            capture.stream.restart(mark.offset);
            return Ok(());
        }
        let error = Error::internal("a savepoint was set without writing the journal first");
        capture.fail(error.clone());
        Err(error)
    }

    /// Sets a savepoint; what is pending goes to the journal first, so that ROLLBACK TO
    /// drops exactly what came after.
    pub fn savepoint(&self, name: &str) -> Result<Mark> {
        let mark = match &self.capture {
            None => Mark::default(),
            Some(capture) => {
                self.check();
                self.flush()?;
                self.here(capture)
            }
        };
        self.conn.execute(&format!("SAVEPOINT {}", quoted(name)), &[])?;
        Ok(mark)
    }

    /// Goes back to a savepoint, which stays set.
    pub fn rollback_to(&self, name: &str, mark: Mark) -> Result<()> {
        self.conn.execute(&format!("ROLLBACK TO {}", quoted(name)), &[])?;
        self.truncate(mark)
    }

    /// Forgets a savepoint and keeps what came after it.
    pub fn release(&self, name: &str) -> Result<()> {
        self.conn.execute(&format!("RELEASE {}", quoted(name)), &[]).map(|_| ())
    }

    /// Events recorded since a mark. None when nothing is recorded (phase direct), or when
    /// they have been written to the journal already (a later mark or savepoint).
    pub fn images_since(&self, mark: Mark) -> Result<Option<Vec<Event>>> {
        let Some(capture) = &self.capture else { return Ok(None) };
        self.check();
        let capture = capture.lock();
        capture.fault()?;
        if mark.offset < capture.stream.start() {
            return Ok(None);
        }
        Event::decode_all(&capture.stream.copy_from(mark.offset)?).map(Some)
    }

    /// Switches row images off (true) or on again: for rebuilds, CREATE TABLE AS and
    /// TRUNCATE, which are recorded as events of their own.
    pub fn mute(&self, muted: bool) {
        if let Some(capture) = &self.capture {
            self.check();
            let total = self.conn.total_changes();
            capture.lock().mute(muted, total);
        }
    }

    /// Before a schema change: what a foreign program has changed just now must not pass for ours.
    pub fn look_at_schema(&self) -> Result<()> {
        match self.altered.swap(true, Ordering::Relaxed) {
            true => Ok(()),
            false => self.core.look_for_foreign_schema(&self.conn),
        }
    }

    /// Records an event: a statement's note after its images, DDL, TRUNCATE, a sequence.
    pub fn note(&self, event: &Event) {
        let Some(capture) = &self.capture else { return };
        if matches!(event, Event::Ddl(_)) {
            self.core.forget_virtual_tables();
            self.schema_changes.fetch_add(1, Ordering::Relaxed);
        }
        capture.lock().push(event);
    }

    /// Schema changes recorded so far, those that were undone since included.
    pub fn schema_changes(&self) -> usize {
        self.schema_changes.load(Ordering::Relaxed)
    }

    /// Compares the images with SQLite's own count.
    fn check(&self) {
        if let Some(capture) = &self.capture {
            let total = self.conn.total_changes();
            capture.lock().check(total, false);
        }
    }

    /// Writes everything pending as journal parts.
    fn flush(&self) -> Result<()> {
        let Some(capture) = &self.capture else { return Ok(()) };
        let mut taken = {
            // Released before SQL runs: the hook takes it too.
            let mut capture = capture.lock();
            capture.fault()?;
            capture.stream.take()
        };
        let written = (|| {
            let mut recording = self.recording.lock();
            let Some(recording) = recording.as_mut() else { return Ok(()) };
            while taken.len() > 0 {
                let chunk = taken.next(PART)?;
                recording.part(&self.conn, &chunk)?;
                failpoint!("journal.part_written");
            }
            Ok(())
        })();
        if let Err(error) = &written {
            capture.lock().fail(Error::clone(error));
        }
        self.rebase();
        written
    }

    fn rebase(&self) {
        if let Some(capture) = &self.capture {
            let total = self.conn.total_changes();
            capture.lock().rebase(total);
        }
    }

    /// Commits. On an error (a deferred constraint, a full disk, a missing image) the
    /// transaction is rolled back and the turn is free.
    ///
    /// What may be told to a client, and when: see `Sqlite::wait_durable`.
    pub fn commit(self) -> Result<Committed> {
        self.commit_with(|_| {})
    }

    /// Commits and runs a closure before anyone else can write.
    pub fn commit_with(mut self, then: impl FnOnce(Committed)) -> Result<Committed> {
        if !self.conn.in_transaction() {
            let message = "the transaction was rolled back by SQLite";
            return Err(Error::primary(state::TRANSACTION_ROLLBACK, message));
        }
        let recorded = self.close_record()?;
        failpoint!("writer.before_commit");
        if let Err(error) = self.conn.execute("COMMIT", &[]) {
            if error.sqlstate() == state::FOREIGN_KEY_VIOLATION {
                // The transaction is still open: what is broken can be seen.
                let found = super::violation::find(&self.conn, &self.core.catalog.read().clone());
                return Err(found.ok().flatten().unwrap_or(error));
            }
            if error.sqlstate() == state::IO_ERROR
                && self.core.options.durability == Durability::Full
            {
                durable::fatal("COMMIT could not write to the disk", &error);
            }
            return Err(error);
        }
        failpoint!("writer.after_commit");
        let position = match (&self.capture, recorded) {
            (Some(_), false) => self.core.durable.committed().position,
            _ => self.position,
        };
        let recording = self.recording.get_mut().take();
        if let Some(recording) = recording.filter(|_| recorded) {
            recording.committed();
        }
        if !self.shared {
            self.core.own_commit();
        }
        let committed = Committed { position, point: self.core.durable.next(position) };
        // Before the position is told: whoever reads up to it needs what comes with it.
        then(committed);
        self.core.durable.commit(position);
        self.finish();
        Ok(committed)
    }

    /// Writes the closing part; false when there is nothing to record.
    fn close_record(&self) -> Result<bool> {
        let Some(capture) = &self.capture else { return Ok(false) };
        let total = self.conn.total_changes();
        capture.lock().check(total, true);
        capture.lock().fault()?;
        if capture.lock().stream.len() > FLUSH / 2 {
            self.flush()?;
        }
        let mut taken = capture.lock().stream.take();
        let rest = taken.next(PART)?;
        let mut recording = self.recording.lock();
        let Some(recording) = recording.as_mut() else { return Ok(false) };
        if rest.is_empty() && recording.parts() == 0 && !recording.required() {
            return Ok(false);
        }
        recording.close(&self.conn, &rest)?;
        failpoint!("journal.closed");
        Ok(true)
    }

    /// Rolls back and frees the turn. Dropping the writer does the same.
    pub fn rollback(self) {
        drop(self);
    }

    /// Gives everything back; the turn goes last.
    fn finish(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        if let Some(capture) = &self.capture {
            capture.lock().end();
        }
        if self.shared {
            self.core.give_back(self.conn.share());
        }
        drop(turn);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.turn.is_none() {
            return;
        }
        // Neither a deadline that has passed nor a late cancel must stop the rollback.
        self.conn.set_deadline(None);
        if self.shared {
            self.conn.end_lease();
        }
        if self.conn.in_transaction()
            && let Err(error) = self.conn.execute("ROLLBACK", &[])
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
        self.finish();
    }
}

/// A savepoint's name as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\"").replace('\0', ""))
}
