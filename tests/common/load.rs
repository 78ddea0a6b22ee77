//! Clients that keep a ledger of their own: what was acknowledged, what may have happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls, Statement};

/// Tables of the load: a key, counters, and one without a key, where a row applied twice shows.
pub const TABLES: &str = "
    CREATE TABLE ledger (id bigint PRIMARY KEY, client integer NOT NULL, body text);
    CREATE TABLE counter (id integer PRIMARY KEY, n bigint NOT NULL);
    CREATE TABLE trail (id bigint NOT NULL, body text);
    CREATE TABLE bulk (id bigint PRIMARY KEY, body text);
    INSERT INTO counter VALUES (0, 0), (1, 0), (2, 0), (3, 0);";

#[derive(Default)]
struct Book {
    /// Commits the clients were told of.
    acknowledged: BTreeSet<i64>,
    /// Commits whose answer never came.
    unknown: BTreeSet<i64>,
    /// Errors that a client was told, by SQLSTATE (or what the driver says).
    errors: BTreeMap<String, u64>,
}

struct Shared {
    port: AtomicU16,
    stop: AtomicBool,
    hold: AtomicBool,
    /// Clients in a transaction.
    busy: AtomicU64,
    next: AtomicU64,
    commits: AtomicU64,
    connects: AtomicU64,
    retried: AtomicU64,
    book: Mutex<Book>,
}

