//! A client on PostgreSQL that shares server sessions: giving one back between two transactions,
//! and taking another for the next.
//!
//! Owns when a client may be without a server session, and what is kept for it meanwhile. It must
//! never share what the client has made its own, and never keep a place in the pool while the
//! client is silent. Start at [`Session::may_share`], then [`Session::share`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::pool::{Likeness, Turn};
use super::relay::{INVENTORY_MAX, Upstream, Upstreams, gone, reign_is_over};
use super::{Doing, Session, Step, Stop, cancel};
use crate::backend::postgres::handover::{self, Inventory, Opened, SetUp};
use crate::backend::postgres::relay::Relay;
use crate::backend::postgres::server::Server;
use crate::cutover::gate::{Changes, GateState, Pass, Route, Wish};

/// How long a client's next server session may take to be there.
const SERVER_MAX: Duration = Duration::from_secs(20);

/// What a client keeps while it has no server session.
pub(super) struct Kept {
    pub(super) relay: Relay,
    pub(super) route: Route,
    pub(super) all: Arc<Upstreams>,
    pub(super) like: Arc<Likeness>,
    pub(super) own: bool,
}

/// What ended a wait.
enum Woken<T> {
    /// What was waited for.
    With(T),
    /// The route may lead elsewhere now.
    Gate,
}

impl Session {
    /// Whether the server session may go to another client now: between two transactions, and
    /// nothing of this client's is in it.
    pub(super) async fn may_share(&mut self, upstream: &mut Upstream) -> Step<bool> {
        let Some(pool) = &upstream.all.pool else { return Ok(false) };
        if self.immovable.is_some() || (self.io.next_kind().is_some() && !pool.is_wanted()) {
            return Ok(false);
        }
        if upstream.relay.take_altered() {
            // What the client waits for goes first.
            self.flush().await?;
            let asked = handover::inventory(&mut upstream.server);
            let asked = tokio::time::timeout(INVENTORY_MAX, asked).await;
            upstream.server.pass_notifications(self.io.out());
            match asked {
                Ok(Ok(found)) => self.learn(upstream, found),
                // The loss shows when frames are exchanged.
                Ok(Err(_)) => upstream.own = true,
                Err(_) => return Err(gone().fatal().into()),
            }
        }
        Ok(!upstream.own)
    }

    /// What the client has made of its server session.
    fn learn(&mut self, upstream: &mut Upstream, found: Inventory) {
        let by_sql = found.statements.iter().any(|(_, from_sql)| *from_sql);
        let hidden = upstream.relay.has_hidden();
        // Settings from before the move, which PostgreSQL does not list, and objects to come.
        let before = upstream.like.settings.iter().any(|(name, _)| is_the_applications(name));
        let temporary = found.settings.iter().any(|(_, value)| value.contains("pg_temp"));
        upstream.own = hidden
            || by_sql
            || before
            || temporary
            || found.as_another_role
            || found.immovable.is_some()
            || !found.channels.is_empty();
        let there = |name: &[u8]| found.statements.iter().any(|(s, _)| s.name.as_bytes() == name);
        let named = Arc::clone(upstream.relay.named());
        for name in named.keys().filter(|name| !there(name)) {
            upstream.relay.forget(name);
        }
        // What SQLite does not have matters when the session moves there.
        let _ = self.settings.adopt(&found.settings);
        upstream.like = Arc::new(Likeness {
            parameters: upstream.like.parameters.clone(),
            settings: found.settings,
            learned: true,
        });
    }

    /// Gives the server session back, waits for the client's next message, and takes one for it.
    /// None when the route leads away, or PostgreSQL does not let it in.
    pub(super) async fn share(&mut self, upstream: Upstream) -> Step<Option<(Upstream, Pass)>> {
        self.flush().await?;
        self.cancel.relayed(None);
        self.cancel.arrived().await;
        self.card.set(Doing::Idle);
        let mut kept = give(upstream);
        let gate = Arc::clone(&self.shared.gate);
        loop {
            let mut changes = gate.changes();
            if gate.state() != GateState::Open(kept.route) {
                break;
            }
            match self.io.next_kind() {
                Some(b'X') => return Err(Stop::Gone),
                // The beginning of a message takes no place from those whose message is here.
                _ if !self.io.has_begun() => self.next_bytes(&mut changes).await?,
                _ => {
                    let Woken::With(turn) = self.turn(&kept, &mut changes).await? else { continue };
                    let Ok(pass) = gate.pass(Wish::Write, Duration::ZERO).await else {
                        if gate.state() != GateState::Open(kept.route) {
                            break;
                        }
                        // An operator holds what begins.
                        drop(turn);
                        self.held(&mut changes).await?;
                        continue;
                    };
                    if pass.route() != kept.route {
                        break;
                    }
                    let server = tokio::select! {
                        biased;
                        () = self.cancel.ended() => return Err(cancel::terminated().into()),
                        server = tokio::time::timeout(SERVER_MAX, self.server(&mut kept)) => server,
                    };
                    let Ok(Some(server)) = server else { break };
                    return Ok(Some((Upstream::new(self, server, kept, Some(turn)), pass)));
                }
            }
        }
        self.card.on_postgres(false);
        if self.shared.is_front {
            let reigns = gate.state() == GateState::Open(kept.route);
            return Err(if reigns { gone().fatal() } else { reign_is_over() }.into());
        }
        self.adopt_passed(&kept.relay);
        Ok(None)
    }

