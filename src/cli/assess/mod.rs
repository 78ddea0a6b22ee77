//! `crossfade assess`: its flags and its two pages, for terminals and for browsers.
//!
//! Owns the rendering of a report. It must never print a value of a row, nor a colour to
//! anything but a terminal. Start at [`text`] and [`html`].

mod html;
mod text;

use std::path::PathBuf;

use clap::Args;

pub use html::html;
pub use text::text;

/// Flags of `assess`.
#[derive(Clone, Debug, Default, Args)]
pub struct AssessArgs {
    /// The application's SQLite file; without it the one that the configuration names
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Configuration file with the overrides of `[tables.NAME]`
    #[arg(long, env = "CROSSFADE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// PostgreSQL to look at as well: settings, rights, tables that are there
    #[arg(long, value_name = "URL", hide_env_values = true)]
    pub postgres: Option<String>,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long)]
    pub json: bool,
    /// Print only the DDL that backfill would run
    #[arg(long)]
    pub ddl: bool,
    /// File with statements of the application; those that are not served are listed
    #[arg(long, value_name = "FILE")]
    pub statements: Option<PathBuf>,
    /// Rows of a table that are looked at
    #[arg(long, value_name = "N", default_value_t = crate::assess::ROWS)]
    pub rows: u64,
    /// Seconds for everything; 0 takes as long as it needs
    #[arg(long, value_name = "SECONDS", default_value_t = crate::assess::LIMIT.as_secs())]
    pub time_limit: u64,
}

use crate::assess::{Finding, Severity, size};
use crate::count::counted;

/// Severities, the gravest first, with their headings.
const SECTIONS: [(Severity, &str); 4] = [
    (Severity::Blocking, "In the way"),
    (Severity::Rewrite, "To be written by hand before promote"),
    (Severity::Decision, "To decide"),
    (Severity::Info, "Good to know"),
];

/// Findings of one severity by rule.
fn by_rule(findings: &[Finding], severity: Severity) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings.iter().filter(|f| f.severity == severity) {
        match groups.last_mut() {
            Some(group) if group[0].id == finding.id => group.push(finding),
            _ => groups.push(vec![finding]),
        }
    }
    groups
}

/// Where a finding is: `table.column`, with the object.
fn place(finding: &Finding) -> String {
    let mut place = finding.table.clone().unwrap_or_default();
    if let Some(column) = &finding.column {
        place = if place.is_empty() { column.clone() } else { format!("{place}.{column}") };
    }
    match &finding.object {
        Some(object) if place.is_empty() => object.clone(),
        Some(object) => format!("{place} {object}"),
        None => place,
    }
}

/// A length of time for people.
fn seconds(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.1} s")
    } else if value < 120.0 {
        format!("{value:.0} s")
    } else if value < 7200.0 {
        format!("{:.0} min", value / 60.0)
    } else {
        format!("{:.1} h", value / 3600.0)
    }
}

/// The first line of a report: what was looked at, and how far.
fn looked(report: &crate::assess::Report) -> String {
    let about = if report.estimate.rows_exact { "" } else { "about " };
    let library = report.file.library.map_or(String::new(), |l| format!(", made by {l}"));
    let extent = if report.looked.complete {
        "every row looked at".to_owned()
    } else {
        format!(
            "{} looked at, at most {} of a table",
            counted(report.looked.rows, "row"),
            report.looked.rows_limit
        )
    };
    format!(
        "{}, {about}{}, {}{library}; {extent} in {}",
        counted(report.tables.len(), "table"),
        counted(report.estimate.rows, "row"),
        size(report.file.bytes),
        seconds(report.looked.seconds)
    )
}
