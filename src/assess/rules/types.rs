//! CF01xx: what type each column gets, and where data and declaration disagree.

use super::{Rule, column_override, overrides};
use crate::assess::evidence::{ColumnEvidence, Seen};
use crate::assess::facts::{Facts, Table};
use crate::assess::report::{Class, Finding, Severity};
use crate::assess::shape::Shape;
use crate::backend::sqlite::adopt::{self, Affinity, FindingKind, habits};
use crate::backend::sqlite::system::format_type;
use crate::config::Override;
use crate::count::counted;
use crate::schema::{Codec, Column};
use crate::sql::stored;
use crate::value::{Type, oid};

pub(super) const RULES: &[Rule] = &[
    MIXED,
    WIDER,
    LONGER,
    ACCIDENT,
    TINY,
    INFINITE,
    UNTYPED,
    JSON_CHECK,
    UNKNOWN,
    DECIMAL,
    HABIT,
    GUESS,
    COUNTS,
    UNFIT,
    COERCED,
    WAITS,
    overrides::UNHELD,
    overrides::IGNORED,
    overrides::CUT,
];

const MIXED: Rule = Rule {
    id: "CF0101",
    title: "values that the declared type does not hold",
    severity: Severity::Decision,
    does: "Serves and copies the column as a type that holds every value.",
};
const WIDER: Rule = Rule {
    id: "CF0102",
    title: "numbers beyond the declared type",
    severity: Severity::Info,
    does: "Takes a wider type of numbers.",
};
const LONGER: Rule = Rule {
    id: "CF0103",
    title: "texts longer than declared",
    severity: Severity::Info,
    does: "Leaves the length off: SQLite has never enforced it.",
};
const ACCIDENT: Rule = Rule {
    id: "CF0104",
    title: "a declared type that means numbers to SQLite",
    severity: Severity::Decision,
    does: "Copies what is stored; what SQLite changed before cannot be brought back. Texts that clients write come back as written: one that SQLite would change is kept as a BLOB, or is 0A000 where the file has triggers on the table or generated columns in it.",
};
const TINY: Rule = Rule {
    id: "CF0105",
    title: "a small integer that holds only 0 and 1",
    severity: Severity::Info,
    does: "Keeps it a number.",
};
const INFINITE: Rule = Rule {
    id: "CF0106",
    title: "infinite numbers",
    severity: Severity::Info,
    does: "Copies them as Infinity (numeric: PostgreSQL 14 and newer).",
};
const UNTYPED: Rule = Rule {
    id: "CF0107",
    title: "a column without a type holds several classes",
    severity: Severity::Decision,
    does: "Serves and copies it as a type that holds every value.",
};
const JSON_CHECK: Rule = Rule {
    id: "CF0108",
    title: "text that a check declares to be JSON",
    severity: Severity::Info,
    does: "Keeps it text.",
};
const UNKNOWN: Rule = Rule {
    id: "CF0109",
    title: "a type name that is not known",
    severity: Severity::Info,
    does: "Takes a type by the data; the name is never passed on to PostgreSQL.",
};
const DECIMAL: Rule = Rule {
    id: "CF0110",
    title: "decimals with more digits than a double has",
    severity: Severity::Info,
    does: "Copies the number that is stored; digits beyond the sixteenth were lost when it was written.",
};
const HABIT: Rule = Rule {
    id: "CF0111",
    title: "read by the habit of the library that made the file",
    severity: Severity::Info,
    does: "Serves the type that this library has on PostgreSQL, and stores what it stores here.",
};
const GUESS: Rule = Rule {
    id: "CF0112",
    title: "a type found from names and data",
    severity: Severity::Decision,
    does: "Serves and copies it as the type found.",
};
const COUNTS: Rule = Rule {
    id: "CF0113",
    title: "integers that may be moments",
    severity: Severity::Info,
    does: "Keeps them numbers.",
};
const UNFIT: Rule = Rule {
    id: "CF0115",
    title: "values that the chosen type does not hold",
    severity: Severity::Decision,
    does: "Reads of these rows fail with XX001; on PostgreSQL their values are NULL and kept in crossfade.quarantine with their bytes.",
};
const COERCED: Rule = Rule {
    id: "CF0117",
    title: "values that are changed to the column's type",
    severity: Severity::Info,
    does: "Reads them as that type everywhere, as [tables.NAME] coerce says; the copy and verify count them.",
};
const WAITS: Rule = Rule {
    id: "CF0116",
    title: "an override that waits",
    severity: Severity::Decision,
    does: "Keeps the type that PostgreSQL's copy has.",
};

fn name(ty: Type) -> String {
    format_type(ty.oid, ty.typmod)
}

