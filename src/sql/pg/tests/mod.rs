//! Positions, refusals, nesting; statements captured from applications; mutated ones.
//!
//! `sample.sql` has one statement a line, captured from applications and drivers so that
//! every kind of node that they use occurs.

mod families;

use proptest::prelude::*;

use super::parse;
use crate::sql::ast::Statement;
use crate::sql::fingerprint::fingerprint;

pub(super) fn one(text: &str) -> Statement {
    let mut parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(parsed.len(), 1, "{text}");
    parsed.remove(0).statement
}

/// SQLSTATE, message and position of a refusal.
pub(super) fn refused(text: &str) -> (String, String, u32) {
    let error = parse(text).expect_err(text);
    let fields = error.fields();
    (fields.sqlstate.to_string(), fields.message.to_string(), fields.position)
}

fn sample() -> Vec<&'static str> {
    include_str!("sample.sql").lines().collect()
}

#[test]
fn positions_count_characters_of_the_statement() {
    let parsed = parse("  select 1 ; \n -- é\n select é.a from t é;;").unwrap();
    assert_eq!(parsed.len(), 2);
    assert_eq!((parsed[0].text.as_str(), parsed[0].offset), ("select 1", 2));
    assert_eq!((parsed[1].text.as_str(), parsed[1].offset), ("select é.a from t é", 21));
}

#[test]
fn nothing_is_no_statement() {
    for text in ["", " \n", ";", ";; ", "-- x", "/* a */ ; -- b"] {
        assert_eq!(parse(text).unwrap(), [], "{text}");
    }
}

#[test]
fn syntax_errors_are_postgresqls() {
    let cases = [
        ("select é, from", "syntax error at or near \"from\"", 11),
        ("select 1; selec 2", "syntax error at or near \"selec\"", 11),
        ("select (", "syntax error at end of input", 9),
        ("select 'abc", "unterminated quoted string at or near \"'abc\"", 8),
        ("select \"\"", "zero-length delimited identifier at or near \"\"\"\"", 8),
    ];
    for (text, message, position) in cases {
        assert_eq!(refused(text), ("42601".into(), message.into(), position), "{text}");
    }
    assert_eq!(refused("select 'a\0b'").0, "22021");
}

