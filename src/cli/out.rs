//! Output of the verbs: data on stdout, talk on stderr.
//!
//! A reader that has left (`| head`) is no fault: what follows is not printed, and the verb ends
//! with the exit code it has. It must never panic, nor send colours to anything but a terminal.
//! Start at [`data`].

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use serde_json::{Value, json};

use crate::name;

/// Columns of a bar.
const BAR: usize = 24;
/// Columns of the words after it.
const WORDS: usize = 48;

/// Writes to stdout as it is; false when nobody reads any more.
pub(crate) fn data(text: impl Display) -> bool {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// A line on stdout; false when nobody reads any more.
pub(crate) fn line(text: impl Display) -> bool {
    data(format_args!("{}\n", name::shown(&text.to_string())))
}

/// A value on stdout, for programs; false when nobody reads any more.
pub(crate) fn json(value: &impl serde::Serialize) -> bool {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    line(name::shown_json(&text))
}

/// Writes to stderr as it is.
pub(crate) fn talk(text: impl Display) {
    let mut err = io::stderr().lock();
    // With stderr gone there is nobody to tell.
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}

/// Whether stdout is a terminal that wants colours.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// The error of the JSON contract.
pub(crate) fn error(code: &str, message: &str, hint: Option<&str>) -> Value {
    json!({"error": {"code": code, "message": message, "hint": hint}})
}

/// A bar on stderr, on a terminal only; `all` of 0 is not known.
pub(crate) fn bar(what: &str, done: u64, all: u64) {
    if !io::stderr().is_terminal() {
        return;
    }
    let full = done.saturating_mul(BAR as u64).checked_div(all).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(BAR).min(BAR);
    let short: String = what.chars().filter(|c| !c.is_control()).take(WORDS).collect();
    let drawn = format!("{}{}", "#".repeat(full), ".".repeat(BAR - full));
    let of = if all == 0 { done.to_string() } else { format!("{done}/{all}") };
    talk(format_args!("\r\x1b[K[{drawn}] {of} {short}"));
}

/// Takes the bar away.
pub(crate) fn no_bar() {
    if io::stderr().is_terminal() {
        talk("\r\x1b[K");
    }
}
