//! CF0118 to CF0120: types that a person gave, and values that they do not hold.

use super::{Rule, column_override};
use crate::assess::evidence::ColumnEvidence;
use crate::assess::facts::{Facts, Table};
use crate::assess::report::{Finding, Severity};
use crate::backend::sqlite::adopt::FindingKind;
use crate::backend::sqlite::system::format_type;
use crate::count::counted;
use crate::schema::Column;
use crate::value::{Type, oid};

pub(super) const UNHELD: Rule = Rule {
    id: "CF0118",
    title: "values that PostgreSQL's type does not hold",
    severity: Severity::Decision,
    does: "Serves them; on PostgreSQL they are NULL (a row whose column takes none is left out), and kept in crossfade.quarantine.",
};
pub(super) const IGNORED: Rule = Rule {
    id: "CF0119",
    title: "an override that is not followed",
    severity: Severity::Decision,
    does: "Serves and copies the column as the type named.",
};
pub(super) const CUT: Rule = Rule {
    id: "CF0120",
    title: "moments in a column of dates",
    severity: Severity::Decision,
    does: "Serves and copies the day; the time of day stays in the file.",
};

fn name(ty: Type) -> String {
    format_type(ty.oid, ty.typmod)
}

/// What the values of a column say of its type.
pub(super) fn column(
    table: &Table<'_>,
    column: &Column,
    seen: &ColumnEvidence,
    found: &mut Vec<Finding>,
) {
    let of =
        |rule: &Rule, message: String| rule.found(message).of(table).column(&column.sqlite_name);
    let over = |text: &str| column_override(&table.relation.name, &column.name, text);
    let chosen = name(column.ty);
    if seen.unheld.rows > 0 {
        let message =
            format!("{} as {chosen}: {}", counted(seen.unheld.rows, "value"), seen.unheld_why);
        let wider = match column.ty.oid {
            oid::INT2 | oid::INT4 => "bigint",
            oid::NUMERIC => "numeric",
            _ => "text",
        };
        found.push(of(&UNHELD, message).seen(&seen.unheld).over(over(wider)));
    }
    if seen.cut.rows > 0 {
        let message =
            format!("a time of day in a column of dates: {}", counted(seen.cut.rows, "value"));
        found.push(of(&CUT, message).seen(&seen.cut).over(over("timestamp stored as iso-text")));
    }
    if seen.beyond.rows > 0 {
        let message =
            format!("served as {chosen}; beyond it: {}", counted(seen.beyond.rows, "value"));
        found.push(of(&IGNORED, message).seen(&seen.beyond));
    }
}

/// What taking over said.
pub(super) fn adopted(facts: &Facts, found: &mut Vec<Finding>) {
    let ignored = facts.adopted.iter().filter(|(f, _)| f.kind == FindingKind::NotFollowed);
    for (finding, _) in ignored {
        let column = finding.column.as_deref().unwrap_or_default();
        found.push(IGNORED.found(&finding.message).table(&finding.table).column(column));
    }
}
