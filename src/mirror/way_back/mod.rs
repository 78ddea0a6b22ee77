//! The way back: after promote, SQLite follows PostgreSQL's commits: by logical decoding, or by a
//! journal that row triggers write there.
//!
//! Each followed commit is one SQLite transaction that also stores where it ended in
//! PostgreSQL's write-ahead log; that stored place alone decides where following resumes, so
//! every commit is applied exactly once whatever is killed when. It must never confirm to
//! PostgreSQL what SQLite has not synced, and never go on after a change it cannot follow:
//! the way back is then closed, and says why. Start at [`WayBack::prepare`].
//!
//! | file | owns |
//! |---|---|
//! | setup | slot, publication, replica identities; taking them down again |
//! | triggers | the trigger journal's tables, functions and triggers |
//! | notes | the event triggers that note schema changes, their functions and tables |
//! | follow | the task: stream, transactions, confirming |
//! | change, schema | which statement a note is about; carrying it to SQLite |
//! | place, read | where SQLite stands in the trigger journal; reading it |
//! | apply | one table's changes as SQLite's statements |
//! | probe | the proof that the path works |

mod apply;
mod change;
mod follow;
mod left_out;
mod notes;
mod place;
mod probe;
mod read;
mod schema;
mod setup;
mod stored;
mod triggers;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::replication::Lsn;
use crate::backend::sqlite::{Connection, Sqlite, Visible};
use crate::clock::Clock;
use crate::divergence::Store;
use crate::error::{Error, Result, state};
use crate::journal::{self, Journal};
use crate::schema::Relation;
use crate::value::Cell;

pub use setup::Prepared;

/// Name of the publication on PostgreSQL.
pub const PUBLICATION: &str = "crossfade_way_back";

/// Where SQLite's copy ends in PostgreSQL's write-ahead log.
const KEY_LSN: &str = "way_back_lsn";
/// Where SQLite stands in the trigger journal.
const KEY_PLACE: &str = "way_back_place";
/// `system identifier/timeline` of the PostgreSQL that is followed.
const KEY_SYSTEM: &str = "way_back_system";
/// Why the way back is closed; NULL while it is open.
const KEY_CLOSED: &str = "way_back_closed";
/// Shapes of tables that were made or changed since the switch.
const KEY_TABLES: &str = "way_back_tables";
/// Tables that must be copied anew, one per line.
const KEY_RESYNC: &str = "way_back_resync";

/// How the way back learns what PostgreSQL commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// From its write-ahead log.
    Decoding,
    /// From a journal that row triggers write.
    Triggers,
}

impl How {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decoding => "logical decoding",
            Self::Triggers => "row triggers",
        }
    }
}

/// How the way back stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// PostgreSQL does not answer, or refuses for the moment: why.
    Connecting(String),
    /// SQLite follows.
    Following,
    /// Stopped on purpose.
    Stopped,
    /// It cannot go on: why. SQLite must be copied anew.
    Closed(String),
}

/// The numbers of the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// How it stands.
    pub state: State,
    /// Everything PostgreSQL committed up to here is in SQLite.
    pub reached: Lsn,
    /// The end of PostgreSQL's write-ahead log when last asked; None before the first answer.
    pub end: Option<Lsn>,
    /// Commits followed since the start of this process.
    pub commits: u64,
    /// How it is followed.
    pub how: How,
    /// Schema changes are carried, too; else one closes it.
    pub carries: bool,
    /// Bytes that PostgreSQL keeps for it, when last asked.
    pub kept: u64,
    /// When the last followed commit was made, PostgreSQL microseconds; None before it.
    pub committed_at: Option<i64>,
    /// Tables that must be copied anew.
    pub resync: BTreeSet<String>,
}

/// The way back of a pair: what is done before and after following.
#[derive(Debug)]
pub struct WayBack;

