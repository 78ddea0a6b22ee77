//! Switches at random, in either direction, and in each something goes wrong at a moment nobody
//! chose, often once more while it recovers: one primary, nothing acknowledged lost, and clients
//! are served again, or the pause says why.
//!
//! Owns what goes wrong. It must never put back an old copy while clients write: what they were told
//! would be lost by us. Start at [`at_random`].

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::soak::{self, Outcomes};
use super::trial::Trial;
use super::{By, SWITCHING};
use crate::common::{Dice, Pg, Relay, eventually};

/// What goes wrong in a switch.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    KilledAtFailpoint,
    Killed,
    Stopped,
    BothEnded,
    CommitCut,
    AnswerLost,
    OrderLost,
    TransactionOpen,
    SqliteRestored,
    PostgresRestored,
}

/// As often as it stands here.
const FAULTS: &[Fault] = &[
    Fault::Nothing,
    Fault::KilledAtFailpoint,
    Fault::KilledAtFailpoint,
    Fault::KilledAtFailpoint,
    Fault::KilledAtFailpoint,
    Fault::Killed,
    Fault::Killed,
    Fault::Stopped,
    Fault::Stopped,
    Fault::BothEnded,
    Fault::CommitCut,
    Fault::AnswerLost,
    Fault::OrderLost,
    Fault::TransactionOpen,
    Fault::SqliteRestored,
    Fault::PostgresRestored,
];

/// Gates that need days of traffic. The way back is none of them: without it nobody rolls back.
const BY_NAME: [&str; 4] = ["quiet", "coverage", "translatable", "keys"];

/// The order's words.
fn words(by: By) -> Vec<&'static str> {
    match by {
        By::Promote => {
            let named = BY_NAME.into_iter().flat_map(|gate| ["--override", gate]);
            ["promote", "--yes"].into_iter().chain(named).collect()
        }
        _ => vec!["rollback", "--yes"],
    }
}

/// Longest time from the order to what goes wrong, in ms: a switch takes less.
const MOMENT: u64 = 600;

/// A transaction of somebody else's that is open on PostgreSQL, with an id and a snapshot.
struct Open(Child);

impl Open {
    const NAME: &str = "open_for_long";

    fn begin(pg: &Pg, database: &str) -> Self {
        let child = pg
            .tool("psql")
            .args(["-X", "-q", "-d", &pg.cluster.url(database)])
            .args(["-c", "BEGIN ISOLATION LEVEL REPEATABLE READ"])
            .args(["-c", "SELECT pg_current_xact_id(), count(*) FROM ledger"])
            .args(["-c", "SELECT pg_sleep(3600)"])
            .env("PGAPPNAME", Self::NAME)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let open = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL \
                    AND application_name = 'open_for_long' AND query LIKE '%pg_sleep%'";
        eventually("a transaction is open", || pg.cluster.psql(database, open).unwrap() == "1");
        Self(child)
    }

    fn end(mut self, pg: &Pg, database: &str) {
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE application_name = 'open_for_long'";
        pg.cluster.psql(database, end).unwrap();
        self.0.wait().unwrap();
    }
}

/// Everything in a folder, or one file, as it is while nobody has it open; owner and modes stay.
fn copied(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

struct Switches<'a> {
    trial: Trial,
    pg: Pg,
    relay: &'a Relay,
    dice: &'a mut Dice,
    /// Where copies of either side are kept.
    copies: tempfile::TempDir,
    epoch: u64,
    outcomes: Outcomes,
}

/// What is ordered next.
fn next(trial: &Trial) -> By {
    match trial.journey.status("phase").as_str() {
        "mirroring" => By::Promote,
        _ => By::Rollback,
    }
}

/// Gives the order, again while only a gate that opens by itself is shut; what came of it.
fn ordered(trial: &Trial, by: By) -> String {
    let journey = &trial.journey;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let (code, task, stderr) = journey.order(&words(by));
        match code {
            0 => return "done".to_owned(),
            4 if std::time::Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(200));
            }
            4 => panic!("{by:?} is refused for a minute: {stderr}\n{}", journey.proxy.log()),
            // The proxy is gone, or the switch was undone: recovery says who serves.
            _ if task.is_null() => return "cut off".to_owned(),
            _ => return "undone".to_owned(),
        }
    }
}

