//! PostgreSQL stops immediately while the proxy stands at a failpoint, at every one there is, and
//! starts again: what was acknowledged is there exactly once, on both sides.
//!
//! Each test has a server of its own. One start of the proxy stands at many failpoints, one after
//! the other; the lists are those of the tests that kill the proxy, which name every failpoint.
//! Start at [`stopped_at`].

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossfade::demo::cluster::Cluster;

use super::trial::{Held, Trial, large, on_postgres};
use super::{By, COPYING, SWITCHING, UNDER_LOAD};
use crate::common::{Journey, Pg, Proxy, eventually};

/// Stops PostgreSQL wherever the proxy stands still.
struct Stops<'a> {
    proxy: &'a Proxy,
    /// Locked while it is down.
    pg: &'a Mutex<Pg>,
    left: Mutex<BTreeSet<String>>,
    over: AtomicBool,
}

impl Stops<'_> {
    fn run(&self) {
        while !self.over.load(Ordering::SeqCst) {
            match self.proxy.stands() {
                Some(name) => self.stop_at(&name),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn stop_at(&self, name: &str) {
        let began = Instant::now();
        let mut pg = self.pg.lock().unwrap();
        let stopped = pg.cluster.stop(true);
        let away = began.elapsed();
        let late = self.left().len() % 2 == 1;
        // When it goes on it finds another server process, or none at first.
        let resumed = if late {
            self.proxy.go_on();
            std::thread::sleep(Duration::from_millis(200));
            pg.cluster.resume()
        } else {
            let resumed = pg.cluster.resume();
            self.proxy.go_on();
            resumed
        };
        drop(pg);
        let (stop, all) = (away.as_millis(), began.elapsed().as_millis());
        println!(
            "{name}: stopped in {stop} ms, back after {all}{}",
            if late { ", late" } else { "" }
        );
        stopped.unwrap();
        resumed.unwrap();
        self.left.lock().unwrap().remove(name);
    }

    /// Where it has not stood yet.
    fn left(&self) -> Vec<String> {
        self.left.lock().unwrap().iter().cloned().collect()
    }

    /// Asks PostgreSQL, which does not stop meanwhile.
    fn ask<T>(&self, question: impl FnOnce(&Pg) -> T) -> T {
        question(&self.pg.lock().unwrap())
    }

    fn there(&self, journey: &Journey) -> Held {
        self.ask(|pg| on_postgres(pg, &journey.database))
    }
}

/// Ends the stops, also when a test has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Starts the proxy so that it stands at each of these failpoints, stops PostgreSQL there, and
/// drives the pair to them; a failpoint that was never hit fails the test.
fn stopped_at(
    trial: &mut Trial,
    pg: &Mutex<Pg>,
    failpoints: &[(&str, u32)],
    drive: impl FnOnce(&Trial, &Stops<'_>),
) {
    trial.restart_standing(failpoints);
    let trial = &*trial;
    let stops = Stops {
        proxy: &trial.journey.proxy,
        pg,
        left: Mutex::new(failpoints.iter().map(|(name, _)| (*name).to_owned()).collect()),
        over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| stops.run());
        let _over = Over(&stops.over);
        drive(trial, &stops);
        eventually("every failpoint is hit", || stops.left().is_empty());
        trial.load.more(20, "after the last stop");
    });
}

/// What the machine's own end would lose stays in its memory here, and only the server ends:
/// without fsync it is back in a fraction of the time.
fn server() -> Pg {
    Pg { cluster: Cluster::start_with("fsync = off\n").expect("a throw-away PostgreSQL") }
}

fn begin() -> (Trial, Mutex<Pg>) {
    let pg = server();
    let trial = Trial::start(&pg);
    (trial, Mutex::new(pg))
}

#[test]
fn postgresql_stopped_at_every_failpoint_of_writing_and_mirroring() {
    let (mut trial, pg) = begin();
    trial.journey.mirror();
    // After each stop the mirror has to begin anew: sooner than where the proxy is killed.
    let failpoints: Vec<_> = UNDER_LOAD.iter().map(|(name, n)| (*name, (*n).min(5))).collect();
    stopped_at(&mut trial, &pg, &failpoints, |trial, stops| {
        let (code, _, stderr) = large(trial, 1);
        assert_eq!(code, 0, "{stderr}");
        eventually("every failpoint is hit", || stops.left().is_empty());
        trial.load.more(20, "after the last stop");
        trial.load.rest();
        trial.check_held(&|| stops.there(&trial.journey));
        trial.load.go_on();
    });
    let pg = pg.into_inner().unwrap();
    trial.load.rest();
    trial.journey.level();
    let bulk = "SELECT count(*), sum(length(body)) FROM bulk";
    assert_eq!(pg.cluster.psql(&trial.journey.database, bulk).unwrap(), "1000|3000000");
    trial.conclude(&pg);
}

#[test]
fn postgresql_stopped_at_every_failpoint_of_a_copy() {
    let (mut trial, pg) = begin();
    let failpoints: Vec<_> = COPYING.iter().map(|name| (*name, 1)).collect();
    stopped_at(&mut trial, &pg, &failpoints, |trial, stops| {
        // Each try gets further, unless PostgreSQL is still away.
        eventually("a copy ends", || {
            let (code, task, _) = trial.journey.order(&["backfill"]);
            assert_eq!(trial.journey.status("primary"), "sqlite", "{task}");
            trial.load.more(10, "SQLite is primary");
            code == 0 && stops.left().is_empty()
        });
    });
    let pg = pg.into_inner().unwrap();
    trial.journey.mirror();
    trial.conclude(&pg);
}

/// Whoever PostgreSQL says reigns serves, and both sides hold what the ledger says.
fn settled(trial: &Trial, stops: &Stops<'_>) {
    let journey = &trial.journey;
    eventually("the switch is settled", || {
        ["mirroring", "promoted"].contains(&journey.status("phase").as_str())
    });
    trial.load.more(20, "after a switch");
    let sql = "SELECT record FROM crossfade.epochs ORDER BY epoch DESC LIMIT 1";
    let record = stops.ask(|pg| pg.cluster.psql(&journey.database, sql).unwrap());
    let primary = journey.status("primary");
    assert_eq!(record == "decided", primary == "postgres", "{record}, and {primary} serves");
    trial.load.rest();
    trial.check_held(&|| stops.there(journey));
    trial.load.go_on();
}

#[test]
fn postgresql_stopped_at_every_failpoint_of_the_switch() {
    let (mut trial, pg) = begin();
    trial.journey.mirror();
    let failpoints: Vec<_> = SWITCHING.iter().map(|(name, ..)| (*name, 1)).collect();
    let following = SWITCHING.iter().filter(|(_, by, _)| *by == By::Following);
    let following: Vec<&str> = following.map(|(name, ..)| *name).collect();
    stopped_at(&mut trial, &pg, &failpoints, |trial, stops| {
        let journey = &trial.journey;
        for round in 0.. {
            let left = stops.left();
            if left.is_empty() {
                break;
            }
            assert!(round < 20, "never at {left:?}");
            let began = Instant::now();
            let what = if journey.status("phase") == "mirroring" {
                // It may be undone, or not know its own end.
                drop(journey.try_promote());
                "promote"
            } else {
                eventually("SQLite follows past its failpoints", || {
                    !stops.left().iter().any(|name| following.contains(&name.as_str()))
                });
                journey.await_way_back();
                drop(journey.order(&["rollback", "--yes"]));
                "rollback"
            };
            settled(trial, stops);
            println!(
                "{what}: {} serves, {} ms",
                journey.status("primary"),
                began.elapsed().as_millis()
            );
        }
    });
    let pg = pg.into_inner().unwrap();
    if trial.journey.status("phase") == "promoted" {
        trial.journey.rollback();
    }
    trial.conclude(&pg);
}

/// A promote that ends without knowing the decision is given up when PostgreSQL is back, and what
/// it had made there for the way back goes: a slot that nobody reads keeps the log for ever.
#[test]
fn a_promote_given_up_without_postgresql_leaves_no_slot() {
    let mut pg = server();
    let folder = tempfile::tempdir().unwrap();
    let stand = [("CROSSFADE_FAILPOINT", "cutover.before_decide:1:stand")];
    let journey = Journey::start(&folder.path().join("app.db"), &pg, &stand);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)");
    journey.mirror();
    let slots = "SELECT count(*) FROM pg_replication_slots";
    std::thread::scope(|scope| {
        let promote = scope.spawn(|| journey.try_promote());
        eventually("the promote stands before its decision", || journey.proxy.stands().is_some());
        assert_eq!(pg.cluster.psql("postgres", slots).unwrap(), "1");
        pg.cluster.stop(true).unwrap();
        journey.proxy.go_on();
        let (code, task, _) = promote.join().unwrap();
        assert_ne!(code, 0, "{task}");
    });
    let (code, ..) = journey.proxy.psql("INSERT INTO t VALUES (2)");
    assert_ne!(code, 0, "nobody knows who is primary");
    pg.cluster.resume().unwrap();
    journey.await_status("phase", "mirroring");
    assert_eq!(journey.status("primary"), "sqlite");
    eventually("the slot is gone", || pg.cluster.psql("postgres", slots).unwrap() == "0");
    journey.proxy.sql("INSERT INTO t VALUES (3)");
    journey.level();
    journey.done(&["verify"]);
}
