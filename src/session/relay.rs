//! A session on PostgreSQL: frames pass through, and the way there and back.
//!
//! Owns a client's server session: opened when the route leads to PostgreSQL, set up as the
//! client knows its session, left again between two transactions. It must never keep its
//! pass between transactions unless it holds what cannot move, and never let the loss of the
//! server session look like a commit. Start at [`Session::move_between`], then
//! [`Session::pump`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::Semaphore;

use super::pool::{Likeness, Pool, Statements, Turn};
use super::prepared::ends_transaction;
use super::sharing::Kept;
use super::transaction::Block;
use super::{Doing, Session, Step, Stop, cancel};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::exchange::{Moved, exchange};
use crate::backend::postgres::handover::{self, Inventory, Opened, Report, SetUp, Statement};
use crate::backend::postgres::relay::Relay;
use crate::backend::postgres::server::{Server, parse_error};
use crate::cutover::gate::{GateState, Pass, Route, Seat, Wish};
use crate::cutover::reign::Watch;
use crate::error::{Culprit, Error, Result, state};
use crate::wire::{Frontend, write};

/// Server sessions opened at the same time.
const OPENING: usize = 16;
/// How long an idle server session may take to say what it has become.
const MOVE_AGAIN: Duration = Duration::from_millis(500);
/// How long a server session may take to tell what it holds.
pub(super) const INVENTORY_MAX: Duration = Duration::from_secs(2);
/// How long the server may take to answer to a Bind that is done anew.
const BIND_MAX: Duration = Duration::from_secs(10);

/// PostgreSQL as sessions reach it.
#[derive(Debug)]
pub struct Upstreams {
    connector: Connector,
    watch: Arc<Watch>,
    opening: Semaphore,
    /// Clients share server sessions; None: each has its own.
    pub(super) pool: Option<Pool>,
    open: AtomicUsize,
    differing: AtomicU64,
    refused: AtomicU64,
}

impl Upstreams {
    /// Sessions log in through this connector: the application's role. What they must find
    /// there is what the switch has told to `watch`. With `shared` they share so many server
    /// sessions, else each has one of its own.
    pub fn new(connector: &Connector, watch: Arc<Watch>, shared: Option<usize>) -> Self {
        Self {
            // Clients read these errors: PostgreSQL is primary when sessions come here.
            connector: connector.as_culprit(Culprit::Primary),
            watch,
            opening: Semaphore::new(OPENING),
            pool: shared.map(Pool::new),
            open: AtomicUsize::new(0),
            differing: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Server sessions open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed) + self.pool.as_ref().map_or(0, Pool::idle)
    }

    /// Opens a server session that is what is asked for, or says why it is not the primary's.
    pub(super) async fn server(&self, set_up: &SetUp, route: Route) -> Result<Opened> {
        let Route::Postgres(epoch) = route else {
            return Err(Error::internal("moving to PostgreSQL without a route"));
        };
        let _turn = self.opening.acquire().await;
        let reign = self.watch.expected(epoch);
        handover::open(&self.connector, set_up, reign.as_ref()).await.map_err(soften)
    }

    /// Prepared statements whose result columns were others on PostgreSQL.
    pub fn differing(&self) -> u64 {
        self.differing.load(Ordering::Relaxed)
    }