/// Running clients.
pub struct Load {
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Starts clients against a port of this machine.
    pub fn start(port: u16, clients: usize) -> Self {
        let shared = Arc::new(Shared {
            port: AtomicU16::new(port),
            stop: AtomicBool::new(false),
            hold: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            next: AtomicU64::new(1),
            commits: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            book: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let clients = (0..clients).map(|n| runtime.spawn(client(Arc::clone(&shared), n))).collect();
        Self { shared, runtime: Some(runtime), clients }
    }

    /// The proxy listens elsewhere now.
    pub fn moved(&self, port: u16) {
        self.shared.port.store(port, Ordering::SeqCst);
    }

    /// Commits acknowledged so far.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::SeqCst)
    }

    /// Waits for some more commits.
    pub fn more(&self, commits: u64, why: &str) {
        let from = self.commits();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.commits() < from + commits {
            assert!(
                Instant::now() < deadline,
                "the clients do not commit: {why}; {:?}",
                self.shared.book.lock().unwrap().errors
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets the clients rest: none is in a transaction when this returns.
    pub fn rest(&self) {
        self.shared.hold.store(true, Ordering::SeqCst);
        // An answer that never comes ends with its connection.
        super::eventually("the clients rest", || self.shared.busy.load(Ordering::SeqCst) == 0);
    }

    /// Lets them go on.
    pub fn go_on(&self) {
        self.shared.hold.store(false, Ordering::SeqCst);
    }

    /// Ends the clients.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(runtime) = self.runtime.take() {
            for client in self.clients.drain(..) {
                let ended = async { tokio::time::timeout(Duration::from_secs(30), client).await };
                runtime.block_on(ended).expect("a client ends").expect("a client does not panic");
            }
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// Connections made so far.
    pub fn connects(&self) -> u64 {
        self.shared.connects.load(Ordering::SeqCst)
    }

    /// Commits whose end was not known, and that were sent again.
    pub fn retried(&self) -> u64 {
        self.shared.retried.load(Ordering::SeqCst)
    }

    /// Compares a side with the ledger; `rows` are the ids of `ledger`, `trail` those of `trail`
    /// as they are, `counted` the sum of the counters.
    pub fn check(&self, side: &str, rows: &[i64], trail: &[i64], counted: i64) {
        let book = self.shared.book.lock().unwrap();
        let there: BTreeSet<i64> = rows.iter().copied().collect();
        // A prepared statement outlives restarts of PostgreSQL and switches.
        assert!(!book.errors.contains_key("26000"), "{side}: {:?}", book.errors);
        let lost: Vec<_> = book.acknowledged.difference(&there).take(10).collect();
        assert!(lost.is_empty(), "{side}: acknowledged and lost: {lost:?}");
        assert_eq!(there.len(), rows.len(), "{side}: a key is there twice");
        let strange: Vec<_> = there
            .iter()
            .filter(|id| !book.acknowledged.contains(id) && !book.unknown.contains(id))
            .take(10)
            .collect();
        assert!(strange.is_empty(), "{side}: nobody wrote {strange:?}");
        let once: BTreeSet<i64> = trail.iter().copied().collect();
        assert_eq!(once.len(), trail.len(), "{side}: a commit was applied twice (keyless table)");
        let expected: BTreeSet<i64> = there.iter().copied().filter(|id| in_block(*id)).collect();
        assert_eq!(once, expected, "{side}: a transaction is there in part");
        assert_eq!(counted, i64::try_from(expected.len()).unwrap(), "{side}: counters");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Two of three commits are transactions of several statements.
fn in_block(id: i64) -> bool {
    id % 3 != 0
}

/// A client that knows no end of its commit sends it again, under the same key: a row that is there
/// already tells it the end.
async fn client(shared: Arc<Shared>, number: usize) {
    let mut again = None;
    while !shared.stop.load(Ordering::SeqCst) {
        let port = shared.port.load(Ordering::SeqCst);
        let text = format!("host=127.0.0.1 port={port} user=app dbname=app connect_timeout=5");
        let Ok((mut client, driver)) = tokio_postgres::connect(&text, NoTls).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        shared.connects.fetch_add(1, Ordering::SeqCst);
        let driver = tokio::spawn(driver);
        let prepared = Prepared::new(&client).await.ok();
        while prepared.is_some() && !shared.stop.load(Ordering::SeqCst) {
            // Told before it looks whether it may: who waits for rest sees it or holds it.
            let busy = Busy::new(&shared);
            if shared.hold.load(Ordering::SeqCst) {
                drop(busy);
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            let new = || i64::try_from(shared.next.fetch_add(1, Ordering::SeqCst)).unwrap();
            let retried = again.take();
            let id = retried.unwrap_or_else(new);
            // Noted before it is sent: whatever happens, it is somebody's.
            shared.book.lock().unwrap().unknown.insert(id);
            let done = match (&prepared, id % 3) {
                (Some(prepared), 2) => prepared.commit(&client, number, id).await,
                _ => commit(&mut client, number, id).await,
            };
            let there = |error: &tokio_postgres::Error| {
                retried.is_some() && error.code().is_some_and(|c| c.code() == "23505")
            };
            match done {
                Ok(()) => {
                    acknowledge(&shared, id);
                    shared.retried.fetch_add(u64::from(retried.is_some()), Ordering::SeqCst);
                    drop(busy);
                    // An application thinks now and then; the other side needs the processor too.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(error) if there(&error) => {
                    acknowledge(&shared, id);
                    shared.retried.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => {
                    let what = error.code().map_or_else(|| "lost".to_owned(), |c| c.code().into());
                    *shared.book.lock().unwrap().errors.entry(what).or_default() += 1;
                    drop(busy);
                    if client.is_closed() || error.code().is_none() {
                        again = Some(id);
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        drop(client);
        // A server that hangs is left behind.
        let _ = tokio::time::timeout(Duration::from_secs(2), driver).await;
    }
}

/// A client in a transaction.
struct Busy(Arc<Shared>);

impl Busy {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.busy.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

fn acknowledge(shared: &Shared, id: i64) {
    let mut book = shared.book.lock().unwrap();
    book.unknown.remove(&id);
    book.acknowledged.insert(id);
    shared.commits.fetch_add(1, Ordering::SeqCst);
}

async fn commit(client: &mut Client, number: usize, id: i64) -> Result<(), tokio_postgres::Error> {
    let number = i32::try_from(number).unwrap();
    let body = format!("row {id} of client {number}");
    let insert = "INSERT INTO ledger (id, client, body) VALUES ($1, $2, $3)";
    if !in_block(id) {
        return client.execute(insert, &[&id, &number, &body]).await.map(drop);
    }
    let transaction = client.transaction().await?;
    transaction.execute(insert, &[&id, &number, &body]).await?;
    let update = "UPDATE counter SET n = n + 1 WHERE id = $1";
    transaction.execute(update, &[&(i32::try_from(id % 4).unwrap())]).await?;
    transaction.execute("INSERT INTO trail (id, body) VALUES ($1, $2)", &[&id, &body]).await?;
    transaction.commit().await
}

/// A transaction all of whose statements, BEGIN and COMMIT too, were prepared by name before: its
/// end is a Bind, in which nobody can read COMMIT.
struct Prepared {
    begin: Statement,
    insert: Statement,
    update: Statement,
    trail: Statement,
    commit: Statement,
}

impl Prepared {
    async fn new(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            begin: client.prepare("BEGIN").await?,
            insert: client
                .prepare("INSERT INTO ledger (id, client, body) VALUES ($1, $2, $3)")
                .await?,
            update: client.prepare("UPDATE counter SET n = n + 1 WHERE id = $1").await?,
            trail: client.prepare("INSERT INTO trail (id, body) VALUES ($1, $2)").await?,
            commit: client.prepare("COMMIT").await?,
        })
    }

    async fn commit(
        &self,
        client: &Client,
        number: usize,
        id: i64,
    ) -> Result<(), tokio_postgres::Error> {
        let done = self.statements(client, i32::try_from(number).unwrap(), id).await;
        if done.is_err() && !client.is_closed() {
            let _ = client.batch_execute("ROLLBACK").await;
        }
        done
    }

    async fn statements(
        &self,
        client: &Client,
        number: i32,
        id: i64,
    ) -> Result<(), tokio_postgres::Error> {
        let body = format!("row {id} of client {number}");
        client.execute(&self.begin, &[]).await?;
        client.execute(&self.insert, &[&id, &number, &body]).await?;
        client.execute(&self.update, &[&(i32::try_from(id % 4).unwrap())]).await?;
        client.execute(&self.trail, &[&id, &body]).await?;
        client.execute(&self.commit, &[]).await.map(drop)
    }
}
