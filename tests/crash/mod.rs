//! kill -9 of the proxy, at random and at every failpoint, immediate stops of PostgreSQL, and
//! connections cut in the middle of COMMIT, all under load: what was acknowledged is there exactly once, on both sides.

use std::collections::BTreeSet;
use std::time::Instant;

use crossfade::failpoint;

use crate::common::{Dice, Pg, Relay, eventually};

mod soak;
mod stopped;
mod switching;
mod trial;

use soak::Outcomes;
use trial::{Trial, large};

/// Failpoints that any load reaches, and at which hit: late enough to be under load.
const UNDER_LOAD: &[(&str, u32)] = &[
    ("writer.begun", 150),
    ("writer.before_commit", 150),
    ("writer.after_commit", 150),
    ("durable.before_sync", 50),
    ("durable.after_sync", 50),
    ("journal.closed", 150),
    ("journal.part_written", 2),
    ("journal.before_trim", 2),
    ("journal.after_trim", 2),
    ("mirror.begun", 20),
    ("mirror.before_commit", 20),
    ("mirror.after_commit", 20),
];

/// Failpoints of a copy.
const COPYING: &[&str] = &[
    "journal.attached",
    "backfill.emptied",
    "backfill.table_copied",
    "backfill.keys_built",
    "backfill.before_state",
    "backfill.after_state",
];

/// What leads to a failpoint of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Promote,
    Rollback,
    /// SQLite follows PostgreSQL.
    Following,
}

/// Failpoints of the switch, in an order in which each can follow the one before; who must be
/// primary after the crash.
const SWITCHING: &[(&str, By, &str)] = &[
    ("cutover.fenced", By::Promote, "sqlite"),
    ("cutover.witnessed", By::Promote, "sqlite"),
    ("cutover.caught_up", By::Promote, "sqlite"),
    ("cutover.before_decide", By::Promote, "sqlite"),
    ("cutover.decided", By::Promote, "postgres"),
    ("cutover.postgres_fenced", By::Rollback, "postgres"),
    ("way_back.before_commit", By::Following, "postgres"),
    ("cutover.returned", By::Rollback, "sqlite"),
    ("cutover.recorded", By::Promote, "postgres"),
    ("way_back.after_commit", By::Following, "postgres"),
    ("cutover.return_stored", By::Rollback, "sqlite"),
    ("cutover.routed", By::Promote, "postgres"),
    ("way_back.synced", By::Following, "postgres"),
    ("cutover.unfenced", By::Rollback, "sqlite"),
];

/// Failpoints of the trigger journal, where PostgreSQL's log cannot be decoded; likewise.
const JOURNALED: &[(&str, By, &str)] = &[
    ("way_back.attached", By::Promote, "sqlite"),
    ("cutover.before_decide", By::Promote, "sqlite"),
    ("cutover.decided", By::Promote, "postgres"),
    ("way_back.marked", By::Following, "postgres"),
    ("way_back.before_commit", By::Following, "postgres"),
    ("way_back.after_commit", By::Following, "postgres"),
    ("way_back.synced", By::Following, "postgres"),
    ("way_back.trimmed", By::Following, "postgres"),
    ("cutover.postgres_fenced", By::Rollback, "postgres"),
    ("cutover.returned", By::Rollback, "sqlite"),
    ("cutover.recorded", By::Promote, "postgres"),
    ("cutover.return_stored", By::Rollback, "sqlite"),
];

#[test]
fn every_failpoint_is_exercised() {
    let mut here: Vec<&str> = UNDER_LOAD.iter().map(|(name, _)| *name).collect();
    here.extend(COPYING);
    here.extend(SWITCHING.iter().map(|(name, ..)| *name));
    let listed = |name: &&str| SWITCHING.iter().any(|(other, ..)| other == name);
    here.extend(JOURNALED.iter().map(|(name, ..)| *name).filter(|name| !listed(name)));
    let once: BTreeSet<&str> = here.iter().copied().collect();
    assert_eq!(once.len(), here.len(), "a failpoint is listed twice");
    assert_eq!(once, failpoint::ALL.iter().copied().collect::<BTreeSet<_>>());
}

#[test]
fn killed_at_every_failpoint_of_writing_and_mirroring() {
    let pg = Pg::shared();
    let mut trial = Trial::start(pg);
    trial.journey.mirror();
    for (name, n) in UNDER_LOAD {
        let began = Instant::now();
        trial.restart(Some((name, *n)));
        if *name == "journal.part_written" {
            assert_ne!(large(&trial, 1).0, 0, "the statement was acknowledged");
        }
        trial.died_at(name);
        trial.restart(None);
        trial.load.more(20, name);
        println!("{name}: {} ms", began.elapsed().as_millis());
    }
    let (code, _, stderr) = large(&trial, 1);
    assert_eq!(code, 0, "{stderr}");
    let bulk = "SELECT count(*), sum(length(body)) FROM bulk";
    assert_eq!(trial.journey.proxy.sql(bulk), "1000|3000000");
    eventually("the large transaction is mirrored", || {
        pg.cluster.psql(&trial.journey.database, bulk).unwrap() == "1000|3000000"
    });
    trial.conclude(pg);
}

#[test]
fn killed_at_every_failpoint_of_a_copy() {
    let pg = Pg::shared();
    let mut trial = Trial::start(pg);
    for name in COPYING {
        trial.restart(Some((name, 1)));
        trial.load.more(10, name);
        let (code, ..) = trial.journey.order(&["backfill"]);
        assert_ne!(code, 0, "{name}: backfill says it is done");
        trial.died_at(name);
        trial.restart(None);
        trial.load.more(10, name);
        assert_eq!(trial.journey.status("primary"), "sqlite");
    }
    trial.journey.mirror();
    trial.load.more(50, "after the copy");
    trial.conclude(pg);
}

