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

/// Whether an acceptance holds no more. A date ends as it begins, in UTC.
pub(super) fn has_expired(accept: &Accept) -> bool {
    accept.expires.as_deref().is_some_and(|at| {
        let end = at.parse::<Timestamp>().ok().or_else(|| {
            at.parse::<jiff::civil::Date>()
                .ok()
                .and_then(|d| d.to_zoned(jiff::tz::TimeZone::UTC).ok())
                .map(|z| z.timestamp())
        });
        end.is_some_and(|end| end <= Timestamp::now())
    })
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
