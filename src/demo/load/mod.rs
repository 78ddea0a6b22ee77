//! The load: clients that behave like the application, each with its own connection.
//!
//! Owns the clients' lives (connect, work, hold, reconnect, stop) and what they count. A client
//! remembers every commit it was told of, and every one it was left in doubt about; nothing
//! else may be in the ledger afterwards. Start at [`Load::start`].

mod client;
mod meter;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(super) use meter::Interval;
use meter::Meter;

use super::Trouble;
use super::shop::Shop;

/// How long the clients may take to come to rest between two transactions.
const REST: Duration = Duration::from_secs(45);

/// What the clients are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Run,
    /// Finish the transaction, then wait.
    Hold,
    Stop,
}

/// What one client knows of its own ledger entries.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// Acknowledged commits.
    acknowledged: BTreeSet<i64>,
    /// COMMIT was sent and the connection ended before the answer.
    in_doubt: BTreeSet<i64>,
}

/// What every client shares with the journey.
struct Shared {
    /// Address of the database: host, port, user, database name.
    config: tokio_postgres::Config,
    shop: Shop,
    /// Pause of a client between two transactions.
    think: Duration,
    meter: Meter,
    memories: Vec<parking_lot::Mutex<Memory>>,
    resting: watch::Sender<usize>,
}

/// The running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    mode: watch::Sender<Mode>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `count` clients.
    pub(super) fn start(
        runtime: &Runtime,
        config: tokio_postgres::Config,
        shop: Shop,
        count: usize,
        think: Duration,
    ) -> Self {
        let shared = Arc::new(Shared {
            config,
            shop,
            think,
            meter: Meter::default(),
            memories: (0..count).map(|_| parking_lot::Mutex::default()).collect(),
            resting: watch::Sender::new(0),
        });
        let mode = watch::Sender::new(Mode::Run);
        let clients = (0..count)
            .map(|number| runtime.spawn(client::run(Arc::clone(&shared), number, mode.subscribe())))
            .collect();
        Self { shared, mode, clients }
    }

    /// What happened since the last call.
    pub(super) fn interval(&self) -> Interval {
        self.shared.meter.take()
    }

    /// Commits acknowledged since the start.
    pub(super) fn acknowledged(&self) -> u64 {
        let count = |m: &parking_lot::Mutex<Memory>| m.lock().acknowledged.len();
        self.shared.memories.iter().map(count).sum::<usize>().try_into().unwrap_or(u64::MAX)
    }

    /// Waits until every client rests between two transactions.
    pub(super) async fn hold(&self) -> Result<(), Trouble> {
        self.mode.send_replace(Mode::Hold);
        let mut resting = self.shared.resting.subscribe();
        let all = self.clients.len();
        let waited = timeout(REST, resting.wait_for(|n| *n == all)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Trouble::NotHeld(format!(
                "the clients did not come to rest within {} s{}",
                REST.as_secs(),
                self.shared.meter.first_error().map(|e| format!(" ({e})")).unwrap_or_default()
            ))),
        }
    }

    /// Lets the clients go on.
    pub(super) fn resume(&self) {
        self.mode.send_replace(Mode::Run);
    }

    /// Compares the ledger with what the clients were told; they must be at rest, or `exact`
    /// false (then entries that are newer than the clients' memories are not looked at).
    /// The number of entries checked.
    pub(super) fn check_ledger(
        &self,
        found: &BTreeSet<(i64, i64)>,
        exact: bool,
    ) -> Result<u64, Trouble> {
        let (mut lost, mut invented, mut checked) = (Vec::new(), Vec::new(), 0_u64);
        for (client, memory) in (1_i64..).zip(&self.shared.memories) {
            let memory = memory.lock().clone();
            checked += u64::try_from(memory.acknowledged.len()).unwrap_or(0);
            lost.extend(
                memory.acknowledged.iter().map(|n| (client, *n)).filter(|k| !found.contains(k)),
            );
            if exact {
                let known =
                    |n: &i64| memory.acknowledged.contains(n) || memory.in_doubt.contains(n);
                let own = found.range((client, i64::MIN)..=(client, i64::MAX));
                invented.extend(own.filter(|(_, n)| !known(n)).copied());
            }
        }
        let show = |keys: &[(i64, i64)]| {
            let some: Vec<String> =
                keys.iter().take(3).map(|(c, n)| format!("client {c} number {n}")).collect();
            some.join(", ")
        };
        if !lost.is_empty() {
            let (count, first) = (lost.len(), show(&lost));
            return Err(Trouble::NotHeld(format!(
                "{count} acknowledged commits are missing: {first}"
            )));
        }
        if !invented.is_empty() {
            let (count, first) = (invented.len(), show(&invented));
            return Err(Trouble::NotHeld(format!(
                "{count} entries that were rolled back are there: {first}"
            )));
        }
        Ok(checked)
    }

    /// The acknowledged commits now; a later ledger must hold every one of them.
    pub(super) fn snapshot(&self) -> BTreeSet<(i64, i64)> {
        (1_i64..)
            .zip(&self.shared.memories)
            .flat_map(|(client, memory)| {
                let numbers: Vec<i64> = memory.lock().acknowledged.iter().copied().collect();
                numbers.into_iter().map(move |n| (client, n))
            })
            .collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Stop);
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

/// A failed call in one line: SQLSTATE and message when the server sent one.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} {}", db.code().code(), db.message()),
        None => error.to_string(),
    }
}

/// Connects a client of the journey itself.
pub(super) async fn connect(
    config: &tokio_postgres::Config,
) -> Result<tokio_postgres::Client, Trouble> {
    let mut last = String::new();
    for _ in 0..50 {
        match config.connect(tokio_postgres::NoTls).await {
            Ok((client, connection)) => {
                // Its errors reach the client's next call.
                tokio::spawn(async move { drop(connection.await) });
                return Ok(client);
            }
            Err(error) => last = describe(&error),
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(Trouble::NotHeld(format!("cannot connect: {last}")))
}
