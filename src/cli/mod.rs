//! The command line: one verb per file, rendering apart.
//!
//! Owns flags, texts and exit codes of the public contract. Verbs talk to the running proxy
//! over HTTP and never touch a back end. stdout is data, stderr is talk. Start at [`Cli`].

mod assess;
pub(crate) mod client;
mod closing;
mod divergences;
mod django;
mod env;
mod init;
mod interrupt;
mod load;
mod order;
pub(crate) mod out;
mod paint;
mod render;
mod shell;
mod top;
mod verbs;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use assess::{AssessArgs, html as assess_html, text as assess_text};
pub use load::load;
pub use order::confirmed;
pub use render::table;

/// Exit codes of the contract.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Ran, and the answer is no.
    pub const NO: u8 = 1;
    /// Usage or configuration.
    pub const USAGE: u8 = 2;
    /// Proxy or back end unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Refused by a gate.
    pub const REFUSED: u8 = 4;
    /// A switch was attempted and undone.
    pub const UNDONE: u8 = 5;
    /// A fault of Crossfade.
    pub const BUG: u8 = 70;
    /// Interrupted.
    pub const INTERRUPTED: u8 = 130;
}

/// Move a live application from SQLite to PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "crossfade", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a commented proxy.toml
    Init(InitArgs),
    /// Serve: answer from SQLite (or PostgreSQL after promote), mirror, compare
    Run(RunArgs),
    /// Check the configuration and both back ends
    Check(RunArgs),
    /// What stands between a SQLite file and PostgreSQL: findings, types, DDL, a grade
    Assess(AssessArgs),
    /// Copy every table into PostgreSQL while traffic runs, then mirror
    Backfill(OrderArgs),
    /// How it stands
    Status(StatusArgs),
    /// Watch it live: traffic, latency, lag, comparisons, gates; q ends it
    Top(TopArgs),
    /// The conditions for promote, failing first
    Gates(AdminArgs),
    /// Divergences: list, show, accept, export, replay
    Divergences(DivergenceArgs),
    /// Prove that both sides hold the same rows
    Verify(OrderArgs),
    /// Write the primary's rows where the shadow differs
    Repair(OrderArgs),
    /// Make PostgreSQL primary
    Promote(OrderArgs),
    /// Make SQLite primary again
    Rollback(OrderArgs),
    /// Hold new statements
    Pause(OrderArgs),
    /// Let them go on
    Resume(OrderArgs),
    /// End the way back: PostgreSQL alone
    Complete(CompleteArgs),
    /// Show what a statement becomes on the other back end
    Translate(TranslateArgs),
    /// Open psql on the running proxy, its console or PostgreSQL, or sqlite3 on the file
    Shell(ShellArgs),
    /// Print the variables that point an application at the running proxy
    Env(EnvArgs),
    /// Play the whole journey on an embedded sample application
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder, or the main one to stdout
    #[command(hide = true)]
    Man {
        /// Folder, made when absent
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Print the version
    Version {
        /// Print data as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Flags of `run` and `check`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Configuration file (default: proxy.toml in the current folder, when there is one)
    #[arg(long, env = "CROSSFADE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The application's SQLite file; created when absent
    #[arg(long, value_name = "FILE")]
    pub sqlite: Option<String>,
    /// PostgreSQL to mirror to
    #[arg(long, value_name = "URL", hide_env_values = true)]
    pub postgres: Option<String>,
    /// Address for applications; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Address of the HTTP interface
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// scram-sha-256, or trust (loopback only)
    #[arg(long, value_name = "METHOD")]
    pub auth: Option<String>,
    /// Back the SQLite file up into this file before anything is written to it
    #[arg(long, value_name = "FILE")]
    pub backup: Option<String>,
    /// Log level
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Any other configuration key
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Print data as JSON (check)
    #[arg(long)]
    pub json: bool,
}

/// Flags of `complete`.
#[derive(Clone, Debug, Args)]
pub struct CompleteArgs {
    /// The order.
    #[command(flatten)]
    pub order: OrderArgs,
    /// With the proxy stopped after it: make this SQLite file a plain one again
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["overrides", "tables", "resume", "rehearse", "divergence"]
    )]
    pub clean: Option<PathBuf>,
}

/// Where the running proxy is.
#[derive(Clone, Debug, Args)]
pub struct AdminArgs {
    /// HTTP address of the running proxy
    #[arg(long, env = "CROSSFADE_ADMIN_URL", value_name = "URL", global = true)]
    pub admin_url: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// Flags of the verbs that order something.
#[derive(Clone, Debug, Args)]
pub struct OrderArgs {
    /// Where the proxy is.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Do every read-only step, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Pass this gate although it does not hold (repeatable)
    #[arg(long = "override", value_name = "GATE")]
    pub overrides: Vec<String>,
    /// Only these tables
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// Keep what a finished copy has (backfill; one that was not finished is gone on with anyway)
    #[arg(long)]
    pub resume: bool,
    /// Promote and roll back at once, on live traffic, and say how long clients waited (promote)
    #[arg(long)]
    pub rehearse: bool,
    /// A divergence to repair
    #[arg(value_name = "ID")]
    pub divergence: Option<String>,
}

/// Flags of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Where the proxy is.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Show again every second
    #[arg(long)]
    pub watch: bool,
}

