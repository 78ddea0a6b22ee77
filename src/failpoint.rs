//! Named crash points inside durable steps.
//!
//! Owns [`ALL`], the list of names, and the `failpoint!` macro. In builds with debug assertions or
//! the feature `failpoints`, `CROSSFADE_FAILPOINT=name[:n[:stand]],…` ends the process with SIGKILL
//! at the n-th hit (n starts at 1), or with `stand` stops it (SIGSTOP) until somebody continues it;
//! otherwise a failpoint costs nothing. It must never do anything but end or stop the process.
//! Start at [`ALL`].

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
    "way_back.attached",
    "way_back.marked",
    "way_back.trimmed",
    "backfill.emptied",
    "backfill.table_copied",
    "backfill.keys_built",
    "backfill.before_state",
    "backfill.after_state",
];

/// What is written to stderr before the process stands still, in front of the failpoint's name.
pub const STANDING: &str = "standing still at failpoint ";

/// Ends or stops the process here when `CROSSFADE_FAILPOINT` names this point.
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

/// A failpoint that was asked for.
#[cfg(any(debug_assertions, feature = "failpoints"))]
struct Armed {
    name: String,
    at: u64,
    stand: bool,
    hits: std::sync::atomic::AtomicU64,
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
impl Armed {
    fn read(text: &str) -> Self {
        let mut parts = text.trim().split(':');
        let name = parts.next().unwrap_or_default().to_owned();
        let at = parts.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        let stand = parts.next() == Some("stand");
        Self { name, at, stand, hits: std::sync::atomic::AtomicU64::new(0) }
    }
}

/// Counts a hit, and ends or stops the process at the one that was asked for.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering;

    use nix::sys::signal::{Signal, kill, raise};

    static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

    let armed = ARMED.get_or_init(|| {
        let text = std::env::var("CROSSFADE_FAILPOINT").unwrap_or_default();
        text.split(',').filter(|part| !part.trim().is_empty()).map(Armed::read).collect()
    });
    for point in armed.iter().filter(|point| point.name == name) {
        if point.hits.fetch_add(1, Ordering::SeqCst) + 1 != point.at {
            continue;
        }
        if point.stand {
            // To this thread, which must not run on while the others are being stopped.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{STANDING}{name}\n").as_bytes(),
            );
            let _ = raise(Signal::SIGSTOP);
            continue;
        }
        // SIGKILL, not abort: nothing may run after this point, no handler, no destructor.
        let _ = kill(nix::unistd::Pid::this(), Signal::SIGKILL);
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

    #[cfg(any(debug_assertions, feature = "failpoints"))]
    #[test]
    fn what_is_asked_for_is_read() {
        let read = |text| {
            let armed = Armed::read(text);
            (armed.name, armed.at, armed.stand)
        };
        assert_eq!(read("a.b"), ("a.b".to_owned(), 1, false));
        assert_eq!(read("a.b:7"), ("a.b".to_owned(), 7, false));
        assert_eq!(read(" a.b:2:stand"), ("a.b".to_owned(), 2, true));
    }
}
