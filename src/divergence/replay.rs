//! A script that shows a divergence to a person: both statements, ready for psql and sqlite3.

use std::fmt::Write;

use super::group::Group;

/// The file, under the name that statements have for it.
const SQLITE: &str = "sqlite3 -cmd \"ATTACH '$SQLITE' AS public\" :memory:";

/// The script of a group's first sample.
pub(super) fn script(group: &Group) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}: {} on {}", group.id, group.class, table(group));
    let Some(sample) = group.samples.first() else { return out };
    let _ = writeln!(out, "# position {}; {}", sample.position_primary, sample.message);
    let parameters: Vec<String> = sample.parameters.iter().map(literal).collect();
    let whole = |field: &str| sample.has_whole(field) && sample.has_whole("parameters");
    for (field, sql) in [("sqlite_sql", &sample.sqlite_sql), ("postgres_sql", &sample.postgres_sql)]
    {
        if let Some(sql) = sql.as_ref().filter(|_| !whole(field)) {
            too_long(&mut out, field, sql);
        }
    }
    if let Some(sql) = sample.sqlite_sql.as_ref().filter(|_| whole("sqlite_sql")) {
        let _ = writeln!(out, "{SQLITE} <<'SQL'");
        for (number, value) in parameters.iter().enumerate() {
            let _ = writeln!(out, ".parameter set ?{} \"{}\"", number + 1, escaped(value));
        }
        let _ = writeln!(out, "{sql};\nSQL");
    }
    if let Some(sql) = sample.postgres_sql.as_ref().filter(|_| whole("postgres_sql")) {
        let _ = writeln!(out, "psql \"$POSTGRES_URL\" <<'SQL'");
        if parameters.is_empty() {
            let _ = writeln!(out, "{sql};\nSQL");
        } else {
            let _ = writeln!(out, "PREPARE replay AS {sql};");
            let _ = writeln!(out, "EXECUTE replay({});\nSQL", parameters.join(", "));
        }
    }
    if sample.sqlite_sql.is_none() && !sample.key.is_empty() {
        let condition: Vec<String> = sample
            .key
            .iter()
            .enumerate()
            .filter(|(n, _)| sample.has_whole_key(*n))
            .map(|(_, (name, value))| match value {
                Some(_) => format!("\"{}\" = {}", name.replace('"', "\"\""), literal(value)),
                None => format!("\"{}\" IS NULL", name.replace('"', "\"\"")),
            })
            .collect();
        if condition.is_empty() {
            let _ = writeln!(out, "# The key is too long to be kept.");
            return out;
        }
        let select = format!(
            "SELECT * FROM \"{}\" WHERE {}",
            table(group).replace('"', "\"\""),
            condition.join(" AND ")
        );
        let _ = writeln!(out, "{SQLITE} -header <<'SQL'\n{select};\nSQL");
        let _ = writeln!(out, "psql \"$POSTGRES_URL\" <<'SQL'\n{select};\nSQL");
    }
    out
}

/// A statement that is not kept whole, or not with all of its parameters, cannot be run.
fn too_long(out: &mut String, field: &str, sql: &str) {
    let _ = writeln!(out, "# {field} is too long to be kept with its parameters; it begins:");
    for line in sql.lines() {
        let _ = writeln!(out, "# {line}");
    }
}

fn table(group: &Group) -> &str {
    group.table.as_deref().unwrap_or("(no table)")
}

/// As sqlite3's own commands read a word between double quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r")
}

fn literal(value: &Option<String>) -> String {
    match value {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => "NULL".to_owned(),
    }
}