    /// Prepared statements that PostgreSQL refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// One client's server session.
pub(super) struct Upstream {
    pub(super) server: Server,
    pub(super) relay: Relay,
    pub(super) route: Route,
    channels: Vec<String>,
    /// Since when the client waits for an answer.
    busy: Option<Instant>,
    pub(super) all: Arc<Upstreams>,
    /// Who else may have it, where clients share.
    pub(super) like: Arc<Likeness>,
    /// The client has made it its own: nobody else may have it.
    pub(super) own: bool,
    pub(super) turn: Option<Turn>,
    _counted: Counted,
    /// A rollback waits until it is given back.
    _seat: Seat,
}

/// A server session is open, until this is dropped.
struct Counted(Arc<Upstreams>);

impl Counted {
    fn new(all: &Arc<Upstreams>) -> Self {
        all.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// Whether the client may have made something of this server session that another one would
    /// not be, and that nobody has asked for yet.
    fn is_its_own(&mut self) -> bool {
        self.own || self.like.learned || self.relay.is_altered() || self.relay.take_suspect()
    }

    /// What a client knows and where it is, with a server session. Cancel requests reach it.
    pub(super) fn new(session: &Session, server: Server, rest: Kept, turn: Option<Turn>) -> Self {
        let Kept { relay, route, all, like, own } = rest;
        session.cancel.relayed(server.canceller());
        session.card.on_postgres(true);
        let (_counted, _seat) = (Counted::new(&all), session.shared.gate.take_seat());
        let (channels, busy) = (Vec::new(), None);
        Self { server, relay, route, channels, busy, all, like, own, turn, _counted, _seat }
    }
}

/// What woke the relay.
enum Event {
    Moved(Moved),
    Gate,
    Terminated,
}

impl Session {
    /// Passes the gate again between two messages of the client found the route to be
    /// PostgreSQL: moves there, and passes frames until the route leads back.
    pub(super) async fn move_between(&mut self) -> Step<()> {
        let Some(pass) = self.moving.take() else { return Ok(()) };
        match self.enter_postgres(pass.route()).await {
            Ok(upstream) => self.pump(upstream, Some(pass)).await,
            Err(Stop::Error(error)) => {
                drop(pass);
                self.refuse(error).await
            }
            Err(other) => Err(other),
        }
    }

    /// A simple query's statement met the switch before it began: the rest of the text goes
    /// to PostgreSQL.
    pub(super) async fn move_query(&mut self, rest: &str) -> Step<()> {
        let Some(pass) = self.moving.take() else {
            return Err(Error::internal("moving without a pass").into());
        };
        let route = pass.route();
        let rewritten = self.rewriter(route).rewritten(rest, &[]);
        let mut upstream = self.enter_postgres(route).await?;
        let out = upstream.server.out();
        let mark = write::begin(out, b'Q');
        let rest = rewritten.as_deref().unwrap_or(rest);
        out.extend(rest.bytes().filter(|b| *b != 0));
        out.put_u8(0);
        write::end(out, &mark);
        upstream.relay.sent_query(rest);
        self.pump(upstream, Some(pass)).await
    }

    /// An Execute met the switch before its statement began: it goes to PostgreSQL, where its
    /// portal has been made anew.
    pub(super) async fn move_execute(&mut self, portal: &str, max_rows: u32) -> Step<()> {
        let Some(pass) = self.moving.take() else {
            return Err(Error::internal("moving without a pass").into());
        };
        let mut upstream = self.enter_postgres(pass.route()).await?;
        let out = upstream.server.out();
        let mark = write::begin(out, b'E');
        out.extend(portal.bytes().filter(|b| *b != 0));
        out.put_u8(0);
        out.put_u32(max_rows);
        write::end(out, &mark);
        upstream.relay.sent_part_of_batch();
        self.pump(upstream, Some(pass)).await
    }

    /// Opens a server session that is what the client's session is; what SQLite's side held
    /// is let go.
    async fn enter_postgres(&mut self, route: Route) -> Step<Upstream> {
        let Some(all) = self.shared.upstreams.clone() else {
            return Err(Error::client(
                state::ADMIN_SHUTDOWN,
                "terminating connection because PostgreSQL has become the primary",
            )
            .fatal()
            .into());
        };
        let set_up = self.set_up(route);
        let (channels, like) = (set_up.channels.clone(), Arc::new(Likeness::of(&set_up)));
        let (opener, wanted) = (Arc::clone(&all), Arc::clone(&like));
        let opened = self.wait_for(async move {
            let Some(pool) = &opener.pool else {
                return Ok((opener.server(&set_up, route).await?, None));
            };
            let turn = pool.turn().await?;
            let plain = set_up.statements.is_empty() && set_up.transaction.is_empty();
            let none = Statements::default();
            let as_is = |body: &[u8]| Bytes::copy_from_slice(body);
            let opened = match pool.take(&wanted, &none, None, &as_is, route).await {
                Some((server, _)) if plain && set_up.channels.is_empty() => {
                    Opened::Ready(Box::new((server, Report::default())))
                }
                Some((server, _)) => {
                    server.close().await;
                    opener.server(&set_up, route).await?
                }
                None => opener.server(&set_up, route).await?,
            };
            Ok((opened, Some(turn)))
        });
        let (opened, turn) = opened.await?;
        let (server, report) = match opened {
            Opened::Ready(ready) => *ready,
            Opened::Foreign(reason) => {
                let message = "the PostgreSQL that answers is not the primary of this pair";
                let error = Error::primary(state::CANNOT_CONNECT_NOW, message);
                let error = error.detail(reason.clone()).retryable();
                all.watch.doubt(reason);
                return Err(error.into());
            }
        };
        let mut relay = Relay::new(server.status());
        self.account(&report, &mut relay, &all);
        let own = turn.is_some() && !channels.is_empty();
        let mut upstream = Upstream::new(self, server, Kept { relay, route, all, like, own }, turn);
        upstream.channels = channels;
        self.listens_elsewhere(!upstream.channels.is_empty());
        self.bind_anew(&mut upstream).await?;
        upstream.server.pass_notifications(self.io.out());
        self.inbox.unlisten(None);
        self.portals.clear();
        self.sequences.discard();
        self.moved_away();
        Ok(upstream)
    }