#[test]
fn killed_at_every_failpoint_of_the_switch() {
    killed_switching(Pg::shared(), SWITCHING);
}

#[test]
fn killed_at_every_failpoint_of_the_trigger_journal() {
    killed_switching(Pg::without_decoding(), JOURNALED);
}

fn killed_switching(pg: &Pg, failpoints: &[(&str, By, &str)]) {
    let mut trial = Trial::start(pg);
    trial.journey.mirror();
    let mut epoch = 1;
    for (name, by, primary) in failpoints {
        let began = Instant::now();
        trial.restart(Some((name, 1)));
        match by {
            By::Promote => {
                trial.journey.await_status("phase", "mirroring");
                let (code, task, stderr) = trial.journey.try_promote();
                assert_ne!(code, 0, "{name}: {task}");
                assert_ne!(code, 4, "{name}: {stderr}");
            }
            By::Rollback => {
                trial.journey.await_status("phase", "promoted");
                trial.journey.await_way_back();
                let (code, task, stderr) = trial.journey.order(&["rollback", "--yes"]);
                assert_ne!(code, 0, "{name}: {task}");
                assert_ne!(code, 4, "{name}: {stderr}");
            }
            By::Following => {}
        }
        trial.died_at(name);
        trial.restart(None);
        let phase = if *primary == "sqlite" { "mirroring" } else { "promoted" };
        trial.journey.await_status("phase", phase);
        trial.journey.await_status("primary", primary);
        trial.load.more(20, name);
        let sql = "SELECT record FROM crossfade.epochs ORDER BY epoch DESC LIMIT 1";
        let record = pg.cluster.psql(&trial.journey.database, sql).unwrap();
        assert_eq!(record == "decided", *primary == "postgres", "{name}: {record}");
        let now: u64 = trial.journey.status("epoch").parse().unwrap();
        assert!(now >= epoch, "{name}: the epoch went from {epoch} to {now}");
        epoch = now;
        trial.load.rest();
        match *primary {
            "postgres" => trial.check_postgres(pg),
            _ => trial.check_sqlite(),
        }
        trial.check_both(pg);
        trial.load.go_on();
        println!("{name}: {primary} serves, {} ms", began.elapsed().as_millis());
    }
    trial.conclude(pg);
}

/// One round: something ends at a moment nobody chose; what it was.
fn disturb(
    trial: &mut Trial,
    pg: &mut Pg,
    relay: &Relay,
    dice: &mut Dice,
    promoted: bool,
) -> &'static str {
    dice.sleep(200, 1200);
    let what = dice.below(13);
    if what >= 10 {
        // A COMMIT that nobody knows the end of: the mirror's, or a client's.
        let name = if dice.below(2) == 0 {
            relay.lose_an_answer();
            "answer to COMMIT lost"
        } else {
            relay.cut_a_commit();
            "COMMIT cut"
        };
        eventually("a COMMIT is cut", || relay.is_idle());
        trial.load.more(20, "after a connection that was cut in COMMIT");
        name
    } else if what < 5 {
        trial.journey.proxy.kill();
        dice.sleep(0, 200);
        trial.restart(None);
        trial.load.more(20, "after kill -9 of the proxy");
        "proxy killed"
    } else if what < 8 {
        pg.cluster.stop(true).unwrap();
        if !promoted {
            trial.load.more(20, "while PostgreSQL is down: SQLite is primary");
        }
        dice.sleep(0, 500);
        pg.cluster.resume().unwrap();
        trial.load.more(20, "after an immediate stop of PostgreSQL");
        "PostgreSQL stopped"
    } else {
        pg.cluster.stop(true).unwrap();
        trial.journey.proxy.kill();
        dice.sleep(0, 200);
        if what == 8 {
            pg.cluster.resume().unwrap();
            trial.restart(None);
        } else {
            trial.restart(None);
            dice.sleep(0, 500);
            pg.cluster.resume().unwrap();
        }
        trial.load.more(20, "after the end of both");
        "both ended"
    }
}

/// So many rounds with a pair of their own, to their proven end.
fn at_random(rounds: u64, dice: &mut Dice) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut pg = Pg::start();
    let relay = Relay::to(pg.cluster.port());
    let mut trial = Trial::behind(&relay, &pg);
    // Where many pairs share a machine PostgreSQL may not answer in time at first.
    eventually("it is copied", || trial.journey.order(&["backfill"]).0 == 0);
    trial.journey.await_status("phase", "mirroring");
    trial.journey.done(&["verify"]);
    for round in 0..rounds {
        // The last third is spent with PostgreSQL as primary.
        let promoted = round >= rounds - rounds / 3;
        if promoted && trial.journey.status("phase") == "mirroring" {
            trial.journey.promote();
        }
        let what = disturb(&mut trial, &mut pg, &relay, dice, promoted);
        outcomes.add(what, 1);
        outcomes.add("rounds", 1);
        if round % 3 == 2 {
            trial.load.rest();
            trial.check_both(&pg);
            trial.load.go_on();
        }
    }
    if trial.journey.status("phase") == "promoted" {
        trial.journey.rollback();
    }
    trial.load.more(20, "at the end");
    let (commits, again) = trial.conclude(&pg);
    outcomes.add("commits acknowledged", commits);
    outcomes.add("commits sent again", again);
    outcomes
}

#[test]
fn killed_and_stopped_at_random() {
    let mut dice = Dice::new();
    match soak::wanted() {
        None => println!("{}", at_random(10, &mut dice)),
        Some(rounds) => soak::run("rounds", rounds, &mut dice, at_random),
    }
}