/// The rules about each column of a table.
pub(super) fn table(table: &Table<'_>, found: &mut Vec<Finding>) {
    let columns = table.stored.columns.iter().zip(&table.relation.columns).enumerate();
    for (position, (stored, column)) in columns {
        let one = One { table, stored, column };
        one.library(found);
        let Some(seen) = table.evidence.and_then(|e| e.columns.get(position)) else { continue };
        one.disagreement(seen, found);
        one.numbers(seen, found);
        one.small_ones(seen, found);
        overrides::column(table, column, seen, found);
    }
}

struct One<'a> {
    table: &'a Table<'a>,
    stored: &'a stored::Column,
    column: &'a Column,
}

impl One<'_> {
    fn found(&self, rule: &Rule, message: String) -> Finding {
        rule.found(message).of(self.table).column(&self.stored.name)
    }

    fn over(&self, type_name: &str, codec: Codec) -> String {
        let text = Override::write(type_name, codec);
        column_override(&self.table.relation.name, &self.column.name, &text)
    }

    fn declared(&self) -> &str {
        self.stored.declared.as_deref().unwrap_or("no type")
    }

    fn chosen(&self) -> String {
        name(self.column.ty)
    }

    /// Data and declaration disagree.
    fn disagreement(&self, seen: &ColumnEvidence, found: &mut Vec<Finding>) {
        let (wanted, _) = seen.declared;
        let misfits = seen.misfits();
        let typed = !self.stored.type_name.is_empty();
        let chosen = self.column.ty;
        // Numbers that are moments have a rule of their own, and so do guesses.
        let counts = matches!(self.column.codec, Codec::UnixSeconds | Codec::UnixMillis)
            || adopt::guessed(self.stored, self.table.habit, self.column).is_some();
        if misfits == 0 || counts || (!typed && seen.shapes.len() < 2) {
            return;
        }
        let classes = classes(seen);
        if self.column.codec.coerces() {
            let message = format!("served as {}: {}", self.chosen(), told(&classes));
            let mut finding = self.found(&COERCED, message);
            finding.classes = classes;
            found.push(finding);
            return;
        }
        if !typed {
            let message = format!("served as {}: {}", self.chosen(), told(&classes));
            let mut finding = self.found(&UNTYPED, message);
            finding.classes = classes;
            found.push(finding);
            return;
        }
        if chosen.oid != wanted.oid && family(chosen.oid) == family(wanted.oid) {
            let rule = if family(wanted.oid) == oid::TEXT { &LONGER } else { &WIDER };
            let message = format!("declared {}, served as {}", self.declared(), self.chosen());
            found.push(self.found(rule, message));
            return;
        }
        let mixed = matches!(self.column.codec.plain(), Codec::BytesLoose | Codec::TextLoose);
        if chosen == wanted && seen.unread.rows == 0 && !mixed {
            // Another spelling of the same: a codec reads it.
            return;
        }
        if chosen.oid == wanted.oid && chosen.typmod != wanted.typmod {
            let rule = if family(wanted.oid) == oid::TEXT { &LONGER } else { &WIDER };
            let message = format!("declared {}, served as {}", self.declared(), self.chosen());
            found.push(self.found(rule, message));
            return;
        }
        let message = format!(
            "declared {}, served as {}: {}",
            self.declared(),
            self.chosen(),
            told(&classes)
        );
        let mut finding =
            self.found(&MIXED, message).over(self.over(&name(wanted), Codec::Identity));
        finding.rows = Some(misfits);
        finding.classes = classes;
        found.push(finding);
    }

    /// What the numbers are like.
    fn numbers(&self, seen: &ColumnEvidence, found: &mut Vec<Finding>) {
        if seen.unread.rows > 0 {
            let message = {
                let values = counted(seen.unread.rows, "value");
                format!("not read as {}: {values}", self.chosen())
            };
            found.push(self.found(&UNFIT, message).seen(&seen.unread));
        }
        if let Some(infinite) = seen.seen(Shape::Infinity) {
            found.push(self.found(&INFINITE, counted(infinite.rows, "value")).seen(&infinite));
        }
        let decimal = adopt::affinity(self.declared()) == Affinity::Numeric;
        if decimal && seen.long_decimals.rows > 0 {
            let rows = seen.long_decimals.rows;
            let message = format!(
                "{} of {} with more than 15 digits",
                counted(rows, "value"),
                self.declared()
            );
            found.push(self.found(&DECIMAL, message).seen(&seen.long_decimals));
        }
        let moments = matches!(seen.integers, Some((low, high)) if low >= 0 && high > 0)
            && seen.shapes.keys().all(|(shape, _)| *shape == Shape::Integer)
            && self.column.ty.oid == oid::INT8
            && sounds_like_a_moment(&self.stored.name);
        if let Some((codec, unit)) = seen.integers.filter(|_| moments).and_then(unit) {
            let message = format!("every value lies where {unit} since 1970 would");
            found.push(self.found(&COUNTS, message).over(self.over("timestamptz", codec)));
        }
    }

    /// Offers that cost nothing to refuse.
    fn small_ones(&self, seen: &ColumnEvidence, found: &mut Vec<Finding>) {
        let tiny = self.stored.type_name == "TINYINT" && self.stored.type_args == ["1"];
        if tiny && matches!(seen.integers, None | Some((0 | 1, 0 | 1))) && seen.misfits() == 0 {
            let over = self.over("boolean", Codec::Identity);
            found.push(self.found(&TINY, format!("declared {}", self.declared())).over(over));
        }
        if habits::holds_json(self.stored) && matches!(self.column.ty.oid, oid::TEXT | oid::VARCHAR)
        {
            let over = self.over("jsonb", Codec::JsonLoose);
            found.push(self.found(&JSON_CHECK, "its check calls json_valid".to_owned()).over(over));
        }
        let integer_by_accident = adopt::affinity(self.declared()) == Affinity::Integer
            && family(seen.declared.0.oid) != oid::NUMERIC;
        let unknown = !self.stored.type_name.is_empty() && !adopt::is_known_type(self.stored);
        let odd = matches!(self.stored.type_name.as_str(), "FLOATING POINT");
        let numeric =
            matches!(adopt::affinity(self.declared()), Affinity::Integer | Affinity::Numeric);
        if integer_by_accident || odd || (unknown && numeric) {
            let message = format!(
                "{} has {} affinity for SQLite: text that looks like a number becomes one, \
                 leading zeros go",
                self.declared(),
                if adopt::affinity(self.declared()) == Affinity::Integer {
                    "integer"
                } else {
                    "numeric"
                }
            );
            found.push(self.found(&ACCIDENT, message));
        }
        if unknown {
            let message = format!("{}, served as {}", self.declared(), self.chosen());
            found.push(self.found(&UNKNOWN, message));
        }
    }

    /// What a library's habit or the data's looks decided.
    fn library(&self, found: &mut Vec<Finding>) {
        let Some((certain, usual)) = adopt::guessed(self.stored, self.table.habit, self.column)
        else {
            return;
        };
        let stored = self.column.codec.word();
        let library = self.table.habit.map_or("", |h| h.name());
        let how = if self.column.codec.plain() == Codec::Identity {
            String::new()
        } else {
            format!(" stored as {stored}")
        };
        let message = format!("{} read as {}{how}", self.declared(), self.chosen());
        let over = self.over(&name(usual), Codec::Identity);
        if certain {
            found.push(self.found(&HABIT, format!("{message} ({library})")).over(over));
        } else {
            found.push(self.found(&GUESS, message).over(over));
        }
    }
}

