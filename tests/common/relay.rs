//! Stands between the proxy and PostgreSQL: loses answers to COMMIT, cuts a connection in the
//! middle of one, slows everything down, holds it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What it does to those who talk through it.
#[derive(Default)]
struct Knobs {
    /// Answers to COMMIT still to be lost.
    lose: AtomicU64,
    /// COMMITs still to be cut before PostgreSQL has heard them whole.
    cut: AtomicU64,
    /// Microseconds that each piece waits.
    slow: AtomicU64,
    hold: AtomicBool,
}

pub struct Relay {
    pub port: u16,
    knobs: Arc<Knobs>,
}

impl Relay {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let knobs = Arc::<Knobs>::default();
        let shared = Arc::clone(&knobs);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (c, s) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (to, from) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || pass(s, c, &from, false));
                std::thread::spawn(move || pass(client, server, &to, true));
            }
        });
        Self { port: own, knobs }
    }

    /// URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// PostgreSQL hears the next COMMIT; its answer finds nobody.
    pub fn lose_an_answer(&self) {
        self.knobs.lose.store(1, Ordering::SeqCst);
    }

    /// The next COMMIT does not reach PostgreSQL whole.
    pub fn cut_a_commit(&self) {
        self.knobs.cut.store(1, Ordering::SeqCst);
    }

    /// Whether what was ordered has happened.
    pub fn is_idle(&self) -> bool {
        self.knobs.lose.load(Ordering::SeqCst) + self.knobs.cut.load(Ordering::SeqCst) == 0
    }

    /// Nothing more is to happen.
    pub fn forget(&self) {
        self.knobs.lose.store(0, Ordering::SeqCst);
        self.knobs.cut.store(0, Ordering::SeqCst);
    }

    pub fn slow(&self, each: Duration) {
        self.knobs.slow.store(u64::try_from(each.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub fn hold(&self, on: bool) {
        self.knobs.hold.store(on, Ordering::SeqCst);
    }
}

fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn pass(mut from: TcpStream, mut to: TcpStream, knobs: &Knobs, is_client: bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n) = from.read(&mut buffer) {
        let slow = knobs.slow.load(Ordering::SeqCst);
        if slow > 0 {
            std::thread::sleep(Duration::from_micros(slow));
        }
        while knobs.hold.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let commit = buffer[..n].windows(7).position(|w| w == b"COMMIT\0").filter(|_| is_client);
        let lose = commit.is_some() && take(&knobs.lose);
        let cut = commit.filter(|_| take(&knobs.cut));
        if lose {
            let _ = from.shutdown(Shutdown::Both);
        }
        // Up to the middle of its name.
        let end = cut.map_or(n, |at| at + 3);
        if n == 0 || to.write_all(&buffer[..end]).is_err() || lose || cut.is_some() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Both);
}