    /// Others may have moved before: what they sent then was not heard here.
    fn listens_elsewhere(&mut self, listens: bool) {
        if listens {
            let message = "notifications sent while the session moved may not have been delivered";
            let notice = Error::client(state::WARNING, message);
            self.notice(write::Severity::Warning, &notice);
        }
    }

    fn upstreams_are_alone(&self) -> bool {
        self.shared.upstreams.as_ref().is_some_and(|all| all.watch.is_alone())
    }

    fn set_up(&self, route: Route) -> SetUp {
        let (at, transaction) = self.replay();
        SetUp {
            parameters: self.settings.at_start(self.upstreams_are_alone()),
            settings: self.settings.changed(&at),
            statements: self.known_statements(route),
            channels: self.inbox.listening().map(str::to_owned).collect(),
            transaction,
        }
    }

    /// SET crossfade.dialect on its way to PostgreSQL: the proxy reads texts by it.
    fn dialect_named(&mut self, text: &str) {
        use crate::sql::ast::{SessionCommand, Statement as Tree};
        let Ok(parsed) = crate::sql::parse(text) else { return };
        for statement in parsed {
            if let Tree::Session(SessionCommand::Set { name, values, .. }) = statement.statement
                && name.eq_ignore_ascii_case("crossfade.dialect")
                && let Err(error) = self.settings.set(&name, values.as_deref(), false)
            {
                tracing::debug!(pid = self.pid, %error, "a dialect that is none");
            }
        }
    }

    fn account(&self, report: &Report, relay: &mut Relay, all: &Upstreams) {
        for (name, body) in &report.made {
            relay.remember(name.clone(), body.clone());
        }
        for (name, error) in &report.settings {
            tracing::warn!(pid = self.pid, name, %error, "PostgreSQL does not take a setting");
        }
        for (name, error) in &report.refused {
            all.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(pid = self.pid, name, %error, "PostgreSQL refuses a prepared statement");
        }
        for (name, how) in &report.differing {
            all.differing.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(pid = self.pid, name, how, "a prepared statement returns other columns");
        }
    }

    /// Portals that have not run are bound anew, with the client's own Bind.
    async fn bind_anew(&mut self, upstream: &mut Upstream) -> Step<()> {
        let binds = self.portals.ready();
        if binds.is_empty() {
            return Ok(());
        }
        let out = upstream.server.out();
        for bind in &binds {
            let mark = write::begin(out, b'B');
            out.extend_from_slice(bind);
            write::end(out, &mark);
        }
        let mark = write::begin(out, b'H');
        write::end(out, &mark);
        upstream.relay.sent_part_of_batch();
        let server = &mut upstream.server;
        let answers = async {
            server.flush().await?;
            let mut left = binds.len();
            while left > 0 {
                let Some(frame) = server.read_frame().await? else { return Err(gone()) };
                server.note(&frame);
                match frame.kind {
                    b'2' => left -= 1,
                    b'E' => return Err(parse_error(&frame.body, Culprit::Primary)),
                    _ => {}
                }
            }
            Ok(())
        };
        let answered =
            tokio::time::timeout(BIND_MAX, answers).await.unwrap_or_else(|_| Err(gone()));
        answered.map_err(|error| soften(error).into())
    }

