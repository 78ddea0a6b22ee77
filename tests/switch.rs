//! pgbench's TPC-B through the proxy while PostgreSQL becomes primary, and back, and again.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::common::{Journey, Pg};

/// No client may wait longer.
const PAUSE_BUDGET: Duration = Duration::from_secs(2);

/// One load at a time: two at once measure each other.
static TURN: Mutex<()> = Mutex::new(());

const SUMS: &str = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), \
    (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches), \
    (SELECT sum(delta) FROM pgbench_history), (SELECT count(*) FROM pgbench_history)";

fn pgbench(arguments: &[&str], url: &str) -> Command {
    let mut command = Pg::shared().tool("pgbench");
    command.args(arguments).arg(url).stdin(Stdio::null());
    command
}

/// What pgbench reports in a line like `name: number …`.
fn figure(report: &str, name: &str) -> u64 {
    let line = report.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| {
        panic!("pgbench reports no {name}:\n{report}");
    });
    let number = line[name.len()..].trim_start_matches([':', ' ']);
    number.split([' ', '/']).next().unwrap().parse().unwrap()
}

fn numbers(line: &str) -> Vec<i64> {
    line.split('|').map(|n| n.parse().unwrap()).collect()
}

/// The four sums and the number of history rows of a SQLite file.
fn in_file(file: &Path) -> Vec<i64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    conn.busy_timeout(Duration::from_secs(5)).unwrap();
    conn.query_row(SUMS, [], |row| (0..5).map(|i| row.get(i)).collect()).unwrap()
}

/// The longest transaction and the 99th percentile, milliseconds, from pgbench's own log.
fn latencies(folder: &Path) -> (u64, u64) {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("latency.") {
            let text = std::fs::read_to_string(path).unwrap();
            let micros = text.lines().map(|l| l.split(' ').nth(2).unwrap().parse::<u64>().unwrap());
            found.extend(micros.map(|us| us / 1000));
        }
    }
    found.sort_unstable();
    (found[found.len() - 1], found[found.len() * 99 / 100])
}

struct Running(Option<Child>);

impl Running {
    /// Ends the run as its own alarm would: every client finishes its transaction.
    fn finish(mut self) -> String {
        let mut child = self.0.take().unwrap();
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            panic!("the load ended before the switches: {}\n{text}", output.status);
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGALRM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("pgbench does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "pgbench:\n{stdout}\n{stderr}");
        stdout
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A switch between two stretches of load.
#[derive(Clone, Copy, Debug)]
enum Switch {
    Promote,
    Rollback,
}

fn under_load(mode: &str, switches: &[Switch]) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.db");
    let journey = Journey::start(&file, pg, &[]);
    let url = journey.proxy.url();
    let made = pgbench(&["-i", "-q", "-s", "1"], &url).output().unwrap();
    assert!(made.status.success(), "pgbench -i: {}", String::from_utf8_lossy(&made.stderr));
    journey.mirror();
    let log = folder.path().join("latency");
    let prefix = format!("--log-prefix={}", log.display());
    let child =
        pgbench(&["-n", "-c", "8", "-j", "1", "-T", "600", "-M", mode, "-l", &prefix], &url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    let running = Running(Some(child));
    let stretch = Duration::from_millis(1500);
    std::thread::sleep(stretch);
    for switch in switches {
        let (wait, primary) = match switch {
            Switch::Promote => (journey.promote(), "postgres"),
            Switch::Rollback => (journey.rollback(), "sqlite"),
        };
        println!("{mode}: {switch:?}: a client waited {} ms at most", wait.as_millis());
        assert!(wait < PAUSE_BUDGET, "{switch:?} made a client wait {wait:?}");
        assert_eq!(journey.status("primary"), primary);
        std::thread::sleep(stretch);
    }
    let report = running.finish();
    let done = figure(&report, "number of transactions actually processed");
    assert_eq!(figure(&report, "number of failed transactions"), 0, "{report}");
    let (longest, p99) = latencies(folder.path());
    println!(
        "{mode}: {done} transactions, 0 failed; the longest took {longest} ms as pgbench saw it, \
         p99 {p99} ms"
    );
    let sums = numbers(&journey.proxy.sql(SUMS));
    assert_eq!(sums[4], i64::try_from(done).unwrap(), "history rows and transactions");
    assert!(sums[..4].iter().all(|s| *s == sums[0]), "through the proxy: {sums:?}");
    crate::common::eventually("PostgreSQL holds the same", || {
        numbers(&pg.cluster.psql(&journey.database, SUMS).unwrap()) == sums
    });
    crate::common::eventually("SQLite holds the same", || in_file(&file) == sums);
    if journey.status("primary") == "sqlite" {
        journey.level();
        journey.done(&["verify"]);
    }
    assert_eq!(journey.status("diverged_open"), "0");
}

#[test]
fn promote_rollback_promote_under_prepared_load() {
    under_load("prepared", &[Switch::Promote, Switch::Rollback, Switch::Promote]);
}

#[test]
fn promote_and_rollback_under_simple_load() {
    under_load("simple", &[Switch::Promote, Switch::Rollback]);
}

#[test]
fn promote_and_rollback_under_extended_load() {
    under_load("extended", &[Switch::Promote, Switch::Rollback]);
}
