//! CF02xx: values that PostgreSQL cannot hold, or that mean more than one thing.

use super::{Rule, column_override};
use crate::assess::evidence::ColumnEvidence;
use crate::assess::facts::Table;
use crate::assess::report::{Class, Finding, Severity};
use crate::assess::shape::{Shape, Topic};
use crate::count::counted;
use crate::schema::{Codec, Column};
use crate::value::oid;

pub(super) const RULES: &[Rule] =
    &[SPELLINGS, COUNTED, NUL, UTF8, NOT_JSON, EMPTY, LARGE, MORE, FORMS, REWRITTEN, FINER];

const SPELLINGS: Rule = Rule {
    id: "CF0201",
    title: "dates and times in several forms",
    severity: Severity::Decision,
    does: "Serves and copies them as text; a word such as now is never evaluated, and no unit is guessed.",
};
const COUNTED: Rule = Rule {
    id: "CF0202",
    title: "moments as numbers",
    severity: Severity::Decision,
    does: "Reads them as moments in UTC, and writes numbers.",
};
const NUL: Rule = Rule {
    id: "CF0203",
    title: "text with a NUL character",
    severity: Severity::Decision,
    does: "Serves and copies the column as bytea: PostgreSQL's text cannot hold it, and none is cut.",
};
const UTF8: Rule = Rule {
    id: "CF0204",
    title: "text that is not valid UTF-8",
    severity: Severity::Decision,
    does: "Serves and copies the column as bytea, byte for byte.",
};
const NOT_JSON: Rule = Rule {
    id: "CF0205",
    title: "not valid JSON",
    severity: Severity::Decision,
    does: "Serves and copies the column as text.",
};
const EMPTY: Rule = Rule {
    id: "CF0206",
    title: "empty text in a column of another type",
    severity: Severity::Decision,
    does: "Keeps it, and takes a type that holds it; it is never made NULL.",
};
const LARGE: Rule = Rule {
    id: "CF0207",
    title: "values of a megabyte and more",
    severity: Severity::Info,
    does: "Copies them as they are, one row at a time in memory.",
};
const MORE: Rule = Rule {
    id: "CF0208",
    title: "text that is all of one kind",
    severity: Severity::Info,
    does: "Keeps it text.",
};

const FORMS: Rule = Rule {
    id: "CF0209",
    title: "dates in several forms in a column of text",
    severity: Severity::Info,
    does: "Keeps it text, byte for byte.",
};
const REWRITTEN: Rule = Rule {
    id: "CF0210",
    title: "values that PostgreSQL writes in another form",
    severity: Severity::Info,
    does: "Copies the value; PostgreSQL gives it back in its own form. Verify compares values, so this is no difference.",
};
const FINER: Rule = Rule {
    id: "CF0211",
    title: "times finer than a microsecond",
    severity: Severity::Decision,
    does: "Rounds them to microseconds wherever they are read: in answers, in the copy, in verify. The file keeps its digits.",
};

/// Forms of dates and times that can be told from each other.
const MOMENTS: [Shape; 9] = [
    Shape::IsoDate,
    Shape::IsoMoment,
    Shape::IsoZoned,
    Shape::ZeroDate,
    Shape::ImpossibleDate,
    Shape::DateWord,
    Shape::UnixSeconds,
    Shape::UnixMillis,
    Shape::JulianDay,
];

/// The rules about the values of each column.
pub(super) fn table(table: &Table<'_>, found: &mut Vec<Finding>) {
    let Some(evidence) = table.evidence else { return };
    let columns = table.stored.columns.iter().zip(&table.relation.columns);
    for ((stored, column), seen) in columns.zip(&evidence.columns) {
        let at = |rule: &Rule, message: String| rule.found(message).of(table).column(&stored.name);
        for (rule, shape) in
            [(&NUL, Shape::Nul), (&UTF8, Shape::InvalidUtf8), (&NOT_JSON, Shape::NotJson)]
        {
            if let Some(rows) = seen.seen(shape) {
                let over = narrow(table, column, seen);
                found.push(at(rule, counted(rows.rows, "value")).seen(&rows).over(over));
            }
        }
        let is_text = Topic::of(seen.declared.0) == Topic::Text || stored.type_name.is_empty();
        let bytes = seen.declared.0.oid == oid::BYTEA;
        if let Some(rows) = seen.seen(Shape::EmptyText).filter(|_| !is_text && !bytes) {
            let over = narrow(table, column, seen);
            found.push(at(&EMPTY, counted(rows.rows, "value")).seen(&rows).over(over));
        }
        if seen.large.rows > 0 {
            found.push(at(&LARGE, counted(seen.large.rows, "value")).seen(&seen.large));
        }
        if crate::backend::sqlite::adopt::guessed(stored, table.habit, column).is_none() {
            moments(table, &at, column, seen, found);
        }
        offers(table, &at, column, seen, found);
        forms(&at, seen, found);
        if seen.rewritten.rows > 0 {
            let message = counted(seen.rewritten.rows, "value");
            found.push(at(&REWRITTEN, message).seen(&seen.rewritten));
        }
        if seen.finer.rows > 0 {
            let over = column_override(&table.relation.name, &column.name, "text");
            let message = counted(seen.finer.rows, "value");
            found.push(at(&FINER, message).seen(&seen.finer).over(over));
        }
    }
}