    /// Passes frames in both directions until the client leaves or the route leads away.
    async fn pump(&mut self, mut upstream: Upstream, mut pass: Option<Pass>) -> Step<()> {
        let gate = Arc::clone(&self.shared.gate);
        let mut changes = gate.changes();
        let max_message = self.io.max_message();
        loop {
            let hold = !pass.as_ref().is_some_and(|pass| gate.still_open(pass));
            self.transfer(&mut upstream, max_message, hold)?;
            self.measure(&mut upstream);
            if upstream.relay.is_terminated() {
                self.cancel.relayed(None);
                drop_server(upstream).await;
                return Err(Stop::Gone);
            }
            if upstream.relay.has_ended() {
                return self.server_lost(upstream, pass).await;
            }
            let idle = upstream.relay.is_idle();
            if idle && pass.is_some() {
                self.let_go(&mut upstream, &mut pass).await?;
            }
            if idle && pass.is_none() {
                if gate.state() != GateState::Open(upstream.route) {
                    return self.leave_postgres(upstream).await;
                }
                if self.may_share(&mut upstream).await? {
                    match self.share(upstream).await? {
                        Some((next, leave)) => (upstream, pass) = (next, Some(leave)),
                        None => return Ok(()),
                    }
                    continue;
                }
                if self.io.has_begun() {
                    // Open a moment ago: this waits only if that has just changed.
                    if let Ok(got) = gate.pass(Wish::Write, Duration::ZERO).await {
                        if got.route() == upstream.route {
                            pass = Some(got);
                        }
                        continue;
                    }
                    // While an operator holds what begins, the session waits where it is.
                    if gate.state() != GateState::Open(upstream.route) {
                        return self.leave_postgres(upstream).await;
                    }
                }
            }
            self.card.set(match (idle, upstream.relay.is_waiting()) {
                (true, _) => Doing::Idle,
                (false, true) => Doing::Active,
                (false, false) => Doing::InTransaction,
            });
            // What has begun may need the rest of a long message to end.
            let little = hold && !upstream.relay.is_begun();
            let Self { io, cancel, shared, .. } = self;
            let event = tokio::select! {
                biased;
                moved = exchange(io.raw(), upstream.server.raw(), little) => Event::Moved(moved),
                () = cancel.ended() => Event::Terminated,
                _ = changes.changed(), if pass.is_none() => Event::Gate,
                () = shared.stopping.cancelled(), if idle => Event::Terminated,
            };
            match event {
                Event::Moved(Moved::Bytes) | Event::Gate => {}
                Event::Moved(Moved::ClientGone) => {
                    self.cancel.relayed(None);
                    return Err(Stop::Gone);
                }
                Event::Moved(Moved::ServerGone) => return self.server_lost(upstream, pass).await,
                Event::Terminated => {
                    self.cancel.relayed(None);
                    drop_server(upstream).await;
                    return Err(cancel::terminated().into());
                }
            }
        }
    }

    /// Tells the observer what has ended, and how long the client waited for it.
    fn measure(&self, upstream: &mut Upstream) {
        let tally = upstream.relay.take_tally();
        if !tally.is_empty() {
            let now = Instant::now();
            let took = upstream.busy.take().map(|since| now - since).unwrap_or_default();
            self.shared.observer.relayed(&tally, took);
            self.card.traffic.statements(tally.count(), now, took);
            self.card.traffic.carried(self.io.carried());
            if upstream.relay.is_idle() {
                self.card.traffic.settled();
            }
        }
        if upstream.relay.is_waiting() {
            upstream.busy.get_or_insert_with(Instant::now);
        } else {
            upstream.busy = None;
        }
    }