impl Switches<'_> {
    fn rest(&self) {
        let end = std::thread::scope(|scope| scope.spawn(|| self.trial.load.rest()).join());
        if end.is_err() {
            println!("{}", self.trial.journey.proxy.log());
            panic!("clients do not rest");
        }
    }

    fn round(&mut self) {
        let by = next(&self.trial);
        let fault = *self.dice.of(FAULTS);
        let end = match fault {
            Fault::SqliteRestored => self.sqlite_restored(by),
            Fault::PostgresRestored => self.postgres_restored(by),
            Fault::KilledAtFailpoint => self.killed_at_failpoint(by),
            _ => self.disturbed(by, fault),
        };
        let primary = self.settled();
        println!("{by:?}, {fault:?}: {end}; {primary} serves");
        self.outcomes.add(&format!("{by:?} {end}"), 1);
        self.outcomes.add(&format!("{fault:?}"), 1);
        self.outcomes.add("rounds", 1);
    }

    fn killed_at_failpoint(&mut self, by: By) -> String {
        let here = SWITCHING.iter().filter(|(_, of, _)| match by {
            By::Promote => *of == By::Promote,
            _ => *of != By::Promote,
        });
        let names: Vec<&str> = here.map(|(name, ..)| *name).collect();
        let name = *self.dice.of(&names);
        self.trial.restart(Some((name, 1)));
        let end = ordered(&self.trial, by);
        self.trial.died_at(name);
        self.outcomes.add(&format!("killed at {name}"), 1);
        self.recover();
        end
    }

    /// Starts again; one time in three it is not left alone meanwhile.
    fn recover(&mut self) {
        self.trial.restart(None);
        match self.dice.below(6) {
            0 => {
                self.dice.sleep(0, MOMENT);
                self.trial.restart(None);
                self.outcomes.add("killed while it recovers", 1);
            }
            1 => {
                self.dice.sleep(0, MOMENT);
                self.pg.cluster.stop(true).unwrap();
                self.dice.sleep(0, MOMENT);
                self.pg.cluster.resume().unwrap();
                self.outcomes.add("PostgreSQL stopped while it recovers", 1);
            }
            _ => {}
        }
    }

    /// Something goes wrong some time after the order.
    fn disturbed(&mut self, by: By, fault: Fault) -> String {
        let (trial, pg, relay, dice) = (&self.trial, &mut self.pg, self.relay, &mut *self.dice);
        let database = trial.journey.database.clone();
        let open = matches!(fault, Fault::TransactionOpen).then(|| Open::begin(pg, &database));
        let end = std::thread::scope(|scope| {
            let order = scope.spawn(|| match fault {
                Fault::OrderLost => lost(trial, by),
                _ => ordered(trial, by),
            });
            dice.sleep(0, MOMENT);
            match fault {
                Fault::Killed => trial.journey.proxy.signal_kill(),
                Fault::Stopped | Fault::BothEnded => {
                    pg.cluster.stop(true).unwrap();
                    if matches!(fault, Fault::BothEnded) {
                        trial.journey.proxy.signal_kill();
                    }
                    dice.sleep(0, MOMENT * 2);
                    pg.cluster.resume().unwrap();
                }
                Fault::CommitCut => relay.cut_a_commit(),
                Fault::AnswerLost => relay.lose_an_answer(),
                Fault::TransactionOpen => dice.sleep(0, 5000),
                _ => {}
            }
            if let Some(open) = open {
                open.end(pg, &database);
            }
            order.join().unwrap()
        });
        relay.forget();
        if matches!(fault, Fault::Killed | Fault::BothEnded) {
            self.recover();
        }
        end
    }

    /// The file is put back to before the switch, and the newest again once that was noticed.
    fn sqlite_restored(&mut self, by: By) -> String {
        let file = self.trial.file();
        let folder = file.parent().unwrap().to_owned();
        let (old, newest) = (self.copies.path().join("old"), self.copies.path().join("newest"));
        self.trial.journey.proxy.kill();
        copied(&folder, &old);
        self.trial.restart(None);
        let end = ordered(&self.trial, by);
        self.trial.load.more(5, "after a switch");
        self.rest();
        self.trial.journey.proxy.kill();
        copied(&folder, &newest);
        put_back(&old, &folder);
        self.trial.restart(None);
        self.noticed();
        self.trial.journey.proxy.kill();
        put_back(&newest, &folder);
        self.trial.restart(None);
        self.trial.load.go_on();
        end
    }

    /// The same of PostgreSQL, while the proxy runs.
    fn postgres_restored(&mut self, by: By) -> String {
        let data = self.pg.cluster.data();
        let (old, newest) = (self.copies.path().join("old"), self.copies.path().join("newest"));
        self.pg.cluster.stop(false).unwrap();
        copied(&data, &old);
        self.pg.cluster.resume().unwrap();
        let end = ordered(&self.trial, by);
        self.trial.load.more(5, "after a switch");
        self.rest();
        self.pg.cluster.stop(true).unwrap();
        copied(&data, &newest);
        copied(&old, &data);
        self.pg.cluster.resume().unwrap();
        self.noticed();
        self.pg.cluster.stop(true).unwrap();
        copied(&newest, &data);
        self.pg.cluster.resume().unwrap();
        self.trial.load.go_on();
        end
    }

    /// Nobody promotes or rolls back onto another history, and the reason says what is wrong.
    fn noticed(&mut self) {
        let journey = &self.trial.journey;
        let until = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let (health, reason) = (journey.status("health"), journey.status("reason"));
            let words = ["backup", "older than", "history", "lacks the last switch"];
            if health != "ok" && words.iter().any(|word| reason.contains(word)) {
                break;
            }
            let status = journey.get("/api/v1/status");
            assert!(std::time::Instant::now() < until, "{status}\n{}", journey.proxy.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        let (code, ..) = journey.order(&words(By::Promote));
        assert_ne!(code, 0, "promoted onto an old copy: {}", journey.proxy.log());
        let (code, ..) = journey.order(&words(By::Rollback));
        assert_ne!(code, 0, "rolled back onto an old copy: {}", journey.proxy.log());
        self.outcomes.add("old copy noticed", 1);
    }

    /// Who serves, once it is settled; both sides hold what clients were told.
    fn settled(&mut self) -> String {
        let (trial, pg) = (&self.trial, &self.pg);
        let journey = &trial.journey;
        let phase = || journey.status("phase");
        eventually("the switch is settled", || {
            if phase() == "copying" {
                // The copy was put in doubt: it is made anew, by order.
                let _ = journey.order(&["backfill"]);
            }
            ["mirroring", "promoted"].contains(&phase().as_str())
        });
        trial.load.more(20, "after a switch");
        let sql = "SELECT record FROM crossfade.epochs ORDER BY epoch DESC LIMIT 1";
        let primary = journey.status("primary");
        eventually("PostgreSQL knows who reigns", || {
            let record = pg.cluster.psql(&journey.database, sql).unwrap();
            (record == "decided") == (primary == "postgres")
        });
        let epoch = journey.status("epoch").parse().unwrap();
        assert!(epoch >= self.epoch, "the epoch went from {} to {epoch}", self.epoch);
        self.epoch = epoch;
        trial.load.rest();
        trial.check_both(pg);
        trial.load.go_on();
        if primary == "sqlite" {
            eventually("the copy is proven", || journey.order(&["verify"]).0 == 0);
        }
        primary
    }
}