/// The override that keeps the declared type and sends misfits to the quarantine.
fn narrow(table: &Table<'_>, column: &Column, seen: &ColumnEvidence) -> String {
    let (ty, _) = seen.declared;
    let name = crate::backend::sqlite::system::format_type(ty.oid, ty.typmod);
    column_override(&table.relation.name, &column.name, &name)
}

fn moments(
    table: &Table<'_>,
    at: &dyn Fn(&Rule, String) -> Finding,
    column: &Column,
    seen: &ColumnEvidence,
    found: &mut Vec<Finding>,
) {
    if Topic::of(seen.declared.0) != Topic::Moment {
        return;
    }
    let over = |text: &str| column_override(&table.relation.name, &column.name, text);
    let unit = match column.codec {
        Codec::UnixSeconds => Some("seconds"),
        Codec::UnixMillis => Some("milliseconds"),
        _ => None,
    };
    if let Some(unit) = unit {
        let message = format!("{unit} since 1970: {}", counted(seen.values, "value"));
        found.push(at(&COUNTED, message).over(over("bigint")));
        return;
    }
    let forms: Vec<Class> = seen
        .shapes
        .iter()
        .filter(|((shape, _), _)| {
            MOMENTS.contains(shape) || matches!(shape, Shape::Text | Shape::IsoTime)
        })
        .map(|((shape, fits), seen)| Class {
            class: shape.word(),
            rows: seen.rows,
            examples: seen.examples.clone(),
            fits: *fits,
        })
        .collect();
    let odd = forms.iter().any(|c| !c.fits);
    if forms.len() > 1 && odd && column.ty.oid != seen.declared.0.oid {
        let told: Vec<String> = forms.iter().map(|c| format!("{} {}", c.rows, c.class)).collect();
        let mut finding =
            at(&SPELLINGS, told.join(", ")).over(over("timestamp stored as iso-text"));
        finding.rows = Some(forms.iter().map(|c| c.rows).sum());
        finding.classes = forms;
        found.push(finding);
    }
}

/// Dates that stand in a column of text in more than one form.
fn forms(at: &dyn Fn(&Rule, String) -> Finding, seen: &ColumnEvidence, found: &mut Vec<Finding>) {
    let dates: u64 = seen.dates.values().map(|seen| seen.rows).sum();
    let empty = seen.seen(Shape::EmptyText).map_or(0, |seen| seen.rows);
    // A date among other texts is no form of a date.
    if seen.dates.len() < 2 || dates * 10 < (seen.values - empty) * 9 {
        return;
    }
    let forms: Vec<Class> = seen
        .dates
        .iter()
        .map(|(form, seen)| Class {
            class: form,
            rows: seen.rows,
            examples: seen.examples.clone(),
            fits: true,
        })
        .collect();
    let told: Vec<String> = forms.iter().map(|c| format!("{} {}", c.rows, c.class)).collect();
    let mut finding = at(&FORMS, told.join(", "));
    finding.rows = Some(dates);
    finding.classes = forms;
    found.push(finding);
}

/// Text that could be of a stricter type.
fn offers(
    table: &Table<'_>,
    at: &dyn Fn(&Rule, String) -> Finding,
    column: &Column,
    seen: &ColumnEvidence,
    found: &mut Vec<Finding>,
) {
    if !matches!(column.ty.oid, oid::TEXT | oid::VARCHAR) || seen.values == 0 {
        return;
    }
    let over = |text: &str| column_override(&table.relation.name, &column.name, text);
    if seen.moments == seen.values {
        let finding = at(&MORE, "every value is a date or a moment".to_owned());
        found.push(finding.over(over("timestamp stored as iso-text")));
    } else if seen.uuids == seen.values {
        found.push(at(&MORE, "every value is a uuid".to_owned()).over(over("uuid")));
    }
}