    fn transfer(&mut self, upstream: &mut Upstream, max: usize, hold: bool) -> Result<()> {
        let Upstream { server, relay, route, .. } = upstream;
        // Most messages carry no text: nothing of what everybody shares is touched for them.
        let carries = relay.carries_text(self.io.raw().input);
        let rewriter = carries.then(|| self.rewriter(*route));
        let mut named: Option<String> = None;
        let (client, server) = (self.io.raw(), server.raw());
        relay.from_server(server.input, client.output)?;
        let mut rewrite = |text: &str, types: &[u32]| {
            if text.contains("crossfade.dialect") {
                named = Some(text.to_owned());
            }
            rewriter.as_ref().and_then(|rewriter| rewriter.rewritten(text, types))
        };
        relay.from_client(client.input, server.output, (max, hold), &mut rewrite)?;
        if let Some(text) = named {
            self.dialect_named(&text);
        }
        for (name, value) in relay.take_settings() {
            if name == "application_name" {
                value.clone_into(&mut self.card.application.lock());
            }
            self.settings.told(&name, &value);
        }
        Ok(())
    }

    /// Between two transactions: gives the pass back, unless the session now holds something
    /// that cannot move.
    async fn let_go(&mut self, upstream: &mut Upstream, pass: &mut Option<Pass>) -> Step<()> {
        let had = self.immovable.is_some();
        if upstream.relay.take_suspect() || had {
            // What the client waits for goes first.
            self.flush().await?;
            let asked = handover::inventory(&mut upstream.server);
            let asked = tokio::time::timeout(INVENTORY_MAX, asked).await;
            upstream.server.pass_notifications(self.io.out());
            match asked {
                Ok(Ok(found)) => {
                    self.set_immovable(found.immovable);
                    if found.immovable.is_some() {
                        return Ok(());
                    }
                }
                // The loss shows when frames are exchanged.
                Ok(Err(error)) => {
                    upstream.own = upstream.turn.is_some();
                    tracing::debug!(%error, "a server session gave no answer");
                }
                Err(_) => return Err(gone().fatal().into()),
            }
        }
        *pass = None;
        Ok(())
    }

    /// The route leads away: what the session has become is taken along.
    async fn leave_postgres(&mut self, mut upstream: Upstream) -> Step<()> {
        self.cancel.relayed(None);
        self.card.on_postgres(false);
        self.flush().await?;
        if self.shared.is_front {
            drop_server(upstream).await;
            return Err(reign_is_over().into());
        }
        let names = self.settings.made_up();
        let asked = async {
            let mut found = handover::inventory(&mut upstream.server).await?;
            found.settings.extend(handover::made_up(&mut upstream.server, &names).await?);
            Ok(found)
        };
        let found =
            tokio::time::timeout(INVENTORY_MAX, asked).await.unwrap_or_else(|_| Err(gone()));
        upstream.server.pass_notifications(self.io.out());
        match found {
            Ok(found) if immovable(&found, &upstream.relay).is_some() => {
                let what = immovable(&found, &upstream.relay).unwrap_or_default();
                return Err(cannot_move(&format!("It holds {what} while the primary changes.")));
            }
            Ok(found) => {
                if let Some((name, error)) = self.settings.adopt(&found.settings).first() {
                    let why = format!("SQLite has no {name} of that value: {}.", error.message());
                    return Err(cannot_move(&why));
                }
                let unnamed = upstream.relay.statements().filter(|body| body.starts_with(&[0]));
                let unnamed = unnamed.filter_map(handover::parse_body).map(|s| (s, false));
                let statements: Vec<_> = found.statements.into_iter().chain(unnamed).collect();
                self.adopt_statements(&statements);
                found.channels.iter().for_each(|channel| self.inbox.listen(channel));
                self.listens_elsewhere(!found.channels.is_empty());
                drop_server(upstream).await;
            }
            Err(error) if upstream.is_its_own() => return Err(error.fatal().into()),
            Err(error) => {
                tracing::debug!(%error, "a server session was lost while the primary changes");
                self.adopt_what_is_known(&upstream);
            }
        }
        Ok(())
    }

    /// Statements that are known without the server's own answer: by what passed through.
    pub(super) fn adopt_passed(&mut self, relay: &Relay) {
        let bodies = relay.statements().filter_map(handover::parse_body);
        let statements: Vec<_> = bodies.map(|s| (s, false)).collect();
        self.adopt_statements(&statements);
    }

