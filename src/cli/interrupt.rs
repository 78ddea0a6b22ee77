//! Ctrl-C while a verb waits: what goes on is said, and the exit code is that of the contract.
//!
//! Owns nothing but the thread that waits for the signal. It must never stop an order: that
//! runs on in the proxy. Start at [`say`].

use std::sync::mpsc;

use tokio::signal::unix::{SignalKind, signal};

use super::{exit, out};

/// From now on Ctrl-C says this on stderr and ends the process.
pub(super) fn say(words: String) {
    let (ready, waits) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return };
            // The verb may have ended already; then nobody waits.
            let _ = ready.send(());
            interrupt.recv().await;
            out::no_bar();
            out::talk(words);
            std::process::exit(i32::from(exit::INTERRUPTED));
        });
    });
    // Without a handler the signal ends the process by itself: nothing is lost but the words.
    let _ = waits.recv();
}
