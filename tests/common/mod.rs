//! What integration tests share: a throw-away PostgreSQL, the real binary, real clients.
#![allow(dead_code)]

pub mod client;
mod clients;
mod dice;
mod journey;
mod load;
mod pair;
mod pg;
mod proxy;
pub mod raw;
mod relay;

pub use clients::{node, promtool, python, run_python};
pub use dice::Dice;
pub use journey::Journey;
pub use load::{Load, TABLES};
pub use pair::{Pair, sample};
pub use pg::Pg;
pub use proxy::{Proxy, binary, crossfade};
pub use raw::{Raw, same, same_in_full};
pub use relay::Relay;

use std::time::{Duration, Instant};

/// Polls until the condition holds; panics with `what` after a minute.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