    fn adopt_what_is_known(&mut self, upstream: &Upstream) {
        self.adopt_passed(&upstream.relay);
        upstream.channels.iter().for_each(|channel| self.inbox.listen(channel));
    }

    /// The server session has ended: the client is told what it waits for, an open transaction has
    /// failed, and the next statement opens another one. Where that would not be the same session,
    /// the connection ends, as PostgreSQL's would.
    async fn server_lost(&mut self, mut upstream: Upstream, pass: Option<Pass>) -> Step<()> {
        self.cancel.relayed(None);
        self.card.on_postgres(false);
        let own = self.immovable.is_some() || upstream.is_its_own();
        self.set_immovable(None);
        let debt = upstream.relay.debt();
        let said = upstream.relay.take_fatal();
        if debt.cut {
            return Err(Stop::Gone);
        }
        let error = said.unwrap_or_else(gone);
        if debt.cut_client {
            // The rest of a message that the server will not read must never be taken for messages.
            return Err(error.fatal().into());
        }
        // A front has nothing that could become the session again.
        let own = own || self.shared.is_front;
        if own || matches!(error.sqlstate().as_str(), "57P05" | "25P03") {
            // What the client made of its session is lost with it, and another one would answer
            // otherwise; or it was the client's own time limit, kept by PostgreSQL.
            return Err(error.fatal().into());
        }
        let error = soften(error);
        self.adopt_what_is_known(&upstream);
        drop(pass);
        if debt.in_transaction {
            self.transaction.block = Block::Failed;
        }
        if debt.ready == 0 && !debt.in_batch {
            tracing::info!(pid = self.pid, %error, "an idle server session has ended");
            self.lost = debt.in_transaction.then_some(error);
            // The server's last answers may have come with its end.
            return self.flush().await;
        }
        let error = error.detail("Whether the statement took effect is not known.");
        for _ in 0..debt.ready {
            self.io.error(&error);
            self.ready();
        }
        if debt.in_batch {
            self.io.error(&error);
            self.skipping = true;
        }
        self.flush().await
    }

    /// Answers the next message of the client with an error.
    pub(super) async fn refuse(&mut self, error: Error) -> Step<()> {
        let error = self.describe(error);
        if error.fields().fatal {
            return Err(error.into());
        }
        let Some(message) = self.io.read_buffered()? else {
            tracing::info!(pid = self.pid, %error, "a session could not move yet");
            tokio::select! {
                _ = self.io.wait_message() => {}
                () = tokio::time::sleep(MOVE_AGAIN) => {}
            }
            return Ok(());
        };
        self.refuse_taken(&message, &error).await
    }

    /// Answers a message with an error.
    pub(super) async fn refuse_taken(&mut self, message: &Frontend, error: &Error) -> Step<()> {
        self.fail();
        match message {
            Frontend::Terminate => return Err(Stop::Gone),
            Frontend::Query(_) | Frontend::FunctionCall(_) => {
                self.io.error(error);
                self.deadline = None;
                self.leave_gate();
                self.ready();
            }
            _ => {
                self.io.error(error);
                self.skipping = true;
            }
        }
        self.flush().await
    }

    /// The first statement after a server session was lost in the middle of a transaction
    /// learns why; ROLLBACK just ends it. COMMIT must fail, and ends it, too: many clients do not
    /// look whether its tag says ROLLBACK. An empty statement learns nothing: COMMIT may follow.
    pub(super) fn why_lost(&mut self, message: &Frontend) -> Option<(Error, bool)> {
        self.lost.as_ref()?;
        if self.transaction.block != Block::Failed {
            self.lost = None;
            return None;
        }
        let (commits, ends) = match message {
            Frontend::Query(sql) => self.text_ends(sql)?,
            Frontend::Parse(parse) => self.text_ends(&parse.sql)?,
            // Prepared before the loss.
            Frontend::Bind(bind) => {
                let prepared = self.statements.get(&bind.statement).ok()?;
                statement_ends(&prepared.parsed()?.statement)
            }
            _ => return None,
        };
        if ends && !commits {
            // ROLLBACK, or a Parse of it.
            return None;
        }
        self.lost.take().map(|error| (error, commits))
    }

