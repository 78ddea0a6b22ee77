//! A session's settings: SET, SHOW, RESET, SET LOCAL, and what follows from them.
//!
//! Owns the values of one session, their rollback with the transaction, and the parsed
//! forms the hot path reads ([`Derived`]). What PostgreSQL knows is data in [`table`].
//! Start at [`Settings`].

mod encoding;
pub mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::postgres::control::SETTINGS;
use crate::error::{Error, Result, state};
use crate::name;
use crate::sql::Mode;
use crate::value::search::Language;
use crate::value::{DateOutput, DateStyle, IntervalStyle, Style, numeric_offset, zone};
use table::{Definition, find};

/// Settings that PostgreSQL 15 reports to the client as ParameterStatus.
pub const REPORTED: [&str; 13] = [
    "in_hot_standby",
    "integer_datetimes",
    "TimeZone",
    "IntervalStyle",
    "is_superuser",
    "application_name",
    "default_transaction_read_only",
    "DateStyle",
    "standard_conforming_strings",
    "session_authorization",
    "client_encoding",
    "server_version",
    "server_encoding",
];

/// What a session on the other back end starts with, whatever PostgreSQL's role or database would
/// give it: what the client was told.
const TOLD: [&str; 4] = ["timezone", "datestyle", "intervalstyle", "application_name"];

/// The same as long as both back ends are there: what decides what a statement means, and how its
/// values are written. Limits of PostgreSQL's own, like statement_timeout, are not among them.
pub const KEPT: [&str; 14] = [
    "search_path",
    "extra_float_digits",
    "bytea_output",
    "xmlbinary",
    "xmloption",
    "array_nulls",
    "backslash_quote",
    "standard_conforming_strings",
    "transform_null_equals",
    "quote_all_identifiers",
    "default_text_search_config",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_transaction_deferrable",
];

/// Explicit values, canonical, by folded name. Cheap to snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
struct Values {
    session: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
}

/// The session's dialect: auto, postgres or sqlite.
pub(crate) const DIALECT: &str = "crossfade.dialect";

/// What the hot path needs, parsed.
#[derive(Clone, Debug)]
pub struct Derived {
    /// How values are read and printed.
    pub style: Style,
    /// What of it PostgreSQL must be told before it is asked the same: settings that differ from
    /// those of the mirror's connections.
    pub for_shadow: Arc<[(String, String)]>,
    /// search_path with `$user` replaced and pg_temp left out.
    pub search_path: Arc<Vec<String>>,
    /// statement_timeout, when set.
    pub statement_timeout: Option<Duration>,
    /// lock_timeout, when set.
    pub lock_timeout: Option<Duration>,
    /// idle_in_transaction_session_timeout, when set.
    pub idle_timeout: Option<Duration>,
    /// idle_session_timeout, when set.
    pub session_timeout: Option<Duration>,
    /// default_transaction_read_only
    pub read_only: bool,
    /// default_transaction_isolation
    pub isolation: String,
    /// client_min_messages lets warnings and notices through.
    pub notices: bool,
    /// client_min_messages lets warnings through.
    pub warnings: bool,
    /// client_min_messages lets messages of level DEBUG1 through.
    pub debug: bool,
    /// session_replication_role = replica (constraints are still checked; recorded only).
    pub replica: bool,
    /// crossfade.dialect
    pub dialect: Mode,
}

/// A point to return to: BEGIN or SAVEPOINT.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<Values>);

/// The settings of one session.
#[derive(Debug)]
pub struct Settings {
    user: String,
    /// Values that RESET returns to: start-up packet over the table's defaults.
    start: BTreeMap<String, String>,
    values: Arc<Values>,
    derived: Arc<Derived>,
    /// What the client was last told, parallel to `REPORTED`.
    reported: Vec<Option<String>>,
    reported_for: Option<Arc<Values>>,
}

