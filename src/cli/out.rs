//! Output of the verbs: data on stdout, talk on stderr.
//!
//! A reader that has left (`| head`) is no fault: what follows is not printed, and the verb ends
//! with the exit code it has. It must never panic. Start at [`data`].

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to stdout as it is; false when nobody reads any more.
pub(crate) fn data(text: impl Display) -> bool {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// A line on stdout; false when nobody reads any more.
pub(crate) fn line(text: impl Display) -> bool {
    data(format_args!("{text}\n"))
}

/// Writes to stderr as it is.
pub(crate) fn talk(text: impl Display) {
    let mut err = io::stderr().lock();
    // With stderr gone there is nobody to tell.
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}