    /// Whether a text holds a COMMIT, and whether it does nothing but end the transaction; None
    /// when it holds no statement, or none that can be read.
    fn text_ends(&self, text: &str) -> Option<(bool, bool)> {
        let parsed = self.shared.plans.text(text, self.settings.derived().dialect).ok()?;
        let each = parsed.statements.iter().map(|s| statement_ends(&s.parsed.statement));
        each.reduce(|all, one| (all.0 || one.0, all.1 && one.1))
    }

    /// Prepared statements as PostgreSQL must know them.
    fn known_statements(&self, route: Route) -> Vec<Statement> {
        let known = self.statements.all().map(|(name, prepared)| {
            let columns = self.result_columns(prepared).ok().flatten();
            let types = prepared.told_types();
            Statement {
                name: name.to_owned(),
                text: prepared
                    .parsed()
                    .map_or_else(String::new, |p| self.postgres_text(p, &types, route)),
                types,
                columns: columns.map(|c| c.into_iter().map(|c| (c.name, c.ty.oid)).collect()),
            }
        });
        known.collect()
    }

    /// Prepared statements as they are on PostgreSQL now.
    fn adopt_statements(&mut self, all: &[(Statement, bool)]) {
        self.statements.retain(|name, prepared| {
            all.iter().any(|(s, from_sql)| {
                s.name == name
                    && (*from_sql || s.text.trim_end_matches([';', ' ']) == prepared.text())
            })
        });
        for (statement, from_sql) in all {
            if self.statements.contains(&statement.name) {
                continue;
            }
            let adopted = if *from_sql {
                self.prepare_again(&statement.text)
            } else {
                self.prepare_text(&statement.text, &statement.types)
                    .and_then(|prepared| self.statements.insert(&statement.name, prepared))
            };
            if let Err(error) = adopted {
                let name = &statement.name;
                tracing::info!(pid = self.pid, name, %error, "SQLite refuses a prepared statement");
            }
        }
    }
}

/// What a session holds that SQLite cannot give it.
fn immovable(found: &Inventory, relay: &Relay) -> Option<&'static str> {
    match found.immovable {
        Some(what) => Some(what),
        None if found.as_another_role => Some("another role"),
        None if relay.hides() => Some("settings that PostgreSQL does not list"),
        None => None,
    }
}

fn cannot_move(detail: &str) -> Stop {
    let message = "terminating connection because its session cannot move";
    Error::client(state::ADMIN_SHUTDOWN, message).detail(detail.to_owned()).fatal().into()
}

/// Closes without holding the session up: the server may be slow to take leave.
async fn drop_server(upstream: Upstream) {
    let mut upstream = upstream;
    let mut farewell = BytesMut::new();
    let mark = write::begin(&mut farewell, b'X');
    write::end(&mut farewell, &mark);
    upstream.server.out().extend_from_slice(&farewell);
    let _ = tokio::time::timeout(Duration::from_millis(200), upstream.server.flush()).await;
}

/// To the clients of a front: there is no other back end here that their sessions could move to.
pub(super) fn reign_is_over() -> Error {
    let message = "terminating connection because PostgreSQL is not the primary any more";
    Error::client(state::ADMIN_SHUTDOWN, message).fatal()
}

pub(super) fn gone() -> Error {
    Error::primary(state::CONNECTION_FAILURE, "the connection to PostgreSQL was lost").retryable()
}

/// The end of a server session is not the end of the client's.
fn soften(error: Error) -> Error {
    if !error.fields().fatal {
        return error;
    }
    let fields = error.fields();
    let mut soft = Error::primary(fields.sqlstate, fields.message.clone()).retryable();
    if let Some(detail) = &fields.detail {
        soft = soft.detail(detail.clone());
    }
    if let Some(hint) = &fields.hint {
        soft = soft.hint(hint.clone());
    }
    soft
}

/// Whether a statement is COMMIT, and whether it ends a transaction.
fn statement_ends(statement: &crate::sql::ast::Statement) -> (bool, bool) {
    use crate::sql::ast::{Statement as Parsed, Transaction};
    let commits = matches!(statement, Parsed::Transaction(Transaction::Commit(_)));
    (commits, ends_transaction(statement))
}
