//! Close behind, commits are gathered for a moment before they are applied.
//!
//! Owns the time between the beginnings of two batches. A batch costs PostgreSQL and the proxy much
//! the same with one commit in it as with ten: where they share a machine with clients, what is
//! saved is theirs. It must never hold back what somebody waits for, and never sleep itself. Start at
//! [`Gather::pause`].

use std::time::{Duration, Instant};

/// From one beginning to the next at least: the lag is never longer for it.
const EVERY: Duration = Duration::from_millis(25);

/// When the last batch began.
#[derive(Default)]
pub(super) struct Gather(Option<Instant>);

impl Gather {
    /// A batch begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    /// How long to wait before the next one; None when it is time.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.0?);
        EVERY.checked_sub(since).filter(|pause| !pause.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_alone_does_not_wait() {
        let (mut gather, now) = (Gather::default(), Instant::now());
        assert_eq!(gather.pause(now), None);
        gather.begin(now);
        assert_eq!(gather.pause(now), Some(EVERY));
        assert_eq!(gather.pause(now + EVERY / 5), Some(EVERY / 5 * 4));
        assert_eq!(gather.pause(now + EVERY), None);
        assert_eq!(gather.pause(now + EVERY * 9), None);
    }
}
