//! Recovery as a pure function of both sides' durable states.
//!
//! The driver asks [`next_step`], does that one step durably, observes both sides again, and
//! asks anew until the answer is to serve or to pause. Every step is idempotent, so a crash
//! between any two of them changes nothing. `tests/switch_model.rs` checks this very function
//! over all interleavings of crashes, delayed messages and restored backups.

use super::state::{Epoch, Point, PostgresState, PostgresView, Record, SqliteRole, SqliteState};
use super::state::{System, Witness};

/// The one thing to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// SQLite is primary; PostgreSQL may be attached as shadow when `attach` says so.
    ServeSqlite(Attach),
    /// PostgreSQL is primary.
    ServePostgres(WayBack),
    /// Insert (epoch, abandoned) in PostgreSQL under the unique key, then look again.
    InsertAbandoned(Epoch),
    /// SQLite becomes primary under this epoch.
    UnfenceSqlite(Epoch),
    /// SQLite records promoted(epoch) by this system.
    RecordPromoted(Epoch, System),
    /// PostgreSQL stores (epoch, returned) with this point as applied, in a transaction that
    /// holds only while the application role is shut out.
    StoreReturn(Epoch, Point),
    /// Let the application role in again: a rollback was not decided.
    UnfencePostgres,
    /// Serve nobody; a person or a reachable back end is needed.
    Pause(Pause),
}

/// Whether the journal may go on to PostgreSQL from where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attach {
    /// No PostgreSQL configured, or no answer yet: look again when it answers.
    Later,
    /// PostgreSQL's last applied record is in the journal: go on from there.
    Continue,
    /// PostgreSQL holds another history: nothing is applied; copy anew.
    CopyAnew,
}

/// Whether rollback is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WayBack {
    /// Same timeline as when promoted.
    Open,
    /// A failover happened: closed until SQLite's stored position is shown to lie on the new
    /// timeline's history.
    Unproven,
}

/// Why nobody is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pause {
    /// The outcome of a switch is known only to PostgreSQL, which does not answer.
    PostgresUnreachable,
    /// Another proxy serves this pair.
    SecondProxy,
    /// The PostgreSQL that answers is not the one that was to decide.
    OtherSystem,
    /// SQLite's file is older than what PostgreSQL (or this installation) has seen.
    SqliteRestored,
    /// PostgreSQL lacks a record that SQLite proves it had.
    PostgresRestored,
}

/// What to do next, given what is durable on both sides.
pub fn next_step(sqlite: &SqliteState, postgres: &PostgresView, witness: Witness) -> Step {
    match postgres {
        PostgresView::Locked => Step::Pause(Pause::SecondProxy),
        PostgresView::Absent | PostgresView::Unreachable => alone(sqlite, postgres, witness),
        PostgresView::Reachable(state) => together(sqlite, state, witness),
    }
}

/// The same after the end of the migration: PostgreSQL alone is left. A server that was upgraded, or
/// restored from its own backup, or that has dropped our records since, is the application's own
/// matter; nothing else could be primary by this file. A file from before that end is paused, and a
/// second proxy.
pub fn after_the_end(sqlite: &SqliteState, step: Step) -> Step {
    let gone =
        matches!(step, Step::Pause(p) if !matches!(p, Pause::SqliteRestored | Pause::SecondProxy));
    match sqlite.role {
        SqliteRole::Shadow { .. } if gone => Step::ServePostgres(WayBack::Unproven),
        _ => step,
    }
}

/// PostgreSQL says nothing. Only a SQLite that cannot have handed over may serve.
fn alone(sqlite: &SqliteState, postgres: &PostgresView, witness: Witness) -> Step {
    match sqlite.role {
        SqliteRole::Primary if sqlite.epoch < witness.attempted => {
            Step::Pause(Pause::SqliteRestored)
        }
        SqliteRole::Primary => Step::ServeSqlite(Attach::Later),
        // The switch back is decided here, but PostgreSQL must learn of it before the first
        // client: else a proxy that sees only PostgreSQL could still believe in its reign.
        SqliteRole::Returned(_) | SqliteRole::Fenced { .. } | SqliteRole::Shadow { .. } => {
            debug_assert!(!matches!(postgres, PostgresView::Reachable(_)));
            Step::Pause(Pause::PostgresUnreachable)
        }
    }
}