/// The order is given, and its command ends before it hears anything.
fn lost(trial: &Trial, by: By) -> String {
    let mut command = Command::new(crate::common::binary());
    command.args(words(by)).env("CROSSFADE_ADMIN_URL", trial.journey.proxy.http());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    child.kill().unwrap();
    child.wait().unwrap();
    // The switch goes on without it: it is over when nothing is under way any more.
    eventually("the switch is over", || {
        let phase = trial.journey.status("phase");
        ["mirroring", "promoted"].contains(&phase.as_str())
    });
    "without its command".to_owned()
}

/// A folder's files come back as they were copied.
fn put_back(from: &Path, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let all = format!("{}/.", from.display());
    assert!(Command::new("cp").args(["-a", &all]).arg(folder).status().unwrap().success());
}

/// So many switches with a pair of their own, to their proven end.
fn at_random(rounds: u64, dice: &mut Dice) -> Outcomes {
    let pg = Pg::start();
    let relay = Relay::to(pg.cluster.port());
    let trial = Trial::behind(&relay, &pg);
    eventually("it is copied", || trial.journey.order(&["backfill"]).0 == 0);
    trial.journey.await_status("phase", "mirroring");
    trial.journey.done(&["verify"]);
    let copies = tempfile::tempdir().unwrap();
    let outcomes = Outcomes::default();
    let mut switches = Switches { trial, pg, relay: &relay, dice, copies, epoch: 1, outcomes };
    (0..rounds).for_each(|_| switches.round());
    let Switches { trial, pg, mut outcomes, .. } = switches;
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
fn switched_at_random() {
    let mut dice = Dice::new();
    match soak::wanted() {
        None => println!("{}", at_random(5, &mut dice)),
        Some(rounds) => soak::run("switches", rounds, &mut dice, at_random),
    }
}