impl Settings {
    /// Settings of a new session from its start-up parameters.
    /// A value PostgreSQL would refuse is its error, FATAL.
    pub fn new(user: &str, parameters: &[(String, String)], version: &str) -> Result<Self> {
        let mut settings = Self {
            user: user.to_owned(),
            start: BTreeMap::new(),
            values: Arc::default(),
            derived: Arc::new(derive(&Values::default(), &BTreeMap::new(), user)?),
            reported: vec![None; REPORTED.len()],
            reported_for: None,
        };
        settings.start.insert("session_authorization".into(), user.to_owned());
        settings.start.insert("server_version".into(), version.to_owned());
        if let Some(number) = version_number(version) {
            settings.start.insert("server_version_num".into(), number);
        }
        for (name, value) in parameters {
            let value = std::slice::from_ref(value);
            let canonical = settings.canonical(name, Some(value)).map_err(Error::fatal)?;
            settings.start.insert(name.to_ascii_lowercase(), canonical);
        }
        settings.derived = Arc::new(derive(&settings.values, &settings.start, user)?);
        Ok(settings)
    }

    /// The parsed forms.
    pub fn derived(&self) -> &Arc<Derived> {
        &self.derived
    }

    /// The value as SHOW prints it; None for a name nobody knows.
    pub fn show(&self, name: &str) -> Option<String> {
        let key = name.to_ascii_lowercase();
        let key = match key.as_str() {
            "timezone" | "time zone" => "timezone",
            other => other,
        };
        let raw = self.raw(key);
        if key == DIALECT {
            // RESET leaves an empty value, which is the default.
            return Some(raw.filter(|v| !v.is_empty()).unwrap_or("auto").to_owned());
        }
        match find(key) {
            Some(d) => Some(d.show(raw.unwrap_or(d.default))),
            None => raw.map(str::to_owned),
        }
    }

    /// The error for a name nobody knows.
    pub fn unknown(name: &str) -> Error {
        Error::client(
            state::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )
    }

    fn raw(&self, key: &str) -> Option<&str> {
        let v = &self.values;
        v.local
            .get(key)
            .or_else(|| v.session.get(key))
            .or_else(|| self.start.get(key))
            .map(String::as_str)
    }

    /// SET name = values; None is DEFAULT. `local` lasts until the transaction ends.
    pub fn set(&mut self, name: &str, values: Option<&[String]>, local: bool) -> Result<()> {
        if let Some(definition) = find(name) {
            definition.may_change()?;
        }
        let key = name.to_ascii_lowercase();
        if key.starts_with("pg_trgm.") && values.is_some() {
            // The operators of pg_trgm know its own limits only.
            return Err(Error::unsupported(format!("a value of its own for {key}")));
        }
        let canonical = match values {
            Some(_) => Some(self.canonical(name, values)?),
            None => {
                if find(name).is_none() && !key.contains('.') {
                    return Err(Self::unknown(name));
                }
                None
            }
        };
        let mut next = Arc::clone(&self.values);
        let v = Arc::make_mut(&mut next);
        // DEFAULT takes the start-up value; written out, so that rollback and SET LOCAL
        // need no third state.
        let value = canonical
            .or_else(|| self.start.get(&key).cloned())
            .or_else(|| Some(find(name).map_or_else(String::new, |d| d.default.to_owned())));
        let value = value.unwrap_or_default();
        if local {
            v.local.insert(key, value);
        } else {
            v.local.remove(&key);
            v.session.insert(key, value);
        }
        self.replace(next)
    }

    /// RESET name, or ALL.
    pub fn reset(&mut self, name: Option<&str>) -> Result<()> {
        let mut next = Arc::clone(&self.values);
        let v = Arc::make_mut(&mut next);
        match name {
            None => {
                // PostgreSQL leaves these alone, too (GUC_NO_RESET_ALL).
                let kept = ["session_authorization", "role", "transaction_isolation", "seed"];
                v.session.retain(|k, _| kept.contains(&k.as_str()));
                v.local.clear();
            }
            Some(name) => {
                match find(name) {
                    Some(d) => d.may_change()?,
                    None if name.contains('.') => {}
                    None => return Err(Self::unknown(name)),
                }
                let key = name.to_ascii_lowercase();
                v.local.remove(&key);
                if find(name).is_some() {
                    v.session.remove(&key);
                } else {
                    v.session.insert(key, String::new());
                }
            }
        }
        self.replace(next)
    }

