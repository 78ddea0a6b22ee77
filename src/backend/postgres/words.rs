//! What a text that passes may make of its server session, by its words.
//!
//! Owns three questions: may the session hold what cannot move, would a fresh one not be the
//! same, and would PostgreSQL not say how it differs. It must never answer no where it is yes for a statement that a client writes out; a
//! function of PostgreSQL's that does so inside is not seen. Start at [`Traits::of`].

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// What a text may make of its server session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// It may hold something that cannot move.
    pub(super) suspect: bool,
    /// A fresh one would not be the same.
    pub(super) altering: bool,
    /// PostgreSQL would not say how it differs.
    pub(super) hiding: bool,
    /// Nobody has looked: it may be any of these.
    pub(super) unseen: bool,
}

impl Traits {
    /// Nothing is known of the text.
    pub(super) const ALL: Self =
        Self { suspect: true, altering: true, hiding: false, unseen: true };

    pub(super) fn of(text: &[u8]) -> Self {
        // One pass tells most texts to be none of all this.
        if WORDS.as_ref().is_some_and(|words| !words.is_match(text)) {
            return Self::default();
        }
        let lower = text.to_ascii_lowercase();
        let lower = String::from_utf8_lossy(&lower);
        let altering = is_altering(&lower);
        let hiding = altering && is_hiding(&lower);
        Self { suspect: is_suspect(&lower), altering, hiding, unseen: false }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.suspect |= other.suspect;
        self.altering |= other.altering;
        self.hiding |= other.hiding;
        self.unseen |= other.unseen;
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Every word that the questions ask for; without one of them the answer to all is no.
static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = SUSPECT.iter().chain(&ALTERING).chain(&KNOWN);
    AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok()
});

/// Functions and views that alter a session from within any statement, names whose letters are
/// written as numbers, and texts that a block puts together.
const KNOWN: [&str; 4] = ["set_config", "pg_settings", SPELLED, "execute"];

/// Begins a name whose letters may be written as numbers.
const SPELLED: &str = "u&\"";

/// Words in a query text after which the session may hold something that cannot move.
const SUSPECT: [&str; 5] = ["temp", "temporary", "pg_temp", "hold", "advisory_lock"];

/// Words that begin a statement after which a fresh server session would not be the same.
const ALTERING: [&str; 8] =
    ["set", "reset", "discard", "listen", "unlisten", "prepare", "deallocate", "load"];

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Whether the session may hold something that cannot move, after this text (in lower case).
fn is_suspect(lower: &str) -> bool {
    SUSPECT.iter().any(|wanted| {
        lower.match_indices(wanted).any(|(at, found)| {
            let after = lower.get(at + found.len()..).and_then(|t| t.chars().next());
            let before = lower.get(..at).and_then(|t| t.chars().next_back());
            // pg_advisory_lock, pg_try_advisory_lock_shared; but not "temperature".
            found == "advisory_lock" || (!is_word(before) && !is_word(after))
        })
    })
}

/// Whether a text changes what the session is. Rather once too often: it matters only when the
/// server session is lost, and the client is told then what PostgreSQL itself would tell.
fn is_altering(lower: &str) -> bool {
    let begins = |at: usize| {
        let before = lower.get(..at).unwrap_or_default().trim_end();
        // Behind a comment, another statement, or in a block of PL/pgSQL.
        before.is_empty()
            || before.ends_with([';', '/'])
            || before.ends_with("begin")
            || before.lines().next_back().is_some_and(|line| line.contains("--"))
    };
    let lasts = |at: usize, found: &str| {
        let after = lower.get(at + found.len()..).unwrap_or_default();
        let next = after.trim_start();
        if is_word(after.chars().next()) {
            return false;
        }
        // A word of its own: `transaction_timeout` and `local.x` are settings.
        let ends = |w: &&str| {
            next.strip_prefix(w).is_some_and(|rest| rest.starts_with(char::is_whitespace))
        };
        found != "set" || !["local", "transaction", "constraints"].iter().any(ends)
    };
    let anywhere =
        |word: &&str| lower.match_indices(*word).any(|(at, found)| begins(at) && lasts(at, found));
    let in_a_block = lower.trim_start().starts_with("do")
        && ["set", "execute"].iter().any(|word| lower.contains(word));
    let known = ["pg_settings", SPELLED].iter().any(|word| lower.contains(word))
        || lower.match_indices("set_config").any(|(at, word)| !is_local(lower, at + word.len()));
    known || in_a_block || ALTERING.iter().any(anywhere)
}

/// Whether the arguments that begin here end in `true`: what set_config sets ends with the
/// transaction.
fn is_local(lower: &str, at: usize) -> bool {
    let rest = lower.get(at..).unwrap_or_default().trim_start();
    let Some(arguments) = rest.strip_prefix('(') else { return false };
    let (mut depth, mut quoted) = (0_u32, false);
    for (at, c) in arguments.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => depth -= 1,
            ')' if !quoted => {
                let last = arguments.get(..at).and_then(|a| a.rsplit(',').next());
                return last.is_some_and(|last| last.trim() == "true");
            }
            _ => {}
        }
    }
    false
}

