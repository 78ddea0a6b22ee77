//! Statements of every family, as PostgreSQL reads them.

use super::{deep, parse};
use crate::sql::ast::Statement;

fn one(text: &str) -> Statement {
    let mut parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(parsed.len(), 1, "{text}");
    parsed.remove(0).statement
}

fn refused(text: &str) -> (String, String, u32) {
    let error = parse(text).expect_err(text);
    let fields = error.fields();
    (fields.sqlstate.to_string(), fields.message.to_string(), fields.position)
}

#[test]
fn positions_count_characters_of_the_statement() {
    let parsed = parse("  select 1 ; \n -- é\n select é.a from t é;;").unwrap();
    assert_eq!(parsed.len(), 2);
    assert_eq!((parsed[0].text.as_str(), parsed[0].offset), ("select 1", 2));
    assert_eq!((parsed[1].text.as_str(), parsed[1].offset), ("select é.a from t é", 21));
    assert_eq!(
        refused("select é, from"),
        ("42601".into(), "syntax error at or near \"from\"".into(), 11)
    );
    assert_eq!(
        refused("select 1; selec 2"),
        ("42601".into(), "syntax error at or near \"selec\"".into(), 11)
    );
}