/// Flags of `top`.
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// HTTP address of the running proxy
    #[arg(long, env = "CROSSFADE_ADMIN_URL", value_name = "URL")]
    pub admin_url: Option<String>,
}

/// Flags of `init`.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The application's SQLite file
    #[arg(long, value_name = "FILE")]
    pub sqlite: Option<String>,
    /// PostgreSQL to mirror to; a password in it is left out of the file
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Django settings module to take both from, as DJANGO_SETTINGS_MODULE names it: it is read by
    /// running Python in this folder
    #[arg(long, value_name = "MODULE", conflicts_with_all = ["sqlite", "postgres"])]
    pub django: Option<String>,
    /// Python that has the application's libraries
    #[arg(long, value_name = "PROGRAM", default_value = "python3", requires = "django")]
    pub python: PathBuf,
    /// File to write; never one that is there
    #[arg(long, value_name = "FILE", default_value = "proxy.toml")]
    pub output: PathBuf,
    /// Print data as JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `shell`.
#[derive(Clone, Debug, Args)]
pub struct ShellArgs {
    /// HTTP address of the running proxy
    #[arg(long, env = "CROSSFADE_ADMIN_URL", value_name = "URL")]
    pub admin_url: Option<String>,
    /// The console: SHOW STATUS, PROMOTE …
    #[arg(long, group = "where")]
    pub admin: bool,
    /// The SQLite file, read-only, with sqlite3
    #[arg(long, group = "where")]
    pub sqlite: bool,
    /// PostgreSQL itself, beside the proxy
    #[arg(long, group = "where")]
    pub postgres: bool,
    /// User (default: the user running this)
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Arguments for psql or sqlite3, after --
    #[arg(last = true, value_name = "ARGUMENT")]
    pub rest: Vec<String>,
}

/// Flags of `env`.
#[derive(Clone, Debug, Args)]
pub struct EnvArgs {
    /// Where the proxy is.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// User of the application
    #[arg(long, value_name = "NAME", default_value = "app")]
    pub user: String,
    /// Database name; the one of listen.database, else app
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// The settings of a library instead: its pool, its TLS, what must outlive the switch
    #[arg(long = "for", value_name = "LIBRARY", value_enum)]
    pub library: Option<env::Library>,
}

/// Flags of `divergences`.
#[derive(Clone, Debug, Args)]
pub struct DivergenceArgs {
    /// Where the proxy is.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// What to do with them.
    #[command(subcommand)]
    pub action: Option<DivergenceAction>,
}

/// Actions on divergences.
#[derive(Clone, Debug, Subcommand)]
pub enum DivergenceAction {
    /// List the groups
    List,
    /// Show one with its samples
    Show {
        /// d1, d2 …
        id: String,
    },
    /// Accept one, with a reason
    Accept {
        /// d1, d2 …
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Who (default: the user running this)
        #[arg(long)]
        owner: Option<String>,
        /// Date after which it opens again
        #[arg(long, value_name = "YYYY-MM-DD")]
        expires: Option<String>,
    },
    /// Print every group with samples as JSON lines
    Export,
    /// Print a script that shows one with psql and sqlite3
    Replay {
        /// d1, d2 …
        id: String,
    },
}

/// Flags of `translate`.
#[derive(Clone, Debug, Args)]
pub struct TranslateArgs {
    /// Back end to translate for
    #[arg(long, value_name = "postgres|sqlite", default_value = "sqlite")]
    pub to: String,
    /// The SQLite file whose tables the statement names
    #[arg(long, value_name = "FILE")]
    pub sqlite: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long)]
    pub json: bool,
    /// The statement
    pub sql: String,
}

/// Flags of `demo`.
#[derive(Clone, Debug, Default, Args)]
pub struct DemoArgs {
    /// Smaller figures: the whole journey in under a minute
    #[arg(long)]
    pub fast: bool,
    /// Leave everything running at the end
    #[arg(long)]
    pub keep: bool,
    /// Only start the throw-away PostgreSQL and print its URL (scripts/bench)
    #[arg(long, hide = true)]
    pub cluster_only: bool,
}

/// Runs a verb that talks to a running proxy, or to nobody.
pub fn execute(verb: &Verb) -> ExitCode {
    ExitCode::from(verbs::execute(verb))
}
