//! What the demo prints: one line an act on stdout, talk on stderr.

use std::time::Duration;

use super::Trouble;
use crate::cli::out;

/// Collects how the acts went.
#[derive(Default)]
pub(super) struct Report {
    acts: usize,
    failed: Vec<String>,
    not_played: Vec<String>,
    interrupted: bool,
}

impl Report {
    /// Says what is being done now, without a line of its own on stdout.
    pub(super) fn talk(text: &str) {
        out::talk(format_args!("{text}\n"));
    }

    /// A line of data.
    pub(super) fn say(text: &str) {
        out::line(text);
    }

    /// Prints an act's line and keeps how it went.
    pub(super) fn act(&mut self, name: &str, took: Duration, outcome: &Result<String, Trouble>) {
        self.acts += 1;
        let (word, text) = match outcome {
            Ok(text) => ("held", text.as_str()),
            Err(Trouble::Skipped(text)) => ("skipped", text.as_str()),
            Err(Trouble::NotHeld(text) | Trouble::Broken(text)) => ("NOT HELD", text.as_str()),
            Err(Trouble::Interrupted) => ("stopped", "interrupted"),
        };
        let (number, seconds) = (self.acts, took.as_secs_f64());
        let line = text.lines().next().unwrap_or("");
        Self::say(&format!("{number:>2}  {name:<14} {seconds:>5.1} s  {word:<8}  {line}"));
        text.lines().skip(1).for_each(Self::talk);
        match outcome {
            Ok(_) => {}
            Err(Trouble::Interrupted) => self.interrupted = true,
            Err(_) => self.failed.push(format!("{name}: {line}")),
        }
    }

    /// Counts an act that could not be played any more.
    pub(super) fn not_played(&mut self, name: &str) {
        self.acts += 1;
        self.not_played.push(name.to_owned());
    }

    /// The last lines, and the exit code.
    pub(super) fn end(&self, took: Duration) -> u8 {
        let seconds = took.as_secs_f64();
        if self.interrupted {
            Self::talk(&format!("interrupted after {seconds:.1} s; everything it started ends"));
            return crate::cli::exit::INTERRUPTED;
        }
        if self.failed.is_empty() {
            Self::say(&format!("\nall {} acts held in {seconds:.1} s", self.acts));
            return crate::cli::exit::DONE;
        }
        let (failed, acts) = (self.failed.len() + self.not_played.len(), self.acts);
        Self::say(&format!("\n{failed} of {acts} acts did not hold, after {seconds:.1} s:"));
        self.failed.iter().for_each(|line| Self::say(&format!("  {line}")));
        if !self.not_played.is_empty() {
            Self::say(&format!("  not played any more: {}", self.not_played.join(", ")));
        }
        crate::cli::exit::NO
    }
}

/// `12 345`: digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A length of time as a person reads it.
pub(super) fn short(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{:.1} s", ms / 1000.0)
    } else if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let texts = [0, 12, 123, 1_234, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "12", "123", "1 234", "1 234 567"]);
        assert_eq!([short(3.21), short(321.0), short(4_321.0)], ["3.2 ms", "321 ms", "4.3 s"]);
    }
}
