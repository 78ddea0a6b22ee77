//! The table that closes a copy: what became of each table.
//!
//! Owns its layout. It must never leave a table out. Start at [`table`].

use std::fmt::Write as _;

use crate::control::{Coerced, TableDone};

const HEAD: [&str; 7] = ["table", "rows", "bytes", "quarantined", "coerced", "missing", "seconds"];

/// The table, with a line for all; below it what was coerced by column, what is missing, and why a
/// table was not copied.
pub(super) fn table(tables: &[TableDone]) -> String {
    let mut lines: Vec<[String; 7]> = tables.iter().map(line).collect();
    let sum = |of: fn(&TableDone) -> u64| tables.iter().map(of).sum::<u64>();
    let all = TableDone {
        table: "all".to_owned(),
        rows: sum(|t| t.rows),
        bytes: sum(|t| t.bytes),
        quarantined: sum(|t| t.quarantined),
        seconds: tables.iter().map(|t| t.seconds).sum(),
        ..TableDone::default()
    };
    let mut last = line(&all);
    last[4] = sum(coerced).to_string();
    last[5] = sum(|t| t.missing.len() as u64).to_string();
    lines.push(last);
    let head = HEAD.map(str::to_owned);
    let width = |i: usize| {
        lines.iter().chain([&head]).map(|line| line[i].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * (HEAD.len() - 1));
    let mut out = String::new();
    let mut put = |line: &[String; 7]| {
        let _ = write!(out, "{:<1$}", line[0], widths[0]);
        for (text, width) in line.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {text:>width$}");
        }
        out.push('\n');
    };
    put(&head);
    put(&std::array::from_fn(|i| "-".repeat(widths[i])));
    let (all, each) = lines.split_last().map_or((None, &[][..]), |(all, each)| (Some(all), each));
    each.iter().for_each(&mut put);
    all.into_iter().for_each(&mut put);
    notes(tables, &rule, &mut out);
    out
}

fn notes(tables: &[TableDone], rule: &str, out: &mut String) {
    let mut notes = String::new();
    for table in tables {
        for Coerced { column, values } in &table.coerced {
            let _ = writeln!(notes, "{}.{column}: {values} coerced", table.table);
        }
        for object in &table.missing {
            let _ = writeln!(notes, "{}: missing on PostgreSQL: {object}", table.table);
        }
        if let Some(error) = &table.error {
            let _ = writeln!(notes, "{}: not copied: {error}", table.table);
        }
    }
    if !notes.is_empty() {
        let _ = write!(out, "{rule}\n{notes}");
    }
}

fn coerced(table: &TableDone) -> u64 {
    table.coerced.iter().map(|c| c.values).sum()
}

fn line(table: &TableDone) -> [String; 7] {
    let rows = match (&table.error, table.kept) {
        (Some(_), _) => "not copied".to_owned(),
        (None, true) => format!("{} kept", table.rows),
        (None, false) => table.rows.to_string(),
    };
    [
        table.table.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        rows,
        table.bytes.to_string(),
        table.quarantined.to_string(),
        coerced(table).to_string(),
        table.missing.len().to_string(),
        format!("{:.3}", table.seconds),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_line() {
        let done = |table: &str, rows| TableDone {
            table: table.to_owned(),
            rows,
            bytes: 100,
            seconds: 0.25,
            ..TableDone::default()
        };
        let mut odd = done("odd", 0);
        odd.error = Some("it has 1700 columns".to_owned());
        let mut mixed = done("mixed", 7);
        (mixed.quarantined, mixed.coerced) =
            (2, vec![Coerced { column: "n".to_owned(), values: 3 }]);
        mixed.missing = vec!["check \"c\"".to_owned()];
        let text = table(&[done("orders", 12_000), mixed, odd]);
        let wanted = "\
table         rows  bytes  quarantined  coerced  missing  seconds
------  ----------  -----  -----------  -------  -------  -------
orders       12000    100            0        0        0    0.250
mixed            7    100            2        3        1    0.250
odd     not copied    100            0        0        0    0.250
all          12007    300            2        3        1    0.750
-----------------------------------------------------------------
mixed.n: 3 coerced
mixed: missing on PostgreSQL: check \"c\"
odd: not copied: it has 1700 columns
";
        assert_eq!(text, wanted);
    }
}