/// What taking over said about types.
pub(super) fn adopted(facts: &Facts, found: &mut Vec<Finding>) {
    overrides::adopted(facts, found);
    for (finding, _) in &facts.adopted {
        let column = finding.column.as_deref().unwrap_or_default();
        if finding.kind == FindingKind::Override {
            found.push(WAITS.found(&finding.message).table(&finding.table).column(column));
        }
        let there = found.iter().any(|f: &Finding| {
            f.id == ACCIDENT.id
                && f.table.as_deref() == Some(finding.table.as_str())
                && f.column.as_deref() == Some(column)
        });
        if finding.kind == FindingKind::Affinity && !there {
            found.push(ACCIDENT.found(&finding.message).table(&finding.table).column(column));
        }
    }
}

/// Types among which widening loses nothing.
fn family(type_oid: u32) -> u32 {
    match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC => {
            oid::NUMERIC
        }
        oid::TEXT | oid::VARCHAR | oid::BPCHAR => oid::TEXT,
        other => other,
    }
}

fn classes(seen: &ColumnEvidence) -> Vec<Class> {
    let one = |((shape, fits), seen): (&(Shape, bool), &Seen)| Class {
        class: shape.word(),
        rows: seen.rows,
        examples: seen.examples.clone(),
        fits: *fits,
    };
    seen.shapes.iter().map(one).collect()
}

/// Classes in a sentence.
fn told(classes: &[Class]) -> String {
    let one = |c: &Class| format!("{} {}", c.rows, c.class);
    classes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn sounds_like_a_moment(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("_at")
        || name.ends_with("_on")
        || name.ends_with("at") && name.len() > 6
        || ["time", "date", "created", "updated", "modified", "expires", "expiry", "seen", "_ts"]
            .iter()
            .any(|word| name.contains(word))
}

/// The unit in which all values between two would be moments between 1973 and 2100.
fn unit((low, high): (i64, i64)) -> Option<(Codec, &'static str)> {
    let least = if low == 0 { high } else { low };
    if (100_000_000..4_102_444_800).contains(&least) && high < 4_102_444_800 {
        return Some((Codec::UnixSeconds, "seconds"));
    }
    let millis = 100_000_000_000..4_102_444_800_000;
    (millis.contains(&least) && high < 4_102_444_800_000)
        .then_some((Codec::UnixMillis, "milliseconds"))
}
