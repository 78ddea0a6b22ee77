//! Names of objects in schemas other than `public`, as one word: a *key*.
//!
//! Everything in the catalog is found by one string. An object of `public` is kept under its own
//! name, another's key holds its schema between two control characters that no name has; so a
//! place that knows nothing of schemas can never take `s.t` for `public.t`. Owns that form, and
//! how it reads to people and to PostgreSQL. It must never look at a catalog. Start at [`key`].

use std::borrow::Cow;

/// Before the schema.
const OPEN: char = '\u{1e}';
/// Between schema and name.
const CLOSE: char = '\u{1f}';

/// The schema that is never written.
pub const PUBLIC: &str = "public";

/// The key of a name in a schema. A key stays what it is.
pub fn key(schema: &str, name: &str) -> String {
    match schema == PUBLIC || is_key(name) {
        true => name.to_owned(),
        false => format!("{OPEN}{schema}{CLOSE}{name}"),
    }
}

/// Schema and name of a key.
pub fn split(key: &str) -> (&str, &str) {
    let marked = key.strip_prefix(OPEN).and_then(|rest| rest.split_once(CLOSE));
    marked.unwrap_or((PUBLIC, key))
}

/// The name without its schema.
pub fn bare(key: &str) -> &str {
    split(key).1
}

/// The schema of a key.
pub fn schema(key: &str) -> &str {
    split(key).0
}

/// Whether a name says its schema.
pub fn is_key(name: &str) -> bool {
    name.starts_with(OPEN)
}

/// Whether a name that a client wrote could be taken for a key.
pub fn is_reserved(name: &str) -> bool {
    name.contains([OPEN, CLOSE])
}

/// A name that cannot be taken for a key, as near to this one as there is.
pub fn unreserved(name: &str) -> Cow<'_, str> {
    match is_reserved(name) {
        true => Cow::Owned(name.replace([OPEN, CLOSE], "_")),
        false => Cow::Borrowed(name),
    }
}

/// The key of another name in the same schema.
pub fn beside(key: &str, name: &str) -> String {
    self::key(schema(key), name)
}

/// Quoted for SQL, always with its schema.
pub fn quoted(key: &str) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (schema, name) = split(key);
    format!("{}.{}", quote(schema), quote(name))
}

/// A text about objects as people read it: `t`, `s.t`.
pub fn shown(text: &str) -> Cow<'_, str> {
    replaced(text, [OPEN, CLOSE].map(String::from), |schema| match schema {
        // A name that was looked for in no schema in particular.
        "" => String::new(),
        schema => format!("{schema}."),
    })
}

/// The same for a text in JSON, where control characters are escaped.
pub fn shown_json(text: &str) -> Cow<'_, str> {
    replaced(text, ["\\u001e", "\\u001f"].map(str::to_owned), |schema| format!("{schema}."))
}

/// A message of PostgreSQL's: it names objects without their schemas.
pub fn bared(text: &str) -> Cow<'_, str> {
    replaced(text, [OPEN, CLOSE].map(String::from), |_| String::new())
}

fn replaced(text: &str, marks: [String; 2], by: impl Fn(&str) -> String) -> Cow<'_, str> {
    let [open, close] = marks;
    if !text.contains(&open) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(&open) {
        out.push_str(before);
        match marked.split_once(&close) {
            Some((schema, after)) => {
                out.push_str(&by(schema));
                rest = after;
            }
            None => {
                out.push_str(&open);
                rest = marked;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The names of a search_path, unquoted and folded.
pub fn search_path(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let mut name = String::new();
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        if chars.next_if_eq(&'"').is_some() {
            while let Some(c) = chars.next() {
                if c == '"' && chars.next_if_eq(&'"').is_none() {
                    break;
                }
                name.push(c);
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                name.extend(c.to_lowercase());
            }
            name.truncate(name.trim_end().len());
        }
        if !name.is_empty() {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_its_schema_and_public_says_nothing() {
        assert_eq!(key("public", "t"), "t");
        let other = key("s", "t.u");
        assert_eq!(split(&other), ("s", "t.u"));
        assert_eq!(key("public", &other), other);
        assert_eq!(split("t"), ("public", "t"));
        assert_eq!(quoted(&other), "\"s\".\"t.u\"");
        assert_eq!(quoted("a\"b"), "\"public\".\"a\"\"b\"");
        assert_eq!(beside(&other, "v"), key("s", "v"));
    }

    #[test]
    fn texts_are_shown_with_and_without_schemas() {
        let text = format!("table \"{}\" and \"{}\"", key("s", "t"), key("", "u"));
        assert_eq!(shown(&text), "table \"s.t\" and \"u\"");
        assert_eq!(bared(&text), "table \"t\" and \"u\"");
        let json = serde_json::to_string(&key("s", "t")).unwrap();
        assert_eq!(shown_json(&json), "\"s.t\"");
    }
}
