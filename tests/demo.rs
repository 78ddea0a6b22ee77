//! The whole journey as a user starts it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Time for `crossfade demo --fast`; an optimised build needs less than a minute.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
#[ignore = "keeps every core busy: scripts/test plays it after the rest"]
fn the_fast_demo_holds() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(["demo", "--fast"])
        .stdin(Stdio::null())
        .spawn()
        .expect("crossfade runs");
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            // SIGTERM: the demo ends what it has started.
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            child.wait().unwrap();
            panic!("the demo took more than {} s", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(status.code(), Some(0), "every act held; the acts are on stdout above");
}