    /// A point to return to.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.values))
    }

    /// Returns to a point: ROLLBACK, ROLLBACK TO.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        if !Arc::ptr_eq(&self.values, &snapshot.0) {
            // A snapshot was valid when it was taken.
            let _ = self.replace(Arc::clone(&snapshot.0));
        }
    }

    /// The transaction has ended: SET LOCAL ends with it.
    pub fn end_local(&mut self) {
        if !self.values.local.is_empty() {
            let mut next = Arc::clone(&self.values);
            let v = Arc::make_mut(&mut next);
            for key in std::mem::take(&mut v.local).into_keys() {
                // A name that exists only since then stays, empty, as in PostgreSQL.
                if find(&key).is_none() {
                    v.session.entry(key).or_default();
                }
            }
            let _ = self.replace(next);
        }
    }

    /// Calls `tell(name, value)` for each reported setting whose value the client does not
    /// know yet.
    pub fn report(&mut self, mut tell: impl FnMut(&'static str, &str)) {
        if self.reported_for.as_ref().is_some_and(|v| Arc::ptr_eq(v, &self.values)) {
            return;
        }
        for (i, name) in REPORTED.iter().enumerate() {
            let now = self.show(name).unwrap_or_default();
            if self.reported[i].as_deref() != Some(now.as_str()) {
                tell(name, &now);
                self.reported[i] = Some(now);
            }
        }
        self.reported_for = Some(Arc::clone(&self.values));
    }

    /// Name, value as shown, description of every setting, for SHOW ALL.
    pub fn all(&self) -> impl Iterator<Item = (&'static Definition, String)> + '_ {
        table::TABLE
            .iter()
            .filter(|d| {
                !matches!(d.name, "role" | "seed" | "session_authorization" | "is_superuser")
            })
            .map(|d| (d, self.show(d.name).unwrap_or_default()))
    }

    /// What a session on the other back end starts with: what the client was told, what its
    /// start-up packet named, and, unless PostgreSQL is `alone`, what [`KEPT`] names. RESET returns
    /// to these.
    pub fn at_start(&self, alone: bool) -> Vec<(String, String)> {
        let kept: &[&str] = if alone { &[] } else { &KEPT };
        let mut all = self.start.clone();
        for name in TOLD.iter().chain(kept).copied() {
            let default = || find(name).map_or_else(String::new, |d| d.default.to_owned());
            all.entry(name.to_owned()).or_insert_with(default);
        }
        // Who the client is, PostgreSQL knows by the role that the proxy logs in with.
        all.retain(|k, _| {
            find(k).is_none_or(|d| d.context == "user")
                && !matches!(k.as_str(), "session_authorization" | "role")
        });
        all.into_iter().collect()
    }

    /// What SET has changed up to a point: name and value.
    pub fn changed(&self, at: &Snapshot) -> Vec<(String, String)> {
        let kept = |k: &str| !matches!(k, "session_authorization" | "role");
        let all = at.0.session.iter().filter(|(k, _)| kept(k));
        all.map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// What SET and SET LOCAL did between two points: name, value (None: RESET), LOCAL.
    pub fn changes(from: &Snapshot, to: &Snapshot) -> Vec<(String, Option<String>, bool)> {
        let mut all = Vec::new();
        for (local, from, to) in
            [(false, &from.0.session, &to.0.session), (true, &from.0.local, &to.0.local)]
        {
            let changed = to.iter().filter(|(k, v)| from.get(*k) != Some(*v));
            all.extend(changed.map(|(k, v)| (k.clone(), Some(v.clone()), local)));
            let gone = from.keys().filter(|k| !local && !to.contains_key(*k));
            all.extend(gone.map(|k| (k.clone(), None, local)));
        }
        all
    }

    /// Names of the settings that the client has made up (`app.tenant`), as far as they were set
    /// here.
    pub fn made_up(&self) -> Vec<String> {
        let names = self.values.session.keys();
        names.filter(|name| name.contains('.') && *name != DIALECT).cloned().collect()
    }

    /// Takes over what the session has become on the other back end, and returns what has no
    /// counterpart here: name and why.
    pub fn adopt(&mut self, values: &[(String, String)]) -> Vec<(String, Error)> {
        let mut left = Vec::new();
        // The proxy's own: PostgreSQL does not know it.
        let dialect = self.values.session.get(DIALECT).cloned();
        // Nothing can fail that PostgreSQL has accepted, except what is refused here.
        let _ = self.reset(None);
        if let Some(dialect) = dialect {
            let _ = self.set(DIALECT, Some(&[dialect]), false);
        }
        for (name, value) in values {
            if let Err(error) = self.set(name, Some(std::slice::from_ref(value)), false) {
                left.push((name.clone(), error));
            }
        }
        left
    }

    /// Notes that the client was told this value.
    pub fn told(&mut self, name: &str, value: &str) {
        if let Some(i) = REPORTED.iter().position(|n| *n == name) {
            self.reported[i] = Some(value.to_owned());
            self.reported_for = None;
        }
    }

    fn replace(&mut self, next: Arc<Values>) -> Result<()> {
        self.derived = Arc::new(derive(&next, &self.start, &self.user)?);
        self.values = next;
        Ok(())
    }

    fn canonical(&self, name: &str, values: Option<&[String]>) -> Result<String> {
        let values = values.unwrap_or_default();
        let Some(definition) = find(name) else {
            if !name.contains('.') {
                return Err(Self::unknown(name));
            }
            let value = values.join(", ");
            if name.eq_ignore_ascii_case(DIALECT) && Mode::named(&value).is_none() {
                let message = format!("invalid value for parameter \"{DIALECT}\": \"{value}\"");
                return Err(Error::client(state::INVALID_PARAMETER_VALUE, message)
                    .hint("Available values: auto, postgres, sqlite."));
            }
            return Ok(value);
        };
        let joined = || values.join(", ");
        if values.len() > 1 && !is_list(definition.name) {
            return Err(Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("SET {} takes only one argument", definition.name),
            ));
        }
        match definition.name {
            "TimeZone" => zone_name(&joined()),
            "DateStyle" => {
                let current = self.raw("datestyle").unwrap_or(definition.default).to_owned();
                date_style(&joined(), &current).map(|(output, order)| output.setting(order))
            }
            "search_path" => Ok(if values.len() == 1 && values[0].contains([',', '"']) {
                normal_path(&values[0])
            } else {
                values.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", ")
            }),
            "client_encoding" => encoding::chosen(&joined()),
            "role" | "session_authorization" => self.user_name(definition, &joined()),
            "standard_conforming_strings" => {
                let value = definition.check(&joined())?;
                if value == "off" {
                    return Err(Error::unsupported("standard_conforming_strings = off"));
                }
                Ok(value)
            }
            "application_name" => Ok(joined().chars().map(printable).take(63).collect()),
            _ => definition.check(&joined()),
        }
    }

    fn user_name(&self, definition: &Definition, value: &str) -> Result<String> {
        if value == self.user || (value == "none" && definition.name == "role") {
            return Ok(value.to_owned());
        }
        if definition.name == "session_authorization" && value == "default" {
            return Ok(self.user.clone());
        }
        Err(Error::client(
            state::INVALID_PARAMETER_VALUE,
            format!("role \"{value}\" does not exist"),
        ))
    }
}