/// Whether a text that alters its session may do so in a way that pg_settings does not list: a
/// setting with a dot in its name (an application's own), a library, or a name that is computed.
fn is_hiding(lower: &str) -> bool {
    let word = |text: &str| text.split(|c| !is_word(Some(c))).next().unwrap_or_default().len();
    let set = |(at, found): (usize, &str)| {
        let mut rest = lower.get(at + found.len()..).unwrap_or_default().trim_start();
        if let Some(after) = rest.strip_prefix("session") {
            rest = after.trim_start();
        }
        rest.starts_with('"') || rest.get(word(rest)..).is_some_and(|r| r.starts_with('.'))
    };
    let set_config = |(at, found): (usize, &str)| {
        let rest = lower.get(at + found.len()..).unwrap_or_default().trim_start();
        let rest = rest.strip_prefix('(').unwrap_or_default().trim_start();
        let name = rest.strip_prefix('\'').and_then(|r| r.split_once('\''));
        !is_local(lower, at + found.len()) && name.is_none_or(|(name, _)| name.contains('.'))
    };
    lower.match_indices("set_config").any(set_config)
        || lower.match_indices("set").any(set)
        || ["load", "execute ", SPELLED].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspicious_words_are_whole_words() {
        for (text, suspect) in [
            ("SELECT temperature FROM t", false),
            ("CREATE TEMP TABLE x()", true),
            ("create temporary table x()", true),
            ("CREATE TABLE pg_temp.x()", true),
            ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", true),
            ("SELECT threshold, holdings", false),
            ("SELECT pg_try_advisory_lock(1)", true),
            ("SELECT pg_advisory_xact_lock(1)", false),
        ] {
            assert_eq!(is_suspect(&text.to_ascii_lowercase()), suspect, "{text}");
            assert_eq!(Traits::of(text.as_bytes()).suspect, suspect, "{text}");
        }
    }

    #[test]
    fn what_alters_a_session_is_known_by_its_first_word() {
        for (text, altering) in [
            ("SET search_path = a", true),
            ("  -- first\nSET ROLE r", true),
            ("/* an ORM's note */ SET work_mem = '7MB'", true),
            ("BEGIN; SET app.tenant = '5'; COMMIT", true),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", true),
            ("SELECT set_config('app.tenant', '5', false)", true),
            ("DO $$ begin set work_mem = 100; end $$", true),
            ("DO $$ begin if true then set work_mem = 100; end if; end $$", true),
            ("UPDATE pg_settings SET setting = '7MB' WHERE name = 'work_mem'", true),
            (r#"SELECT U&"s\0065t_config"('work_mem', '13MB', false)"#, true),
            ("DO $$ begin execute 's' || 'et work_mem = 100'; end $$", true),
            ("LISTEN news", true),
            ("RESET ALL\0", true),
            ("DISCARD ALL", true),
            ("PREPARE p AS SELECT 1", true),
            ("SELECT set_config('app.tenant', f('5', 'x)'), true)", false),
            ("SELECT set_config('app.tenant', 'true', $1)", true),
            ("SET LOCAL app.tenant = '5'", false),
            ("SET transaction_timeout = '2s'", true),
            ("SET locale.lang = 'de'", true),
            ("SET local.x TO 1", true),
            ("set transaction read only", false),
            ("SET CONSTRAINTS ALL DEFERRED", false),
            ("UPDATE t SET a = 1", false),
            ("INSERT INTO t VALUES (1) ON CONFLICT (a)\n DO UPDATE\n SET a = 2", false),
            ("SELECT reset, load FROM prepare", false),
            ("SELECT 1", false),
        ] {
            assert_eq!(is_altering(&text.to_ascii_lowercase()), altering, "{text}");
            assert_eq!(Traits::of(text.as_bytes()).altering, altering, "{text}");
        }
    }

    #[test]
    fn settings_that_are_not_listed_are_known_by_their_names() {
        for (text, hiding) in [
            ("SET app.tenant = '5'", true),
            ("SET SESSION app.tenant TO '5'", true),
            ("SET \"App\".tenant = 5", true),
            ("SELECT set_config('app.tenant', '5', false)", true),
            ("SELECT set_config($1, $2, false)", true),
            ("LOAD 'auto_explain'", true),
            ("DO $$ begin execute 'set ' || name || ' = 1'; end $$", true),
            ("SET TimeZone = 'UTC'; SET app.x = 1", true),
            ("SELECT pg_catalog.set_config('TimeZone', 'UTC', false)", false),
            ("SET search_path = a.b", false),
            ("set session work_mem to '7MB'", false),
            ("RESET ALL", false),
            ("LISTEN news", false),
        ] {
            assert_eq!(is_hiding(&text.to_ascii_lowercase()), hiding, "{text}");
        }
    }
}
