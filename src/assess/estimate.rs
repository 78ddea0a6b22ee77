//! How long the copy takes and how much room it needs, roughly.
//!
//! Owns the figures it is reckoned with; they are in the report, so that nobody takes them
//! for a measurement. Start at [`estimate`].

use super::facts::Facts;
use super::report::Estimate;

/// Rows a second, on a slow and on a fast machine.
const ROWS: (f64, f64) = (40_000.0, 200_000.0);
/// Bytes a second.
const BYTES: (f64, f64) = (15e6, 80e6);
/// Seconds that every table takes for itself.
const TABLE: (f64, f64) = (0.05, 0.01);
/// Bytes of PostgreSQL's own for each row, in table and key.
const ROW_OVERHEAD: u64 = 56;

/// Rows of all tables, and whether every one was counted.
pub(super) fn rows(facts: &Facts) -> (u64, bool) {
    let all = facts.evidence.values();
    let exact = all.clone().all(|e| !e.looked.partial);
    (all.map(|e| e.looked.about).sum(), exact)
}

/// Bytes of the file that are in use.
fn bytes(facts: &Facts) -> u64 {
    let pages = facts.header.pages.saturating_sub(facts.header.free_pages);
    u64::try_from(pages.saturating_mul(facts.header.page_size)).unwrap_or_default()
}

/// Bytes on PostgreSQL's disk, the log of the copy included.
pub(super) fn disk(facts: &Facts) -> u64 {
    let held = bytes(facts).saturating_add(rows(facts).0.saturating_mul(ROW_OVERHEAD));
    held.saturating_mul(2)
}

/// The estimate.
#[allow(clippy::cast_precision_loss)]
pub(super) fn estimate(facts: &Facts) -> Estimate {
    let (rows, exact) = rows(facts);
    let bytes = bytes(facts);
    let tables = facts.evidence.len() as f64;
    let at = |rows_rate: f64, bytes_rate: f64, table: f64| {
        (rows as f64 / rows_rate).max(bytes as f64 / bytes_rate) + tables * table
    };
    Estimate {
        rows,
        rows_exact: exact,
        bytes,
        seconds_low: at(ROWS.1, BYTES.1, TABLE.1),
        seconds_high: at(ROWS.0, BYTES.0, TABLE.0),
        disk_bytes: disk(facts),
        basis: format!(
            "{:.0} to {:.0} rows/s and {:.0} to {:.0} MB/s, whichever takes longer; indexes \
             included",
            ROWS.0,
            ROWS.1,
            BYTES.0 / 1e6,
            BYTES.1 / 1e6
        ),
    }
}

/// Bytes for people.
#[allow(clippy::cast_precision_loss)]
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            let digits = usize::from(unit != "bytes" && value < 10.0);
            return format!("{value:.digits$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}
