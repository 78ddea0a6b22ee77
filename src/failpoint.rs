//! Named crash points inside durable steps.
//!
//! Owns [`ALL`], the list of names, and the `failpoint!` macro. In builds with debug
//! assertions or the feature `failpoints`, `CROSSFADE_FAILPOINT=name[:n]` ends the process
//! with SIGKILL at the n-th hit (n starts at 1); otherwise a failpoint costs nothing. It
//! must never do anything but end the process. Start at [`ALL`].

/// Every failpoint there is. A crash test walks this list, and a name that is never hit
/// fails it.
pub const ALL: &[&str] = &[
    "writer.begun",
    "writer.before_commit",
    "writer.after_commit",
    "durable.before_sync",
    "durable.after_sync",
    "journal.part_written",
    "journal.closed",
    "journal.before_trim",
    "journal.after_trim",
    "journal.attached",
    "mirror.begun",
    "mirror.before_commit",
    "mirror.after_commit",
    "cutover.fenced",
    "cutover.witnessed",
    "cutover.caught_up",
    "cutover.before_decide",
    "cutover.decided",
    "cutover.recorded",
    "cutover.routed",
    "cutover.unfenced",
    "cutover.postgres_fenced",
    "cutover.returned",
    "cutover.return_stored",
    "way_back.before_commit",
    "way_back.after_commit",
    "way_back.synced",
    "backfill.emptied",
    "backfill.table_copied",
    "backfill.keys_built",
    "backfill.before_state",
    "backfill.after_state",
];

/// Ends the process here when `CROSSFADE_FAILPOINT` names this point.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {{
        const _: () = assert!($crate::failpoint::known($name), "add the name to failpoint::ALL");
        #[cfg(any(debug_assertions, feature = "failpoints"))]
        $crate::failpoint::hit($name);
    }};
}

/// Whether a name is listed; evaluated at compile time by `failpoint!`.
pub const fn known(name: &str) -> bool {
    let mut i = 0;
    while i < ALL.len() {
        if same(ALL[i].as_bytes(), name.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Counts a hit and ends the process at the one that was asked for.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);

    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("CROSSFADE_FAILPOINT").ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), count.parse().unwrap_or(1)))
    });
    let Some((wanted, count)) = wanted else { return };
    if wanted == name && HITS.fetch_add(1, Ordering::SeqCst) + 1 == *count {
        // SIGKILL, not abort: nothing may run after this point, no handler, no destructor.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_known() {
        for (i, name) in ALL.iter().enumerate() {
            assert!(known(name));
            assert!(!ALL[..i].contains(name), "{name} is listed twice");
        }
        assert!(!known("no.such.point"));
    }
}
