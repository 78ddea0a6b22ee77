//! Every template of the registry is a call that SQLite accepts, and a sample of values.

use rusqlite::types::Value;

use super::*;
use crate::sql::print::sqlite::registry::{self, Kind};

fn connection() -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    install(&connection).unwrap();
    connection
}

/// A template with NULL for every value and 25 for every number.
fn filled(template: &str) -> String {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if !matches!(c, '$' | '@' | '#') {
            out.push(c);
            continue;
        }
        let mut mark = String::new();
        while let Some(next) = chars.peek() {
            if mark.ends_with(['*', 'r']) || mark.ends_with(|c: char| c.is_ascii_digit()) {
                break;
            }
            if !matches!(next, 'k' | 't' | 'u' | 'e' | 'o' | 'r' | '*' | '0'..='9') {
                break;
            }
            mark.push(*next);
            chars.next();
        }
        match (c, mark.as_str()) {
            ('$', "o*") => out.push_str("NULL, 25, NULL, 25"),
            ('$', m) if !m.is_empty() => out.push_str("NULL"),
            (_, m) if !m.is_empty() => out.push_str("25"),
            (c, _) => out.push(c),
        }
    }
    out
}

#[test]
fn every_template_names_functions_that_exist() {
    let connection = connection();
    let mut wrong = Vec::new();
    for (kind, name, args, template) in registry::lines() {
        for arg in &args {
            for one in arg.split('|').filter(|a| !matches!(*a, "any" | "anyarray" | "...")) {
                if registry::type_oid(one) == 0 {
                    wrong.push(format!("{name}: type {one}"));
                }
            }
        }
        let system = crate::backend::sqlite::system::is_catalog_function(name)
            || template.contains("out($1)")
            || template.contains("in($1)") && template.starts_with("pg_reg");
        if system {
            continue;
        }
        let sql = match kind {
            Kind::Table => {
                let mut words = template.split(' ');
                let table = filled(words.next().unwrap());
                let columns: Vec<String> = words.map(|w| filled(&w.replace('%', "f"))).collect();
                let columns = if columns.is_empty() { "*".into() } else { columns.join(", ") };
                format!("SELECT {columns} FROM {table} AS f")
            }
            Kind::Aggregate if matches!(name, "count" | "sum") || template.starts_with("pg_") => {
                format!("SELECT {}", filled(template))
            }
            Kind::Aggregate => format!("SELECT {} OVER ()", filled(template)),
            _ => format!("SELECT {}", filled(template)),
        };
        if let Err(e) = connection.prepare(&sql) {
            wrong.push(format!("{name}: {sql}: {e}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ask(sql: &str) -> Result<Value> {
    connection().query_row(&format!("SELECT {sql}"), [], |r| r.get(0)).map_err(|e| match e {
        rusqlite::Error::SqliteFailure(_, Some(message)) => {
            error::decode(&message).unwrap_or_else(|| Error::internal(message))
        }
        other => Error::internal(other.to_string()),
    })
}

#[test]
fn values() {
    let samples = [
        ("pg_numeric_add('1.10', '2.205')", "3.305"),
        ("pg_numeric_div('1', '3')", "0.33333333333333333333"),
        ("pg_lower('ÄB')", "äb"),
        ("pg_initcap('hello wORLD x1y')", "Hello World X1y"),
        ("pg_substr('alphabet', -1, 4)", "al"),
        ("pg_split_part('a,b,c', ',', -1)", "c"),
        ("pg_lpad('hi', 5, 'xy')", "xyxhi"),
        ("pg_format('%s %I %L %%', 'a', 'b c', 'd''e')", "a \"b c\" 'd''e' %"),
        ("pg_md5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
        ("pg_date_add('2024-02-28', 2)", "2024-03-01"),
        ("pg_age('2001-04-10', '1957-06-13')", "43 years 9 mons 27 days"),
        ("pg_trunc_timestamp('week', '2024-05-16 12:00:00')", "2024-05-13 00:00:00"),
        (
            "pg_to_char_timestamp('2024-05-06 17:08:09', 'YYYY-MM-DD HH12:MI:SS AM')",
            "2024-05-06 05:08:09 PM",
        ),
        ("pg_to_char_number('1234.5', 'FM9,999.00')", "1,234.50"),
        ("pg_to_char_number('-0.5', '990.99')", "  -0.50"),
        ("pg_json_get_text('{\"a\": {\"b\": 1}}', 'a')", "{\"b\": 1}"),
        ("pg_jsonb_concat('{\"a\": 1}', '{\"b\": 2}')", "{\"a\": 1, \"b\": 2}"),
        ("pg_interval_mul('1 mon', 1.5)", "1 mon 15 days"),
        ("pg_regexp_replace('foobarbaz', 'b..', 'X', 'g')", "fooXX"),
        ("pg_greatest(1700, '9.5', NULL, '10')", "10"),
        ("pg_array_cat('[1,2]', '[3]', 23)", "[1,2,3]"),
        ("pg_series(1, 3, 1)", "[1,2,3]"),
    ];
    for (sql, expected) in samples {
        assert_eq!(ask(sql).unwrap(), Value::Text(expected.to_owned()), "{sql}");
    }
}

#[test]
fn errors() {
    let samples = [
        ("pg_int4(2147483647 + 1)", "22003", "integer out of range"),
        ("pg_int8(9223372036854775807 + 1)", "22003", "bigint out of range"),
        ("pg_int_div(1, 0)", "22012", "division by zero"),
        ("pg_cast('12x', 25, 23)", "22P02", "invalid input syntax for type integer: \"12x\""),
        ("pg_float8_mul(1e300, 1e300)", "22003", "value out of range: overflow"),
        ("pg_substr('a', 1, -1)", "22011", "negative substring length not allowed"),
        ("pg_typmod('abcd', 1043, 7, 0)", "22001", "value too long for type character varying(3)"),
    ];
    for (sql, code, message) in samples {
        let error = ask(sql).unwrap_err();
        assert_eq!((error.sqlstate().as_str(), error.message()), (code, message), "{sql}");
    }
}

#[test]
fn like_follows_its_pattern() {
    let yes = [("abc", "a%"), ("abc", "_b_"), ("a%c", "a\\%c"), ("", "%"), ("aXbXc", "a%b%c")];
    let no = [("abc", "A%"), ("abc", "a"), ("abc", "_"), ("abc", "%d%"), ("", "_")];
    for (value, pattern) in yes {
        assert!(pattern::like(value, pattern, false).unwrap(), "{value} LIKE {pattern}");
    }
    for (value, pattern) in no {
        assert!(!pattern::like(value, pattern, false).unwrap(), "{value} LIKE {pattern}");
    }
    assert!(pattern::like("ÄPFEL", "äp%", true).unwrap());
}