/// SQLite follows while this lives.
#[derive(Debug)]
pub struct Handle {
    stop: CancellationToken,
    ask: Arc<Notify>,
    view: watch::Receiver<View>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl WayBack {
    /// Makes on PostgreSQL what following needs: publication, replica identities, slot; or the
    /// trigger journal. What an earlier attempt left, of either kind, is taken down before. To be
    /// called while SQLite is primary. Without `lasts` it is for a probe alone: no update or
    /// deletion is published.
    ///
    /// # Errors
    /// 55000 when PostgreSQL does not write logical information, 42501 when a right is
    /// missing, 57014 when the slot could not be made within `limit` because of a
    /// transaction that stays open.
    pub async fn prepare(
        control: &Control,
        connector: &Connector,
        tables: &[Arc<Relation>],
        (limit, lasts): (Duration, bool),
    ) -> Result<Prepared> {
        setup::prepare(control, connector, tables, (limit, lasts)).await
    }

    /// The same, for row triggers. No trigger is on a table of the application yet. Why a schema
    /// change closes the way back; None when it is carried.
    ///
    /// # Errors
    /// 42501 when a right is missing.
    pub async fn prepare_triggers(
        control: &Control,
        tables: &[Arc<Relation>],
        clock: &Clock,
    ) -> Result<Option<String>> {
        setup::prepare_triggers(control, tables, clock).await
    }

    /// Puts the triggers on the tables, switched off, where the way back needs them.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn attach(control: &Control) -> Result<()> {
        match triggers::is_there(control).await? {
            true => triggers::attach(control).await,
            false => Ok(()),
        }
    }

    /// Statements that belong into the transaction of the decision: from there on the triggers
    /// act. Empty where there are none.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn opening(control: &Control) -> Result<String> {
        let mut sql = String::new();
        if triggers::is_there(control).await? {
            sql += &triggers::opening();
        }
        if notes::are_there(control).await? {
            sql += &notes::opening();
        }
        Ok(sql)
    }

    /// Proves that the schema changes which were carried made both sides equal, and takes them into
    /// the picture that the mirror compares with. To be called behind the fence of a rollback, when
    /// SQLite has caught up. Why they are not equal; None when they are.
    ///
    /// # Errors
    /// What either side said.
    pub async fn settle_schema(control: &Control, sqlite: &Sqlite) -> Result<Option<String>> {
        if !notes::any(control).await? {
            return Ok(None);
        }
        let differs = schema::disagreement(control, sqlite).await?;
        if differs.is_none() {
            notes::follow_picture(control).await?;
        }
        Ok(differs)
    }

    /// Proves that a row written on PostgreSQL comes through: a marker row, decoded, then
    /// noted in SQLite. What else the stream holds until then is read by SQLite's codecs and
    /// dropped. How long it took.
    ///
    /// # Errors
    /// What does not work, or 57014 after `limit`.
    pub async fn probe(
        control: &Control,
        connector: &Connector,
        sqlite: &Sqlite,
        clock: &Clock,
        limit: Duration,
    ) -> Result<Duration> {
        probe::probe(control, connector, sqlite, clock, limit).await
    }

    /// The place from which SQLite must follow: to be asked after the decision and before
    /// the first client is let in, and stored with [`WayBack::begin`].
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn place(control: &Control) -> Result<Lsn> {
        setup::place(control).await
    }

    /// Notes, in the caller's transaction on SQLite (that of the promoted record), that
    /// following begins at `from`. Closed states of an earlier reign are forgotten.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(conn: &Connection, from: Lsn) -> Result<()> {
        store_lsn(conn, from)?;
        for key in [KEY_CLOSED, KEY_RESYNC, KEY_SYSTEM, KEY_PLACE, KEY_TABLES] {
            journal::set_state(conn, key, Cell::Null)?;
        }
        Ok(())
    }

    /// Closes it for good, and says why: following again from what is stored finds it closed.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn close(sqlite: &Sqlite, reason: &str) -> Result<()> {
        let writer = sqlite.writer(None).await?;
        journal::set_state(&writer, KEY_CLOSED, Cell::Text(reason.to_owned()))?;
        let committed = writer.commit()?;
        sqlite.wait_committed(committed).await
    }

    /// Starts following. SQLite's stored place decides where; `from` is used when none is
    /// stored or it lies before (the promoted record was lost with its moment).
    ///
    /// # Errors
    /// SQLite's.
    pub async fn start(
        sqlite: &Sqlite,
        journal: &Journal,
        connector: &Connector,
        (clock, store, visible): (&Clock, &Arc<Store>, &Arc<Visible>),
        (from, kept_max): (Lsn, u64),
    ) -> Result<Handle> {
        let reached = match WayBack::stored(sqlite).await? {
            Some(stored) if stored >= from => stored,
            _ => {
                let writer = sqlite.writer(None).await?;
                Self::begin(&writer, from)?;
                let committed = writer.commit()?;
                sqlite.wait_committed(committed).await?;
                from
            }
        };
        let reader = sqlite.reader(None).await?;
        let closed = text(&reader, KEY_CLOSED)?;
        let resync = text(&reader, KEY_RESYNC)?;
        drop(reader);
        let view = View {
            state: closed.map_or(State::Connecting("starting".to_owned()), State::Closed),
            reached,
            end: None,
            commits: 0,
            how: How::Decoding,
            carries: false,
            kept: 0,
            committed_at: None,
            resync: resync.iter().flat_map(|t| t.lines()).map(str::to_owned).collect(),
        };
        let stays_closed = matches!(view.state, State::Closed(_));
        let (send, view) = watch::channel(view);
        let (stop, ask) = (CancellationToken::new(), Arc::<Notify>::default());
        let follower = follow::Follower::new(
            sqlite.clone(),
            journal.clone(),
            connector.clone(),
            (clock.clone(), Arc::clone(store), Arc::clone(visible)),
            send,
            (stop.clone(), Arc::clone(&ask), kept_max),
        )?;
        let task = match stays_closed {
            true => tokio::spawn(follower.clear()),
            false => tokio::spawn(follower.run()),
        };
        Ok(Handle { stop, ask, view, task: Some(task) })
    }

    /// Where SQLite's copy ends, as stored.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn stored(sqlite: &Sqlite) -> Result<Option<Lsn>> {
        let reader = sqlite.reader(None).await?;
        stored_lsn(&reader)
    }

    /// Whether the way back could be prepared, as far as it shows without making anything.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn look(control: &Control) -> Result<String> {
        setup::look(control).await
    }

    /// Why SQLite cannot be what PostgreSQL is now, when the stream does not tell: definitions
    /// were changed there, or, where PostgreSQL is `primary`, triggers switched off. None when
    /// nothing was.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn unfollowed(control: &Control, primary: bool) -> Result<Option<String>> {
        Ok(setup::unfollowed(control, primary).await?.map(|(_, reason)| reason))
    }

    /// Takes slot and publication or triggers and journal down, and gives tables their replica
    /// identity back. Does nothing where there is nothing.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn drop_slot(control: &Control) -> Result<()> {
        setup::take_down(control).await
    }
}

