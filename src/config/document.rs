//! The documentation of the configuration, made from the table of keys.
//!
//! Owns [`document`]. It must never describe a key that does not exist: docs/configuration.md
//! is compared with it. Start at [`document`].

use std::fmt::Write;

use super::keys::{KEYS, SECTIONS, is_reloadable};

/// docs/configuration.md.
pub fn document() -> String {
    let mut out = String::from(HEAD);
    for (section, meaning) in SECTIONS {
        let _ = writeln!(out, "\n## [{section}]\n\n{}\n", meaning.trim());
        out.push_str("| key | default | accepts | meaning |\n|---|---|---|---|\n");
        for key in KEYS.iter().filter(|k| k.section == *section) {
            let default = match key.default {
                "" => "unset".to_owned(),
                text => format!("`{text}`"),
            };
            let meaning = key.doc.trim().replace("\n ", " ").replace('|', "\\|");
            let mark = if is_reloadable(key.section, key.name) { " ↻" } else { "" };
            let _ =
                writeln!(out, "| `{}`{mark} | {default} | {} | {meaning} |", key.name, key.kind);
        }
    }
    out.push_str(TAIL);
    out
}

const HEAD: &str = "\
# Configuration

Made from the code by `UPDATE_DOCS=1 cargo test --lib config`; a test keeps it so.

Values come from, strongest first: flags, environment variables, `proxy.toml`, defaults.
Every key has a variable `CROSSFADE_<SECTION>_<KEY>`, for example `CROSSFADE_COMPARE_READS=all`.
`SHOW CONFIG` and `/api/v1/config` tell each value in force and where it came from; secrets
are left out. An unknown key is an error.

Variables of other programs are read too, below `CROSSFADE_*` and above the file; the first that
names a back end counts:

1. `DATABASE_URL`, by its scheme: `sqlite:` names the file, `postgres:` the server.
   `sqlite:///name` is relative; when only `/name` exists, that file is taken.
2. `POSTGRES_URL`
3. `POSTGRES_HOST`, `POSTGRES_PORT`, `POSTGRES_USER`, `POSTGRES_PASSWORD`, `POSTGRES_DB`,
   if host or database is set
4. libpq's `PGHOST` with `PGPORT`, when nothing else names a server. `PGUSER`, `PGPASSWORD`,
   `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`, `PGCONNECT_TIMEOUT`,
   `PGOPTIONS` and `PGAPPNAME` fill what the URL leaves open.

A `[postgres]` URL that leads back to the proxy is refused; a variable of another program that does is
ignored, with a warning: it is what the application needs.

`RELOAD` on the console, `POST /api/v1/reload` and SIGHUP read the file again and take new values of
the keys marked ↻ and of `[[divergence.accept]]`, and read the users file, the certificate and the
tokens again. Where one of them cannot be used, nothing changes. The answer, the events and the log
say what has changed and what waits for the next start; `SHOW CONFIG` shows what is in force.
Sessions and requests under way keep what they began with.
";

const TAIL: &str = "
## [[divergence.accept]]

Accepts the divergences for which every condition given holds. `reason` is required.

```toml
[[divergence.accept]]
class = \"order\"
table = \"log\"
reason = \"the page does not promise an order\"
owner = \"shop team\"
expires = \"2030-01-31\"
```

| key | meaning |
|---|---|
| `class` | divergence class |
| `fingerprint` | fingerprint of the statement |
| `table` | table |
| `column` | column |
| `reason` | why it is accepted |
| `owner` | who answers for it |
| `expires` | date or time after which what it accepted is open again |

## [tables.NAME]

Overrides for one table.

```toml
[tables.orders]
columns = { price = \"numeric(12,2)\", placed_at = \"timestamptz\" }
partition_by = \"RANGE (placed_at) EVERY month\"
indexes = [\"USING brin (placed_at)\", \"(lower(customer)) WHERE open\"]
coerce = [\"quantity\"]
refuse = [\"price\"]
```