fn is_list(name: &str) -> bool {
    matches!(
        name,
        "search_path"
            | "DateStyle"
            | "temp_tablespaces"
            | "session_preload_libraries"
            | "local_preload_libraries"
            | "createrole_self_grant"
            | "synchronous_standby_names"
    )
}

/// What set_config() answers for a row, where that is sure before the setting is made.
///
/// # Errors
/// As SET; 0A000 for settings whose value is not shown as it is given.
pub fn asked_by_row(name: &str, value: Option<&str>) -> Result<String> {
    let Some(definition) = find(name) else {
        return match (name.contains('.'), value) {
            (true, Some(value)) if !name.eq_ignore_ascii_case(DIALECT) => Ok(value.to_owned()),
            (true, _) => Err(Error::unsupported(format_args!("set_config() of {name} by row"))),
            (false, _) => Err(Settings::unknown(name)),
        };
    };
    let plain = !is_list(definition.name)
        && !definition.name.starts_with("transaction_")
        && !matches!(
            definition.name,
            "TimeZone" | "client_encoding" | "role" | "session_authorization" | "application_name"
        )
        && matches!(definition.kind, table::Kind::Bool | table::Kind::Enum | table::Kind::String);
    match value {
        Some(value) if plain => {
            definition.may_change()?;
            definition.check(value)
        }
        _ => Err(Error::unsupported(format_args!("set_config() of {name} by row"))),
    }
}

/// What PostgreSQL keeps of a name that is too long; None when it is not.
pub fn truncated(name: &str) -> Option<&str> {
    const NAME_MAX: usize = 63;
    if name.len() <= NAME_MAX {
        return None;
    }
    let end = (0..=NAME_MAX).rev().find(|i| name.is_char_boundary(*i))?;
    name.get(..end)
}

