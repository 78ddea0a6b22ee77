//! `crossfade init --django`: the databases of a Django project, told by the project itself.
//!
//! Owns the running of Python and the reading of what it prints. The settings are a program: only
//! Python knows what they come to. It must never take a password from them. Start at [`read`].

use std::path::Path;
use std::process::{Command, Stdio};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// Prints the settings as Django has read them.
const PROGRAM: &str = "\
import json, sys
sys.path.insert(0, '')
from django.conf import settings
print(json.dumps(settings.DATABASES, default=str))
";

/// What a project's settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Databases {
    /// Path of the SQLite file.
    pub(super) sqlite: Option<String>,
    /// PostgreSQL, without a password.
    pub(super) postgres: Option<String>,
}

/// Asks Python.
///
/// # Errors
/// Why it did not answer, in a sentence.
pub(super) fn read(python: &Path, module: &str) -> Result<Databases, String> {
    let output = Command::new(python)
        .args(["-c", PROGRAM])
        .env("DJANGO_SETTINGS_MODULE", module)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {}: {e}", python.display()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last =
            text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no reason is known");
        return Err(format!("Python cannot read the settings: {last}"));
    }
    // A module may print things of its own before.
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().rev().find(|l| l.starts_with('{')).unwrap_or_default();
    let settings: Value =
        serde_json::from_str(told).map_err(|_| "Python printed no settings".to_owned())?;
    Ok(databases(&settings))
}

/// `default` first, then the others by name.
fn databases(settings: &Value) -> Databases {
    let mut found = Databases::default();
    let all = settings.as_object().into_iter().flatten();
    let mut all: Vec<(&String, &Value)> = all.collect();
    all.sort_by_key(|(name, _)| (name.as_str() != "default", name.as_str()));
    for (_, database) in all {
        let engine = database["ENGINE"].as_str().unwrap_or_default();
        let name = database["NAME"].as_str().filter(|n| !n.is_empty());
        if engine.ends_with("sqlite3") || engine.ends_with("spatialite") {
            found.sqlite = found.sqlite.or_else(|| name.map(str::to_owned));
        } else if engine.contains("postg") {
            found.postgres = found.postgres.or_else(|| Some(url(database)));
        }
    }
    found
}

fn url(database: &Value) -> String {
    let text = |key: &str| {
        let value = &database[key];
        value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|n| n.to_string()))
    };
    let part = |key: &str| {
        let text = text(key).filter(|t| !t.is_empty())?;
        Some(utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string())
    };
    let user = part("USER").map(|u| format!("{u}@")).unwrap_or_default();
    let host = part("HOST").unwrap_or_else(|| "localhost".to_owned()).replace("%2E", ".");
    let port = part("PORT").map(|p| format!(":{p}")).unwrap_or_default();
    let name = part("NAME").unwrap_or_default();
    let mode = database["OPTIONS"]["sslmode"].as_str();
    let mode = mode.map(|m| format!("?sslmode={m}")).unwrap_or_default();
    format!("postgres://{user}{}{port}/{name}{mode}", host.replace("%2D", "-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_comes_first_and_no_password_comes_along() {
        let found = databases(&json!({
            "archive": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/a/archive.db"},
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/a/db.sqlite3"},
            "next": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop one", "USER": "app",
                "PASSWORD": "s3cret", "HOST": "db-1.example", "PORT": "6000",
                "OPTIONS": {"sslmode": "require"}},
        }));
        assert_eq!(found.sqlite.as_deref(), Some("/a/db.sqlite3"));
        let url = "postgres://app@db-1.example:6000/shop%20one?sslmode=require";
        assert_eq!(found.postgres.as_deref(), Some(url));
        assert_eq!(databases(&json!({"default": {}})), Databases::default());
    }
}
