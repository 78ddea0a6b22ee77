//! Close behind, commits are gathered for a moment before they are applied.
//!
//! Owns the time between the beginnings of two batches. A batch costs PostgreSQL and the proxy much
//! the same with one commit in it as with ten: where they share a machine with clients, what is
//! saved is theirs. It must never hold back what somebody waits for, nor let the lag grow, and never
//! sleep itself. Start at [`Gather::pause`].

use std::time::{Duration, Instant};

/// From one beginning to the next at least, while there are few.
const EVERY: Duration = Duration::from_millis(25);
/// So many are enough: more would be applied no cheaper, and count as a lag.
const ENOUGH: u64 = 32;
/// How soon is looked again: enough may have come, or somebody waits.
const LOOK: Duration = Duration::from_millis(5);

/// When the last batch began.
#[derive(Default)]
pub(super) struct Gather(Option<Instant>);

impl Gather {
    /// A batch begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    /// How long to wait before it is looked again, with so many commits to apply of at most `most` in
    /// one batch; None when it is time.
    pub(super) fn pause(&self, now: Instant, commits: u64, most: usize) -> Option<Duration> {
        if commits >= ENOUGH.min(most as u64) {
            return None;
        }
        let since = now.saturating_duration_since(self.0?);
        EVERY.checked_sub(since).filter(|pause| !pause.is_zero()).map(|pause| pause.min(LOOK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_alone_does_not_wait() {
        let (mut gather, now) = (Gather::default(), Instant::now());
        assert_eq!(gather.pause(now, 1, 256), None);
        gather.begin(now);
        assert_eq!(gather.pause(now, 1, 256), Some(LOOK));
        assert_eq!(gather.pause(now + EVERY - LOOK / 5, 1, 256), Some(LOOK / 5));
        assert_eq!(gather.pause(now + EVERY, 1, 256), None);
        assert_eq!(gather.pause(now + EVERY * 9, 1, 256), None);
    }

    #[test]
    fn many_do_not_wait() {
        let (mut gather, now) = (Gather::default(), Instant::now());
        gather.begin(now);
        assert!(gather.pause(now, ENOUGH - 1, 256).is_some());
        assert_eq!(gather.pause(now, ENOUGH, 256), None);
        assert_eq!(gather.pause(now, 1, 1), None, "a batch holds no more");
    }
}