fn printable(c: char) -> char {
    if (' '..='~').contains(&c) { c } else { '?' }
}

/// `15.18` → `150018`.
fn version_number(version: &str) -> Option<String> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    let major: u32 = parts.next()?.parse().ok()?;
    let minor: u32 = parts.next().and_then(|m| m.parse().ok()).unwrap_or(0);
    Some(format!("{}", major * 10_000 + minor))
}

fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A search_path given as one string: kept as written, items separated by `, `.
fn normal_path(text: &str) -> String {
    name::search_path(text).iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ")
}

fn duration(values: &Values, start: &BTreeMap<String, String>, name: &str) -> Option<Duration> {
    let ms: u64 = effective(values, start, name).parse().ok()?;
    (ms > 0).then(|| Duration::from_millis(ms))
}

fn effective<'a>(values: &'a Values, start: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    values
        .local
        .get(name)
        .or_else(|| values.session.get(name))
        .or_else(|| start.get(name))
        .map(String::as_str)
        .or_else(|| find(name).map(|d| d.default))
        .unwrap_or("")
}

fn derive(values: &Values, start: &BTreeMap<String, String>, user: &str) -> Result<Derived> {
    let get = |name: &str| effective(values, start, name);
    let level = get("client_min_messages");
    let search_path = name::search_path(get("search_path"))
        .into_iter()
        .map(|n| if n == "$user" { user.to_owned() } else { n })
        .filter(|n| n != "pg_temp")
        .collect();
    Ok(Derived {
        style: Style {
            timezone: zone(get("timezone"))?,
            date_style: date_style(get("datestyle"), "ISO, MDY")?.1,
            date_output: date_style(get("datestyle"), "ISO, MDY")?.0,
            interval_style: IntervalStyle::parse(get("intervalstyle"))?,
            extra_float_digits: get("extra_float_digits").parse().unwrap_or(1),
            bytea_hex: get("bytea_output") != "escape",
            language: Language::named(get("default_text_search_config")),
            now: None,
            // The session adds those of its catalog where text is read.
            enums: std::sync::Arc::default(),
        },
        for_shadow: for_shadow(&get),
        search_path: Arc::new(search_path),
        statement_timeout: duration(values, start, "statement_timeout"),
        lock_timeout: duration(values, start, "lock_timeout"),
        idle_timeout: duration(values, start, "idle_in_transaction_session_timeout"),
        session_timeout: duration(values, start, "idle_session_timeout"),
        read_only: get("default_transaction_read_only") == "on",
        isolation: get("default_transaction_isolation").to_owned(),
        notices: !matches!(level, "warning" | "error"),
        warnings: level != "error",
        debug: level.starts_with("debug"),
        replica: get("session_replication_role") == "replica",
        dialect: Mode::named(get(DIALECT)).unwrap_or_default(),
    })
}