fn together(sqlite: &SqliteState, postgres: &PostgresState, witness: Witness) -> Step {
    let latest = postgres.records.last_key_value().map(|(e, r)| (*e, *r));
    match sqlite.role {
        SqliteRole::Primary if sqlite.epoch < witness.attempted => {
            Step::Pause(Pause::SqliteRestored)
        }
        SqliteRole::Primary => primary(sqlite.epoch, postgres, latest),
        SqliteRole::Returned(point) => returned(sqlite.epoch, point, postgres, latest),
        SqliteRole::Fenced { system, .. } => {
            fenced(sqlite.epoch, system, postgres, latest, witness)
        }
        SqliteRole::Shadow { system } => shadow(sqlite.epoch, system, postgres, latest),
    }
}

fn primary(epoch: Epoch, postgres: &PostgresState, latest: Option<(Epoch, Record)>) -> Step {
    let later_reign = postgres
        .records
        .range(epoch..)
        .any(|(e, r)| *r == Record::Decided || (*e > epoch && *r == Record::Returned));
    if later_reign {
        // PostgreSQL reigned after the epoch this file knows: the file is from before that.
        return Step::Pause(Pause::SqliteRestored);
    }
    let reign_open = matches!(latest, Some((_, Record::Decided)));
    if reign_open || !postgres.applied_is_known {
        // An open reign below our own epoch: PostgreSQL was restored to before the return.
        return Step::ServeSqlite(Attach::CopyAnew);
    }
    Step::ServeSqlite(Attach::Continue)
}

fn returned(
    epoch: Epoch,
    point: Point,
    postgres: &PostgresState,
    latest: Option<(Epoch, Record)>,
) -> Step {
    match latest {
        Some((e, _)) if e > epoch => Step::Pause(Pause::SqliteRestored),
        Some((e, Record::Returned)) if e == epoch => Step::UnfenceSqlite(epoch),
        Some((e, Record::Decided)) if e + 1 == epoch && postgres.fenced => {
            Step::StoreReturn(epoch, point)
        }
        // Another or an older PostgreSQL than the one that was fenced: it must not be told
        // that its data equal ours.
        _ => Step::Pause(Pause::PostgresRestored),
    }
}

fn fenced(
    epoch: Epoch,
    system: System,
    postgres: &PostgresState,
    latest: Option<(Epoch, Record)>,
    witness: Witness,
) -> Step {
    if postgres.system.identifier != system.identifier {
        return Step::Pause(Pause::OtherSystem);
    }
    match latest {
        Some((e, _)) if e > epoch + 1 => Step::Pause(Pause::SqliteRestored),
        Some((e, Record::Decided)) if e == epoch + 1 => {
            Step::RecordPromoted(epoch + 1, postgres.system)
        }
        Some((e, Record::Abandoned)) if e == epoch + 1 => Step::UnfenceSqlite(epoch + 1),
        Some((e, Record::Returned)) if e == epoch + 1 => Step::Pause(Pause::SqliteRestored),
        // Clients were served under the number that PostgreSQL no longer knows.
        _ if witness.served > epoch => Step::Pause(Pause::PostgresRestored),
        _ => Step::InsertAbandoned(epoch + 1),
    }
}

fn shadow(
    epoch: Epoch,
    system: System,
    postgres: &PostgresState,
    latest: Option<(Epoch, Record)>,
) -> Step {
    if postgres.system.identifier != system.identifier {
        return Step::Pause(Pause::OtherSystem);
    }
    match latest {
        Some((e, Record::Decided)) if e == epoch => {
            let same = postgres.system.timeline == system.timeline;
            // A newer timeline is a failover, whatever its predecessor lacked for a moment.
            if same && (postgres.disowned || !postgres.place_is_known) {
                // It has the decision, and lacks what was committed after it.
                return Step::Pause(Pause::PostgresRestored);
            }
            if postgres.fenced {
                return Step::UnfencePostgres;
            }
            Step::ServePostgres(if same { WayBack::Open } else { WayBack::Unproven })
        }
        Some((e, _)) if e > epoch => Step::Pause(Pause::SqliteRestored),
        _ => Step::Pause(Pause::PostgresRestored),
    }
}
