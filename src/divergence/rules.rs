//! What is accepted without asking, and what explains what.
//!
//! Pure: rules and groups in, a decision out. Start at [`Rule::accepts`], [`cause`].

use jiff::Timestamp;

use super::group::{Accept, Group, GroupState, Sample, Severity};

/// A rule of the configuration; every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Class.
    pub class: Option<String>,
    /// The statement's shape.
    pub fingerprint: Option<String>,
    /// Table.
    pub table: Option<String>,
    /// The one column that differs: no other one, and no row that is missing or too much.
    pub column: Option<String>,
    /// What is noted of the acceptance.
    pub accept: Accept,
}

impl Rule {
    /// The acceptance of a sample, while the rule holds.
    pub(super) fn accepts(&self, sample: &Sample) -> Option<&Accept> {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        let holds = is(&self.class, Some(&sample.class))
            && is(&self.fingerprint, Some(&sample.fingerprint))
            && is(&self.table, sample.table.as_deref())
            && self.column.as_ref().is_none_or(|column| only_differs(sample, column))
            && !has_expired(&self.accept);
        holds.then_some(&self.accept)
    }
}

/// Whether a row is on both sides, and nothing but the column differs.
fn only_differs(sample: &Sample, column: &str) -> bool {
    matches!(sample.class.as_str(), "value" | "effect_value" | "verify_value")
        && matches!(sample.columns.as_slice(), [only] if only == column)
}

/// The end of an acceptance. A date ends as it begins, in UTC.
fn end(expires: &str) -> Option<Timestamp> {
    expires.parse::<Timestamp>().ok().or_else(|| {
        let date = expires.parse::<jiff::civil::Date>().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

/// Whether an acceptance holds no more.
pub(super) fn has_expired(accept: &Accept) -> bool {
    accept.expires.as_deref().and_then(end).is_some_and(|end| end <= Timestamp::now())
}

impl Accept {
    /// Why nobody can accept something like that. A misspelt date must not mean for ever.
    pub fn problem(&self) -> Option<&'static str> {
        match &self.expires {
            _ if self.owner.trim().is_empty() => Some("owner is empty: somebody answers for it"),
            _ if self.reason.trim().is_empty() => Some("reason is empty"),
            Some(at) if end(at).is_none() => {
                Some("expires is a date or a time, as in 2030-01-31 or 2030-01-31T12:00:00Z")
            }
            Some(_) if has_expired(self) => Some("expires is over already"),
            _ => None,
        }
    }
}

/// The group that explains a read's difference: rows of its table are known to differ, and are
/// not repaired yet.
pub(super) fn cause<'a>(
    sample: &Sample,
    mut groups: impl Iterator<Item = &'a Group>,
) -> Option<String> {
    const EFFECTS: &[&str] = &["row_missing", "row_extra", "value", "row_count"];
    const CAUSES: &[&str] = &["foreign_write", "verify_missing", "verify_extra", "verify_value"];
    let table = sample.table.as_ref().filter(|_| EFFECTS.contains(&sample.class.as_str()))?;
    let explains = |g: &&Group| {
        g.state == GroupState::Open
            && g.severity == Severity::Data
            && g.table.as_ref() == Some(table)
            && CAUSES.contains(&g.class.as_str())
    };
    groups.find(explains).map(|g| g.id.clone())
}