#[test]
fn syntax_of_later_versions_is_refused() {
    let cases = [
        ("update t set a = 1 returning with (old as o) o.a", "at or near \"with\"", 30),
        ("create table t (a int, b int generated always as (a * (2)) virtual)", "\"virtual\"", 60),
        ("create table t (a int, b int generated always as (a * (2)))", "\")\"", 59),
        ("select 0x1F", "trailing junk after numeric literal at or near \"0x1F\"", 8),
        ("select -1_000", "trailing junk after numeric literal at or near \"1_000\"", 9),
        ("select 1e5_0", "trailing junk after numeric literal at or near \"1e5_0\"", 8),
        ("select $1abc", "trailing junk after parameter at or near \"$1abc\"", 8),
        ("select date $1", "syntax error at or near \"$1\"", 13),
        ("select now() at local", "at or near \"local\"", 17),
        ("create table t (a int, check (a>0) not enforced)", "near \"enforced\"", 40),
        ("create table t (a int, primary key (a without overlaps))", "near \"without\"", 39),
        ("create table t(a int, not null a)", "near \"not\"", 23),
        ("create table x (a int storage plain)", "near \"storage\"", 23),
        ("select * from (select 1)", "subquery in FROM must have an alias", 15),
        ("select * from (values (1), (2))", "VALUES in FROM must have an alias", 15),
        (
            "merge into t using s on a = b when matched then delete returning a",
            "at or near \"returning\"",
            56,
        ),
    ];
    for (text, part, position) in cases {
        let (code, message, at) = refused(text);
        assert_eq!((code.as_str(), at), ("42601", position), "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
    }
    let second = refused("select 1; select 0x1F");
    assert_eq!(second.2, 18);
}

#[test]
fn captured_statements_are_lowered() {
    for text in sample() {
        let plain = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(plain.len(), 1, "{text}");
        assert!(!format!("{:?}", plain[0].statement).contains("Unsupported("), "{text}");
        assert!(!fingerprint(text).text.is_empty());
        // The same statement behind another one: same tree, other offset.
        let before = "/* é */ select 'é' ;\t";
        let moved = parse(&format!("{before}{text}")).unwrap();
        assert_eq!(moved[1].statement, plain[0].statement, "{text}");
        assert_eq!(moved[1].text, plain[0].text);
        assert_eq!(moved[1].offset as usize, before.chars().count() + plain[0].offset as usize);
    }
}

#[test]
fn deep_statements_end_in_an_error() {
    let chain = |n: usize| format!("select {}", vec!["1"; n].join("+"));
    let nested = |n: usize| format!("select {}1{}", "abs(".repeat(n), ")".repeat(n));
    let subqueries = |n: usize| format!("{}select 1{}", "select (".repeat(n), ")".repeat(n));
    let not = |n: usize| format!("select {}true", "not ".repeat(n));
    let minus = |n: usize| format!("select {}a", "- ".repeat(n));
    let unions = |n: usize| vec!["select 1, 2"; n].join(" union all ");
    let joins = |n: usize| format!("select 1 from t{}", " join t on a and b".repeat(n));
    let cases =
        |n: usize| format!("select {}1{}", "case when a then 1 else ".repeat(n), " end".repeat(n));
    let casts = |n: usize| format!("select 1{}", "::int".repeat(n));
    let makers: [&dyn Fn(usize) -> String; 9] =
        [&chain, &nested, &subqueries, &not, &minus, &unions, &joins, &cases, &casts];
    for (i, make) in makers.iter().enumerate() {
        for n in [10, 20, 100, 150] {
            parse(&make(n)).unwrap_or_else(|e| panic!("{i} {n}: {e}"));
        }
        for n in [900, 3_000, 100_000] {
            let code = refused(&make(n)).0;
            // PostgreSQL's grammar answers "memory exhausted" to very deep parentheses.
            assert!(code == "54001" || n > 2_000 && code == "42601", "{i} {n} {code}");
        }
    }
    let wide = format!("insert into t values {}", vec!["(1, -2, 'x' || 'y')"; 20_000].join(","));
    assert_eq!(parse(&wide).unwrap().len(), 1);
    let ors = format!("select 1 where {}", vec!["a = 1"; 5_000].join(" or "));
    assert_eq!(parse(&ors).unwrap().len(), 1);
}

/// A change to a text: what is done, where, how much (both scaled to its length), and which
/// other statement is spliced in.
type Mutation = (u8, f64, f64, usize);

fn mutate(text: &str, (what, at, len, other): Mutation, all: &[&str]) -> String {
    let chars: Vec<char> = text.chars().collect();
    let scale = |part: f64, whole: usize| (part * whole as f64) as usize;
    let start = scale(at, chars.len());
    let end = (start + 1 + scale(len, 12)).min(chars.len());
    let part = |range: std::ops::Range<usize>| chars[range].iter().collect::<String>();
    let (head, cut, tail) = (part(0..start), part(start..end), part(end..chars.len()));
    let donor = all[other % all.len()];
    match what {
        0 => format!("{head}{tail}"),
        1 => format!("{head}{cut}{cut}{tail}"),
        2 => format!("{head}{donor}{tail}"),
        3 => format!(
            "{head}{}{tail}",
            ["'", "\"", "$$", "(", ")", ";", "/*", "é", "\u{1}"][other % 9]
        ),
        4 => format!("{head}({cut}){tail}"),
        _ => head,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damaged statements end in a tree or an error; each statement's text is where it says.
    #[test]
    fn damaged_statements_never_panic(
        index in 0_usize..10_000,
        mutations in prop::collection::vec((0_u8..6, 0.0..1.0, 0.0..1.0, 0_usize..10_000), 1..4),
    ) {
        let all = sample();
        let mut text = all[index % all.len()].to_owned();
        for mutation in mutations {
            text = mutate(&text, mutation, &all);
        }
        let _ = fingerprint(&text);
        match parse(&text) {
            Ok(statements) => {
                for parsed in statements {
                    let rest: String = text.chars().skip(parsed.offset as usize).collect();
                    prop_assert!(rest.starts_with(&parsed.text), "{text}");
                }
            }
            Err(error) => {
                let code = error.sqlstate().to_string();
                prop_assert!(code != "XX000", "{text}: {error}");
            }
        }
    }
}