impl Handle {
    /// The numbers now.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// How it stands now.
    pub fn state(&self) -> State {
        self.view.borrow().state.clone()
    }

    /// Changes of the numbers.
    pub fn changes(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Waits until everything PostgreSQL committed up to `place` is in SQLite; false when
    /// `limit` passes first.
    ///
    /// # Errors
    /// 55000 when the way back is closed.
    pub async fn caught_up_to(&self, place: Lsn, limit: Duration) -> Result<bool> {
        let mut view = self.view.clone();
        let until = tokio::time::Instant::now() + limit;
        loop {
            {
                let now = view.borrow_and_update();
                if let State::Closed(reason) = &now.state {
                    return Err(closed(reason));
                }
                if now.reached >= place {
                    return Ok(true);
                }
            }
            // The server tells how far it has sent only now and then, unless asked.
            self.ask.notify_one();
            let step = until.min(tokio::time::Instant::now() + Duration::from_millis(100));
            tokio::select! {
                changed = view.changed() => if changed.is_err() { return Ok(false) },
                () = tokio::time::sleep_until(step) => {
                    if tokio::time::Instant::now() >= until {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Stops following and waits until nothing of it is under way.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // A panic of the task is logged by the runtime; stopped is stopped.
            let _ = task.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn closed(reason: &str) -> Error {
    Error::shadow(
        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("the way back is closed: {reason}"),
    )
}

fn text(conn: &Connection, key: &str) -> Result<Option<String>> {
    Ok(match journal::get_state(conn, key)? {
        Some(Cell::Text(text)) => Some(text),
        _ => None,
    })
}

fn stored_lsn(conn: &Connection) -> Result<Option<Lsn>> {
    Ok(text(conn, KEY_LSN)?.as_deref().and_then(Lsn::parse))
}

fn store_lsn(conn: &Connection, place: Lsn) -> Result<()> {
    journal::set_state(conn, KEY_LSN, Cell::Text(place.to_string()))
}

fn stored_place(conn: &Connection) -> Result<Option<place::Place>> {
    Ok(text(conn, KEY_PLACE)?.as_deref().and_then(place::Place::parse))
}

fn store_place(conn: &Connection, place: &place::Place) -> Result<()> {
    journal::set_state(conn, KEY_PLACE, Cell::Text(place.to_string()))
}