/// See [`Derived::for_shadow`].
fn for_shadow<'a>(get: &impl Fn(&str) -> &'a str) -> Arc<[(String, String)]> {
    SETTINGS
        .iter()
        .map(|(name, usual)| (*name, get(name), *usual))
        .filter(|(_, value, usual)| !value.is_empty() && !value.eq_ignore_ascii_case(usual))
        .map(|(name, value, _)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// DateStyle's words over the current value: the output, and the order of input.
fn date_style(text: &str, current: &str) -> Result<(DateOutput, DateStyle)> {
    DateOutput::parse(text, DateOutput::parse(current, Default::default())?)
}

/// A zone as written to the name SHOW prints: a tz database name, or a fixed offset in
/// POSIX form (whose sign is the reverse).
fn zone_name(text: &str) -> Result<String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if lower == "local" || lower == "default" {
        return Ok("UTC".into());
    }
    let interval = text.strip_prefix("INTERVAL '").and_then(|t| t.strip_suffix('\''));
    match numeric_offset(interval.unwrap_or(text)) {
        // With minutes it is a POSIX zone without a name, unless it is an interval.
        Some(_) if interval.is_none() && text.contains(':') => return Ok(text.to_owned()),
        Some(seconds) => return Ok(offset_name(seconds)),
        None => {}
    }
    if let Some(name) = canonical_zone(text) {
        return Ok(name);
    }
    zone(text).map(|_| text.to_owned())
}

fn offset_name(seconds: i32) -> String {
    let (h, m, s) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    let mut digits = format!("{h:02}");
    if m != 0 || s != 0 {
        digits.push_str(&format!(":{m:02}"));
    }
    if s != 0 {
        digits.push_str(&format!(":{s:02}"));
    }
    let (east, west) = if seconds >= 0 { ('+', '-') } else { ('-', '+') };
    format!("<{east}{digits}>{west}{digits}")
}

fn canonical_zone(text: &str) -> Option<String> {
    jiff::tz::db().available().map(|n| n.as_str().to_owned()).find(|n| n.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let options = [("geqo", "off"), ("statement_timeout", "5min")];
        let options = options.map(|(n, v)| (n.to_owned(), v.to_owned()));
        Settings::new("alice", &options, "15.18").expect("start")
    }

    fn set(s: &mut Settings, name: &str, value: &str) -> String {
        let values: Vec<String> = vec![value.to_owned()];
        match s.set(name, Some(&values), false) {
            Ok(()) => s.show(name).unwrap_or_default(),
            Err(e) => format!("{} {}", e.sqlstate(), e.message()),
        }
    }

    #[test]
    fn zones_paths_and_styles_are_shown_as_postgresql_does() {
        let mut s = settings();
        for (name, value, expected) in [
            ("timezone", "+3", "<+03>-03"),
            ("timezone", "-5", "<-05>+05"),
            ("timezone", "3.5", "<+03:30>-03:30"),
            ("TimeZone", "europe/berlin", "Europe/Berlin"),
            ("timezone", "utc", "UTC"),
            ("timezone", "UTC+3", "UTC+3"),
            ("timezone", "Foo/Bar", "22023 invalid value for parameter \"TimeZone\": \"Foo/Bar\""),
            ("datestyle", "iso, ymd", "ISO, YMD"),
            ("datestyle", "dmy", "ISO, DMY"),
            ("search_path", "Foo", "\"Foo\""),
            ("server_version", "1", "55P02 parameter \"server_version\" cannot be changed"),
            ("foo", "1", "42704 unrecognized configuration parameter \"foo\""),
            ("foo.bar", "1", "1"),
        ] {
            assert_eq!(set(&mut s, name, value), expected, "{name} = {value}");
        }
        let path = ["$user".to_owned(), "a".to_owned()];
        s.set("search_path", Some(&path), false).expect("path");
        assert_eq!(s.show("search_path").as_deref(), Some("\"$user\", a"));
        assert_eq!(*s.derived().search_path, ["alice", "a"]);
        assert_eq!(s.show("statement_timeout").as_deref(), Some("5min"));
        assert_eq!(s.show("geqo").as_deref(), Some("off"));
    }

    #[test]
    fn set_ends_with_the_transaction_and_local_always_does() {
        let mut s = settings();
        let value = |v: &str| vec![v.to_owned()];
        let begin = s.snapshot();
        s.set("work_mem", Some(&value("8MB")), false).expect("set");
        s.set("lock_timeout", Some(&value("1s")), true).expect("set local");
        assert_eq!(s.derived().lock_timeout, Some(Duration::from_secs(1)));
        s.restore(&begin);
        assert_eq!(s.show("work_mem").as_deref(), Some("4MB"));
        s.set("work_mem", Some(&value("8MB")), false).expect("set");
        s.set("work_mem", Some(&value("9MB")), true).expect("set local");
        assert_eq!(s.show("work_mem").as_deref(), Some("9MB"));
        s.end_local();
        assert_eq!(s.show("work_mem").as_deref(), Some("8MB"));
        s.reset(None).expect("reset");
        assert_eq!(s.show("work_mem").as_deref(), Some("4MB"));
    }

    #[test]
    fn changes_of_reported_settings_are_told_once() {
        let mut s = settings();
        let mut told = Vec::new();
        s.report(|n, v| told.push(format!("{n}={v}")));
        assert_eq!(told.len(), REPORTED.len());
        told.clear();
        s.set("application_name", Some(&["x".to_owned()]), false).expect("set");
        s.report(|n, v| told.push(format!("{n}={v}")));
        s.report(|n, v| told.push(format!("{n}={v}")));
        assert_eq!(told, ["application_name=x"]);
    }
}