    /// Waits for bytes of the client, or a change of the gate.
    async fn next_bytes(&mut self, changes: &mut Changes) -> Step<()> {
        let Self { io, cancel, shared, .. } = self;
        tokio::select! {
            biased;
            filled = io.fill() => if filled { Ok(()) } else { Err(Stop::Gone) },
            () = cancel.ended() => Err(cancel::terminated().into()),
            _ = changes.changed() => Ok(()),
            () = shared.stopping.cancelled() => Err(cancel::terminated().into()),
        }
    }

    /// Waits for a change of the gate with a message that may not begin.
    async fn held(&mut self, changes: &mut Changes) -> Step<()> {
        self.card.set(Doing::Waiting);
        let Self { io, cancel, shared, .. } = self;
        let end = tokio::select! {
            biased;
            _ = changes.changed() => Ok(()),
            () = io.closed() => Err(Stop::Gone),
            () = cancel.ended() => Err(cancel::terminated().into()),
            () = shared.stopping.cancelled() => Err(cancel::terminated().into()),
        };
        self.card.set(Doing::Idle);
        end
    }

    async fn turn(&self, kept: &Kept, changes: &mut Changes) -> Step<Woken<Turn>> {
        let Some(pool) = &kept.all.pool else { return Ok(Woken::Gate) };
        tokio::select! {
            biased;
            turn = pool.turn() => Ok(Woken::With(turn.map_err(crate::error::Error::fatal)?)),
            () = self.cancel.ended() => Err(cancel::terminated().into()),
            _ = changes.changed() => Ok(Woken::Gate),
        }
    }

    /// A server session that is as the client knows it. None when there is none: the next message
    /// learns why.
    async fn server(&self, kept: &mut Kept) -> Option<Server> {
        let pool = kept.all.pool.as_ref()?;
        let unnamed = kept.relay.unnamed().filter(|_| !self.io.replaces_unnamed());
        let rewriter = self.rewriter(kept.route);
        let rewritten = |body: &[u8]| {
            let mut statement = handover::parse_body(body)?;
            let other = rewriter.rewritten(&statement.text, &statement.types)?;
            other.as_ref().clone_into(&mut statement.text);
            Some(statement)
        };
        let as_sent = |body: &[u8]| match rewritten(body) {
            Some(statement) => handover::body_of(&statement),
            None => Bytes::copy_from_slice(body),
        };
        let named = kept.relay.named();
        let taken = pool.take(&kept.like, named, unnamed, &as_sent, kept.route).await;
        if let Some((server, refused)) = taken {
            refused.iter().for_each(|name| kept.relay.forget(name));
            return Some(server);
        }
        let set_up = SetUp {
            parameters: kept.like.parameters.clone(),
            settings: kept.like.settings.clone(),
            statements: kept
                .relay
                .statements()
                .filter_map(|body| handover::parse_body(&as_sent(body)))
                .collect(),
            ..SetUp::default()
        };
        match kept.all.server(&set_up, kept.route).await {
            Ok(Opened::Ready(ready)) => {
                let (server, report) = *ready;
                for (name, error) in &report.refused {
                    tracing::info!(name, %error, "PostgreSQL does not prepare a statement again");
                    kept.relay.forget(&Bytes::copy_from_slice(name.as_bytes()));
                }
                Some(server)
            }
            Ok(Opened::Foreign(reason)) => {
                tracing::debug!(reason, "a server session does not lead to the primary");
                None
            }
            Err(error) => {
                tracing::debug!(%error, "no server session");
                None
            }
        }
    }
}

/// Whether a setting is one that an application has made up.
fn is_the_applications(name: &str) -> bool {
    name.contains('.') && name != crate::session::settings::DIALECT
}

/// To the pool with the server session; what the client keeps.
fn give(upstream: Upstream) -> Kept {
    let Upstream { server, relay, route, all, like, own, turn, .. } = upstream;
    if let Some(pool) = &all.pool {
        pool.give(server, Arc::clone(&like), Arc::clone(relay.named()), route);
    }
    drop(turn);
    Kept { relay, route, all, like, own }
}
