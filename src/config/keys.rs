//! Every key of the configuration: section, name, type, default, meaning.
//!
//! Owns the table from which the structs, the documentation and the checks are made. It
//! must never hold the value of a key. Start at [`KEYS`].

use std::path::PathBuf;

use super::postgres::PostgresUrl;
use super::value::{
    Address, Addresses, AuthMethod, Bytes, CompareReads, Durability, KeepValues, LogFormat,
    MirrorMode, Names, PoolMode, Positive, Ratio, ShellCommand, TempStore, Value, Version, WayBack,
    Webhook, WhenFull,
};
use super::{Entry, Layers, Setting};

/// A key as documentation and checks see it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Section, as in `[section]`.
    pub section: &'static str,
    /// Name inside the section.
    pub name: &'static str,
    /// Default as text; empty when unset.
    pub default: &'static str,
    /// What values are accepted.
    pub kind: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Whether the file may give an array.
    pub list: bool,
}

impl Key {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("CROSSFADE_{}_{}", self.section, self.name).to_ascii_uppercase()
    }
}

macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])*
        $section:ident : $Struct:ident {
            $( $(#[doc = $doc:literal])* $key:ident : $ty:ty = $default:literal, )*
        }
    )*) => {
        $(
            $(#[doc = $section_doc])*
            #[derive(Clone, Debug)]
            pub struct $Struct {
                $( $(#[doc = $doc])* pub $key: Setting<$ty>, )*
            }

            impl $Struct {
                pub(super) fn build(layers: &mut Layers<'_>) -> Self {
                    Self { $(
                        $key: layers.take(stringify!($section), stringify!($key), $default),
                    )* }
                }

                pub(super) fn entries(&self, out: &mut Vec<Entry>) {
                    $( out.push(Entry::new(
                        stringify!($section), stringify!($key), &self.$key, $default,
                    )); )*
                }
            }
        )*

        /// Every key, in the order of the documentation.
        pub static KEYS: &[Key] = &[ $( $( Key {
            section: stringify!($section),
            name: stringify!($key),
            default: $default,
            kind: <$ty as Value>::KIND,
            doc: concat!($($doc, "\n"),*),
            list: <$ty as Value>::LIST,
        }, )* )* ];

        /// Every section with its meaning.
        pub static SECTIONS: &[(&str, &str)] =
            &[ $( (stringify!($section), concat!($($section_doc, "\n"),*)), )* ];
    };
}

/// Whether a running proxy takes a new value of this key.
pub(super) fn is_reloadable(section: &str, name: &str) -> bool {
    match section {
        "cutover" => true,
        "listen" => matches!(name, "tls_cert" | "tls_key"),
        "auth" => matches!(name, "users_file" | "admin_users"),
        "mirror" => matches!(name, "copy_workers" | "quiet_ms" | "rows_per_second"),
        "compare" => matches!(name, "reads" | "sample_ratio"),
        "http" => matches!(name, "token_file" | "read_token_file"),
        "log" => name == "level",
        _ => false,
    }
}

sections! {
    /// Where clients connect.
    listen: Listen {
        /// Addresses to listen on. A path is a Unix socket, or the folder to make one in.
        addr: Addresses = "127.0.0.1:6433",
        /// PEM file with the certificate chain. With tls_key it switches TLS on.
        tls_cert: Option<PathBuf> = "",
        /// PEM file with the certificate's key.
        tls_key: Option<PathBuf> = "",
        /// Sessions at the same time; more are refused with 53300.
        max_sessions: Positive = "1000",
        /// The only database name accepted beside the console's. Unset: every name reaches the pair.
        database: Option<String> = "",
        /// Names by which the console is reached beside `crossfade`: `pgbouncer` for its exporters.
        console: Names = "",
        /// Whether this proxy has no SQLite file and serves the clients of a pair that another
        /// proxy, the one with the file, has promoted. While SQLite is primary they get 57P03.
        front: bool = "false",
        /// Time for TLS, start-up packet and authentication, in milliseconds.
        startup_timeout_ms: Positive = "60000",
        /// Largest message accepted from a client.
        max_message_bytes: Bytes = "256MB",
    }
    /// Who may log in.
    auth: Auth {
        /// scram-sha-256, md5, password or trust; trust only on loopback addresses and Unix sockets.
        method: AuthMethod = "scram-sha-256",
        /// TOML file with a table [users]: name = SCRAM verifier, MD5 hash, or password.
        users_file: Option<PathBuf> = "",
        /// Users who may order on the console; all others may look. Unset: everybody who logs in.
        admin_users: Names = "",
    }
    /// The SQLite side.
    sqlite: Sqlite {
        /// The database file; made when absent.
        path: Option<PathBuf> = "",
        /// Where the file is backed up before anything is written to it. A backup that is there
        /// stays as it is.
        backup: Option<PathBuf> = "",
        /// Connections that read. 0: 8.
        readers: u32 = "0",
        /// When a commit is acknowledged: after its own sync, after a shared one, or before.
        durability: Durability = "group",
        /// Whether foreign keys are enforced, as the file's application expects it. If not, a copy
        /// makes none on PostgreSQL either.
        foreign_keys: bool = "true",
        /// Page cache of each connection.
        cache_bytes: Bytes = "16MB",
        /// How much of the file is mapped into memory; 0 for none.
        mmap_bytes: Bytes = "0",
        /// Where temporary tables and sorts are kept.
        temp_store: TempStore = "memory",
        /// How long to wait for a file that another process holds, in milliseconds.
        busy_timeout_ms: u32 = "5000",
        /// How long a write waits for a transaction that has written and whose client is silent,
        /// in milliseconds; then it gets 55P03. 0: for ever.
        writer_wait_ms: u32 = "30000",
    }
    /// The PostgreSQL side. Without a url the phase is direct.
    postgres: Postgres {
        /// Where the application's data goes, as the application's role.
        url: Option<PostgresUrl> = "",
        /// The same database as another role, for control and replication. Unset: url.
        control_url: Option<PostgresUrl> = "",
        /// How server connections are shared after promote: one for each client, or one for each
        /// transaction.
        pool_mode: PoolMode = "session",
        /// Server connections that clients share with pool_mode = transaction, at most. Clients
        /// that hold what others must not see keep theirs.
        pool_size: Positive = "20",
        /// File with the password, when it is in neither url nor environment.
        password_file: Option<PathBuf> = "",
        /// Schema that holds the tables. Another one than public is refused for now.
        schema: String = "public",
        /// Version reported to clients while no PostgreSQL is attached.
        version: Version = "15",
        /// How the way back learns what PostgreSQL commits after promote: from its log (needs
        /// wal_level = logical, REPLICATION and a free slot), or from triggers that write each
        /// changed row once more. auto: from the log where that is possible.
        way_back: WayBack = "auto",
        /// What PostgreSQL may keep for the way back, log or written rows, at most; then the way
        /// back is closed and taken down.
        way_back_bytes_max: Bytes = "16GB",
    }
    /// Carrying writes to the shadow.
    mirror: Mirror {
        /// Whether writes are mirrored, and whether COMMIT waits for it.
        mode: MirrorMode = "async",
        /// Source transactions in one transaction of the shadow, at most.
        batch_commits_max: Positive = "256",
        /// Size of the journal at which when_full applies.
        journal_bytes_max: Bytes = "1GB",
        /// What happens then: mirroring stops, or writers wait.
        when_full: WhenFull = "degrade",
        /// How long they wait before mirroring stops all the same, in milliseconds; 0 for ever.
        full_wait_ms: u32 = "60000",
        /// Connections that copy at once, tables and stretches of large ones. 0: half the cores, at
        /// most 4.
        copy_workers: u32 = "0",
        /// Rows that copying and verifying read in a second at most, all tables together; 0 for no
        /// limit. A reload takes effect in the middle of a table.
        rows_per_second: u32 = "0",
        /// Copying starts only when no other program has written the file for so long, in
        /// milliseconds; it waits for that ten times as long, and gives up then.
        quiet_ms: u32 = "3000",
    }
    /// Comparing the two sides.
    compare: Compare {
        /// Which reads are compared.
        reads: CompareReads = "sampled",
        /// Share of the reads compared when sampled.
        sample_ratio: Ratio = "0.1",
        /// Results with more rows are not compared.
        row_limit: Positive = "10000",
        /// Time for a comparison on the shadow, in milliseconds.
        timeout_ms: Positive = "5000",
        /// Distance in units of the last place at which floats count as equal.
        float_ulps: u32 = "0",
        /// Whether the effects of writes are compared.
        writes: bool = "on",
        /// Share of the writing transactions whose effects are compared.
        writes_ratio: Ratio = "1",
        /// Tables, or fingerprints of statements, whose writes are carried and not compared.
        writes_skip: Names = "",
        /// Commits that PostgreSQL may be behind while the effects of writes are compared.
        writes_lag_max: u32 = "500",
        /// A statement is `slow` where it takes so many times as long on the shadow: medians of
        /// slow_window comparisons, twice in a row. 0: none is.
        slow_ratio: u32 = "4",
        /// And so many milliseconds longer.
        slow_floor_ms: u32 = "25",
        /// Comparisons that are looked at together.
        slow_window: Positive = "50",
    }
    /// What is kept of divergences.
    divergence: Divergence {
        /// Divergences kept; the oldest closed ones go first.
        keep: Positive = "10000",
        /// What of the values is kept as evidence.
        keep_values: KeepValues = "full",
    }
    /// Limits and gates of promote and rollback.
    cutover: Cutover {
        /// Limit of the precheck, in milliseconds.
        precheck_ms: Positive = "30000",
        /// Limit of throttling writers until the lag is small.
        slow_ms: Positive = "5000",
        /// Limit of waiting for open transactions.
        drain_ms: Positive = "5000",
        /// Whether transactions still open after drain_ms are cancelled (57014).
        drain_cancel: bool = "false",
        /// Limit of ending the application's sessions on PostgreSQL behind the fence (rollback).
        fence_ms: Positive = "3000",
        /// Limit of applying the rest of the journal.
        catch_up_ms: Positive = "5000",
        /// Limit of checking the keys changed last.
        final_check_ms: Positive = "3000",
        /// Limit of the decision.
        decide_ms: Positive = "1000",
        /// Limit of sessions leaving PostgreSQL once nothing of them runs there (rollback).
        route_ms: Positive = "3000",
        /// Longest wait of a client that a rehearsal may show.
        pause_budget_ms: Positive = "2000",
        /// Gate verified: age of the last clean verify, in hours.
        verified_hours: Positive = "24",
        /// Gate lag: largest lag, in milliseconds.
        lag_ms: u32 = "1000",
        /// Gate quiet: hours without a new divergence.
        quiet_hours: u32 = "24",
        /// Gate coverage: share of the calls whose shape has been compared.
        coverage_ratio: Ratio = "0.99",
        /// Gate rehearsal: age of the last rehearsal, in days.
        rehearsal_days: u32 = "7",
    }
    /// Dashboard, API, metrics and probes.
    http: Http {
        /// Address; off loopback only with a token, and only TLS when listen.tls_cert is set.
        addr: Address = "127.0.0.1:9433",
        /// File with the token that requests must carry.
        token_file: Option<PathBuf> = "",
        /// File with a second token, for those who may look and not order.
        read_token_file: Option<PathBuf> = "",
    }
    /// What is called when a group of divergences is new, and when the phase has changed.
    hooks: Hooks {
        /// Command for /bin/sh on a new group of divergences.
        on_divergence: Option<ShellCommand> = "",
        /// Command for /bin/sh on a change of the phase.
        on_phase: Option<ShellCommand> = "",
        /// Where both are sent to as JSON, by POST.
        url: Option<Webhook> = "",
        /// How long a command or a request may take, in milliseconds.
        timeout_ms: Positive = "10000",
    }
    /// The log, on standard error.
    log: Log {
        /// Level, or directives as in `info,crossfade::wire=debug`.
        level: String = "info",
        /// For people or for machines.
        format: LogFormat = "text",
    }
}
