//! `crossfade init`: a commented proxy.toml to start from.
//!
//! Owns the few lines that differ from the sample at the top of the repository. It must never
//! write over a file, nor write a password into one. Start at [`init`].

use std::io::Write as _;

use serde_json::json;

use super::client::{Failure, Result};
use super::{InitArgs, exit, out};
use crate::config::{PostgresUrl, Value as _};

/// Every key with its default; a test holds it against the code.
const SAMPLE: &str = include_str!("../../proxy.toml");

fn refused(message: String, hint: &str) -> Failure {
    Failure { code: exit::USAGE, message, hint: Some(hint.to_owned()), body: None }
}

/// Runs the verb.
pub(super) fn init(args: &InitArgs) -> Result<u8> {
    let (mut sqlite, mut postgres) = (args.sqlite.clone(), args.postgres.clone());
    if let Some(module) = &args.django {
        let found = super::django::read(&args.python, module).map_err(|why| {
            refused(why, "Run it where manage.py is; --python names another Python.")
        })?;
        if found.sqlite.is_none() {
            let message = format!("no database of {module} is a SQLite file");
            return Err(refused(message, "Name the file with --sqlite."));
        }
        (sqlite, postgres) = (found.sqlite, found.postgres);
    }
    let (text, left_out) = document(sqlite.as_deref(), postgres.as_deref())?;
    let name = args.output.display().to_string();
    let failed = |error: std::io::Error| {
        let hint = "Give another name with --output.";
        refused(format!("cannot write {name}: {error}"), hint)
    };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&args.output);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    let mut next = vec![format!("crossfade check --config {name}")];
    if sqlite.is_some() {
        next.insert(0, format!("crossfade assess --config {name}"));
    }
    if args.json {
        out::json(&json!({"file": name, "password_left_out": left_out, "next": next}));
        return Ok(exit::DONE);
    }
    out::line(format_args!("wrote {name}"));
    if left_out {
        out::talk(
            "hint: the password was left out; give it in PGPASSWORD, or a file's name in \
             postgres.password_file\n",
        );
    }
    out::talk(format_args!("next: {}\n", next.join(", then ")));
    Ok(exit::DONE)
}

/// The sample with these values; whether a password was left out.
fn document(sqlite: Option<&str>, postgres: Option<&str>) -> Result<(String, bool)> {
    let mut text = SAMPLE.to_owned();
    if let Some(path) = sqlite {
        text = text.replace("path = \"app.db\"", &format!("path = {}", quoted(path)));
    }
    let Some(url) = postgres else { return Ok((text, false)) };
    let shown = PostgresUrl::parse(url)
        .map_err(|e| refused(format!("--postgres is not valid: {e}"), "postgres://user@host/db"))?
        .show();
    let kept = shown.replacen(":***@", "@", 1);
    let line = SAMPLE.lines().find(|l| l.starts_with("# url = "));
    let line = line.expect("invariant: the sample has a line for postgres.url");
    Ok((text.replace(line, &format!("url = {}", quoted(&kept))), kept != shown))
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_written() {
        let url = "postgres://app:s3cret@db.example:5432/shop?sslmode=require";
        let (text, left_out) = document(Some("a \"b\".db"), Some(url)).unwrap();
        assert!(left_out && !text.contains("s3cret"));
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed["sqlite"]["path"].as_str(), Some("a \"b\".db"));
        let url = parsed["postgres"]["url"].as_str();
        assert_eq!(url, Some("postgres://app@db.example:5432/shop?sslmode=require"));
        let by_parameter = "postgres://db/shop?user=app&password=s3cret";
        let (text, left_out) = document(None, Some(by_parameter)).unwrap();
        assert!(left_out && !text.contains("s3cret"), "{text}");
        assert!(document(None, Some("sqlite:app.db")).is_err());
    }
}