| key | meaning |
|---|---|
| `columns` | PostgreSQL type by column, with how the file stores it where the data does not say: `timestamptz stored as unix-seconds` |
| `partition_by` | partitioning on PostgreSQL: `RANGE (column) EVERY` day, week, month, year, or a number for integers; without `EVERY` a month |
| `indexes` | indexes that only PostgreSQL has, as they follow `CREATE INDEX … ON` the table |
| `name` | the table's name on PostgreSQL, and here |
| `column_names` | names of columns, by the file's: `{ \"Placed At\" = \"placed_at\" }` |
| `coerce` | columns of which values in another form than the type's are changed to it, as below; the type is that of `columns`, else the one the file declares |
| `empty_is_null` | columns that are coerced and of which empty text is NULL; a NOT NULL of theirs is left off |
| `refuse` | columns of which a value that does not fit ends the copy of the table with an error |

Forms a column can be stored in: `plain` (as Crossfade itself would), `number`, `scaled-integer`,
`decimal-text`, `any-decimal` (numeric); `words` (boolean); `iso-text`, `unix-seconds`,
`unix-milliseconds` (dates and moments); `microseconds`, `moment-from-1970` (interval); `hex`,
`bytes`, `any-uuid` (uuid); `json-text` (jsonb); `mixed-text`, `mixed-bytes`. Without `stored as` the form is
found from the data. A value that does not fit the type is never changed unless `coerce` names the column: reading it is XX001, and
on PostgreSQL it is NULL and kept in `crossfade.quarantine`, unless `refuse` names the column. An
override takes effect when the proxy starts, as long as PostgreSQL holds no copy of the table (a copy that
failed or left the table out is none); a name when the file is served for the first time. An INTEGER
PRIMARY KEY, by which SQLite numbers the rows, can be `smallint`, `integer` or `bigint` only. One that
cannot be followed is named by assess and by the copy. `crossfade assess` says which overrides there are to write.

A column that is coerced reads the same everywhere: from the proxy while SQLite is primary, on
PostgreSQL, and to verify. Blanks around text go. Then whole numbers may be text in any notation
(`42`, `42.0`), other numbers too; `true`, `yes`, `on`, `1` and their opposites are booleans; dates and
moments may be any ISO spelling that begins with the year (`2024-1-5`, `2024/01/05T10:00`), without a
zone in UTC for timestamptz; uuids may be of any spelling or 16 bytes; of a column of text, numbers
have SQLite's text form, bytes are text where they are valid UTF-8, and NUL becomes U+2400. What could
be meant in two ways or would lose something does not fit, as above: a number with a fraction in an
integer column, `now`, a number as a date, a time of day in a date, a zone in a timestamp without one,
text longer than the type. The copy and verify count what is coerced, by column. Comparisons with such
a column use no index of the file.

Partitions and `indexes` are made by the copy, in tables that Crossfade makes. There is a partition
for each span from the first row to some spans beyond the last, 500 at most, and one for all other
rows, NULL included; so no row is ever refused, and new partitions can be made at any time. A key or
unique constraint of a partitioned table gets the column as well, because PostgreSQL has none over
all partitions: foreign keys that lead to the table are left off. All this is in the copy's findings.

## Hooks

A hook is called twice a second at most for what is new since the last look, one at a time, 64 wait
at most; more are dropped, which the events tell. A command that takes longer than `timeout_ms` is
killed with all it started. Nothing of the proxy waits for a hook. A command finds `PATH`, `HOME`,
`LANG`, `TZ` and the variables below, and no other of the proxy's; its output goes nowhere. A request
has the same as JSON, names in small letters without `CROSSFADE_`. What fails is in the events.

| variable | `on_divergence` | `on_phase` |
|---|---|---|
| `CROSSFADE_EVENT` | `divergence` | `phase` |
| `CROSSFADE_AT` | time | time |
| `CROSSFADE_PHASE` | phase | the new phase |
| `CROSSFADE_PHASE_BEFORE` | | the phase before |
| `CROSSFADE_DIVERGENCE` | `d7` | |
| `CROSSFADE_CLASS`, `CROSSFADE_SEVERITY` | of the group | |
| `CROSSFADE_TABLE` | table, when one is known | |
| `CROSSFADE_STATEMENT` | shape of the statement, without its values | |
| `CROSSFADE_ADMIN_URL` | of this proxy, for `crossfade status` | the same |
| `CROSSFADE_ADMIN_CA` | certificate to trust, where that is https; commands only | the same |
| `CROSSFADE_TOKEN` | of `[http] read_token_file`, when set: it may look, not order; commands only | the same |

## The users file

```toml
[users]
app = \"SCRAM-SHA-256$4096:…\"   # as in PostgreSQL's pg_authid.rolpassword
ada = \"a password\"              # becomes a verifier when the file is read
```
";
