//! Reading a corpus: statements, what was bound to them, and the reviewed exclusions.
//!
//! The format is told in the corpora's README. Nothing here talks to a server. Start at
//! [`Corpus::read`].

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// One distinct statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its line in the file, counted from 1 after the head line.
    pub number: usize,
    pub executions: u64,
    pub kind: String,
    pub extended: bool,
    pub sql: String,
    pub params: Option<Vec<Option<String>>>,
    /// SQLSTATEs the recorded server answered.
    pub errors: Vec<String>,
    /// The text is not whole.
    pub cut: bool,
}

/// A file's statements in order of first use.
pub struct Corpus {
    pub name: String,
    pub statements: Vec<Statement>,
}

impl Corpus {
    /// Reads a file of JSON lines, compressed by gzip or plain.
    pub fn read(path: &Path) -> Self {
        let text = if path.extension().is_some_and(|e| e == "gz") {
            let output = Command::new("gzip").arg("-dc").arg(path).output().expect("gzip runs");
            assert!(output.status.success(), "{}: not gzip", path.display());
            String::from_utf8(output.stdout).expect("a corpus is UTF-8")
        } else {
            std::fs::read_to_string(path).unwrap()
        };
        let mut lines = text.lines();
        let head: Value = serde_json::from_str(lines.next().unwrap_or("{}")).unwrap();
        let name = head["corpus"].as_str().unwrap_or("unnamed").to_owned();
        let statements = lines.enumerate().map(|(i, line)| statement(i + 1, line)).collect();
        Self { name, statements }
    }

    /// Whether constraints are checked at the end of transactions: then a transaction is held
    /// open over many statements, as the application's own tests do.
    pub fn defers(&self) -> bool {
        self.statements
            .iter()
            .any(|s| s.kind == "ddl" && s.sql.to_ascii_uppercase().contains("INITIALLY DEFERRED"))
    }
}

fn statement(number: usize, line: &str) -> Statement {
    let value: Value = serde_json::from_str(line).unwrap();
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Statement {
        number,
        executions: value["n"].as_u64().unwrap_or(1),
        kind: text("kind"),
        extended: text("proto") == "extended",
        sql: text("sql"),
        params: value["params"].as_str().map(parameters),
        errors: value["err"].as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default(),
        cut: value["cut"].as_bool().unwrap_or(false),
    }
}

/// `$1 = 'it''s', $2 = NULL` as the server logs it.
pub fn parameters(log: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let mut rest = log;
    while let Some(at) = rest.find(" = ") {
        rest = &rest[at + 3..];
        let Some(quoted) = rest.strip_prefix('\'') else {
            found.push(None);
            continue;
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices().peekable();
        let mut end = quoted.len();
        while let Some((at, c)) = chars.next() {
            if c != '\'' {
                value.push(c);
            } else if chars.next_if(|(_, c)| *c == '\'').is_some() {
                value.push('\'');
            } else {
                end = at + 1;
                break;
            }
        }
        found.push(Some(value));
        rest = &quoted[end..];
    }
    found
}

/// What is not measured, each with its reason.
pub struct Exclusions(BTreeMap<String, Vec<(regex::Regex, String)>>);

impl Exclusions {
    /// `corpus <tab> regular expression over the text <tab> reason`; `*` names every corpus.
    pub fn read(text: &str) -> Self {
        let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').filter(|f| !f.is_empty()).collect();
            let [corpus, pattern, reason] = fields[..] else { panic!("three fields: {line}") };
            let pattern = regex::RegexBuilder::new(pattern)
                .case_insensitive(true)
                .dot_matches_new_line(true)
                .build()
                .unwrap_or_else(|e| panic!("{line}: {e}"));
            found.entry(corpus.to_owned()).or_default().push((pattern, reason.to_owned()));
        }
        Self(found)
    }

    pub fn reason(&self, corpus: &str, sql: &str) -> Option<&str> {
        [corpus, "*"]
            .iter()
            .filter_map(|name| self.0.get(*name))
            .flatten()
            .find(|(pattern, _)| pattern.is_match(sql))
            .map(|(_, reason)| reason.as_str())
    }
}

#[test]
fn logged_parameters_are_read() {
    assert_eq!(
        parameters("$1 = 'it''s, $2 = ', $2 = NULL, $3 = ''"),
        [Some("it's, $2 = ".to_owned()), None, Some(String::new())]
    );
}
