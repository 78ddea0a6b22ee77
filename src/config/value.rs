//! The kinds of values a setting can have, read from text.
//!
//! Owns [`Value`] and the small types of settings. It must never do I/O: a host name is
//! not resolved here, a path not opened. Start at [`Value`].

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::ambient::{is_sqlite, sqlite_path};

/// A type that a setting can have.
pub trait Value: Sized + Clone {
    /// What is accepted, in words, for the documentation and for errors.
    const KIND: &'static str;
    /// Whether the file may hold an array of strings.
    const LIST: bool = false;

    /// Reads the value; the error says what is wrong without repeating a secret.
    ///
    /// # Errors
    /// A phrase that follows "is not valid: ".
    fn parse(text: &str) -> Result<Self, String>;

    /// The value for people, with secrets left out.
    fn show(&self) -> String;
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const LIST: bool = T::LIST;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, Value::show)
    }
}

impl Value for String {
    const KIND: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, String> {
        // What SQLAlchemy and others call a file's URL; three slashes are a relative path.
        match is_sqlite(text) {
            true => Ok(sqlite_path(text).0),
            false => Ok(Self::from(text)),
        }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for bool {
    const KIND: &'static str = "true or false";

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err("expected true or false".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_numbers {
    ($($ty:ty),*) => { $(
        impl Value for $ty {
            const KIND: &'static str = "a whole number";

            fn parse(text: &str) -> Result<Self, String> {
                let digits = text.replace('_', "");
                digits.parse().map_err(|_| format!("expected a whole number up to {}", Self::MAX))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}

whole_numbers!(u32, u64);

/// A whole number of at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positive(u32);

impl Positive {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Value for Positive {
    const KIND: &'static str = "a whole number above 0";

    fn parse(text: &str) -> Result<Self, String> {
        match u32::parse(text)? {
            0 => Err("must be above 0".to_owned()),
            n => Ok(Self(n)),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Value for Ratio {
    const KIND: &'static str = "a number from 0 to 1";

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(n) if (0.0..=1.0).contains(&n) => Ok(Self(n)),
            _ => Err("expected a number from 0 to 1".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(u64);

impl Bytes {
    /// The number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Value for Bytes {
    const KIND: &'static str = "bytes, or a number with kB, MB or GB (powers of 1024)";

    fn parse(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number = u64::parse(number)?;
        let shift = match unit.trim() {
            "" | "B" => 0,
            "kB" | "KB" | "KiB" => 10,
            "MB" | "MiB" => 20,
            "GB" | "GiB" => 30,
            other => return Err(format!("unknown unit \"{other}\"; expected kB, MB or GB")),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| "too large".to_owned())
    }

    fn show(&self) -> String {
        for (shift, unit) in [(30, "GB"), (20, "MB"), (10, "kB")] {
            if self.0 > 0 && self.0.is_multiple_of(1 << shift) {
                return format!("{}{unit}", self.0 >> shift);
            }
        }
        self.0.to_string()
    }
}

/// A PostgreSQL version to report, such as `15` or `15.4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    major: u32,
    minor: u32,
}

impl Version {
    /// As given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `server_version_num`: 150004 for 15.4.
    pub fn number(&self) -> u32 {
        self.major * 10_000 + self.minor
    }
}

impl Value for Version {
    const KIND: &'static str = "a PostgreSQL version from 12 to 18";

    fn parse(text: &str) -> Result<Self, String> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        match (major.parse(), minor.parse()) {
            (Ok(major @ 12..=18), Ok(minor @ 0..=9_999)) => {
                Ok(Self { text: text.to_owned(), major, minor })
            }
            _ => Err("expected a version from 12 to 18, such as 15 or 15.4".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.text.clone()
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host (name or IP address, not resolved yet) and a port; port 0 picks a free one.
    Tcp {
        /// Host without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket: the socket file itself, or the folder to make `.s.PGSQL.<port>` in.
    Unix(PathBuf),
}

impl Address {
    /// Whether only this machine can reach the address. Names other than `localhost` are
    /// taken for reachable.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => is_loopback(host),
        }
    }

    /// The port, for TCP.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port, .. } => Some(*port),
            Self::Unix(_) => None,
        }
    }

    /// The socket file of a Unix address, given the port that names it in a folder.
    pub fn socket_file(&self, port: u16) -> Option<PathBuf> {
        let Self::Unix(path) = self else { return None };
        let named = path.file_name().is_some_and(|n| n.to_string_lossy().contains(".s.PGSQL."));
        let sock = path.extension().is_some_and(|e| e == "sock");
        let file = if named || sock { path.clone() } else { path.join(format!(".s.PGSQL.{port}")) };
        Some(file)
    }
}

/// Whether a host given in text is this machine's loopback.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Value for Address {
    const KIND: &'static str = "host:port";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let wrong = || "expected host:port or a path that starts with /".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => {
                return Err("put an IPv6 address in brackets, as in [::1]:6433".to_owned());
            }
            None => host,
        };
        let host = if host == "*" { "0.0.0.0" } else { host };
        if host.is_empty() {
            return Err(wrong());
        }
        let port = port.parse().map_err(|_| "the port must be from 0 to 65535".to_owned())?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// One or more addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(pub Vec<Address>);

impl Addresses {
    /// The port that names Unix sockets: that of the first TCP address, else 6433.
    pub fn port(&self) -> u16 {
        self.0.iter().find_map(Address::port).unwrap_or(6433)
    }
}

impl Value for Addresses {
    const KIND: &'static str = "host:port or the path of a Unix socket, or a list of them";
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let list = text.split(',').map(Address::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(list))
    }

    fn show(&self) -> String {
        self.0.iter().map(Address::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Names between commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Value for Names {
    const KIND: &'static str = "a name, or a list of them";
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|n| !n.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }

    fn show(&self) -> String {
        self.0.join(",")
    }
}

/// An address that something is sent to. Its path may be a secret, and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook(String);

impl Webhook {
    /// The whole address.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

impl Value for Webhook {
    const KIND: &'static str = "https://host/path";

    fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(Self(text.to_owned())),
            _ => Err("expected an address that starts with https:// or http://".to_owned()),
        }
    }

    fn show(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        let host = authority.rsplit('@').next().unwrap_or("");
        format!("{scheme}://{host}/…")
    }
}

/// A command for a shell. What is behind its program may hold a secret, and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ShellCommand(String);

impl ShellCommand {
    /// All of it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ShellCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

impl Value for ShellCommand {
    const KIND: &'static str = "a command";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        let text = self.0.trim();
        let program = text.split_whitespace().next().unwrap_or("");
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        match program {
            program if program == text && program.chars().all(plain) => program.to_owned(),
            program if program.chars().all(plain) => format!("{program} …"),
            // An assignment, or a quoted word.
            _ => "…".to_owned(),
        }
    }
}

/// Defines an enum whose variants are words in the configuration.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$vmeta:meta])* $variant:ident = $word:literal,)*
    } $kind:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// The word in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl Value for $name {
            const KIND: &'static str = $kind;

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => {
                        let words = [$($word),*];
                        let near = super::did_you_mean(text, words.into_iter());
                        Err(format!("expected {}{near}", Self::KIND))
                    }
                }
            }

            fn show(&self) -> String {
                self.as_str().to_owned()
            }
        }
    };
}

choice! {
    /// How clients prove who they are.
    AuthMethod {
        /// SCRAM-SHA-256.
        ScramSha256 = "scram-sha-256",
        /// MD5; SCRAM for users of whom only its verifier is known.
        Md5 = "md5",
        /// The password in clear, on encrypted or local connections.
        Password = "password",
        /// Nobody is asked.
        Trust = "trust",
    } "scram-sha-256, md5, password or trust"
}

choice! {
    /// When a commit counts as durable.
    Durability {
        /// One sync for each commit.
        Full = "full",
        /// One sync for a group of commits, before any is acknowledged.
        Group = "group",
        /// No sync at commit: a power failure may lose the last commits.
        Normal = "normal",
    } "full, group or normal"
}

choice! {
    /// Where SQLite keeps temporary tables and sorts.
    TempStore {
        /// In memory.
        Memory = "memory",
        /// In files.
        File = "file",
    } "memory or file"
}

choice! {
    /// How server connections are shared after promote.
    PoolMode {
        /// One for each client.
        Session = "session",
        /// One for each transaction.
        Transaction = "transaction",
    } "session or transaction"
}

choice! {
    /// How the way back learns what PostgreSQL commits.
    WayBack {
        /// By logical decoding where PostgreSQL allows it, else by row triggers.
        Auto = "auto",
        /// By logical decoding only.
        Decoding = "decoding",
        /// By row triggers only.
        Triggers = "triggers",
    } "auto, decoding or triggers"
}

choice! {
    /// Whether and how writes are carried to the shadow.
    MirrorMode {
        /// Not at all.
        Off = "off",
        /// Behind the client's back.
        Async = "async",
        /// COMMIT waits for the shadow.
        Sync = "sync",
    } "off, async or sync"
}

choice! {
    /// What happens when the journal reaches its limit.
    WhenFull {
        /// Mirroring stops; a new backfill is needed.
        Degrade = "degrade",
        /// Writers wait.
        Backpressure = "backpressure",
    } "degrade or backpressure"
}

choice! {
    /// Which reads are compared.
    CompareReads {
        /// None.
        Off = "off",
        /// A share of them.
        Sampled = "sampled",
        /// Every one.
        All = "all",
    } "off, sampled or all"
}

choice! {
    /// What of a differing value is kept as evidence.
    KeepValues {
        /// The value.
        Full = "full",
        /// Its hash.
        Hashed = "hashed",
        /// Nothing.
        None = "none",
    } "full, hashed or none"
}

choice! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// JSON lines.
        Json = "json",
    } "text or json"
}

choice! {
    /// How TLS towards PostgreSQL is used, as in libpq.
    SslMode {
        /// Never.
        Disable = "disable",
        /// Only when refused otherwise.
        Allow = "allow",
        /// When the server offers it.
        Prefer = "prefer",
        /// Always; the certificate is not checked unless a root is given.
        Require = "require",
        /// Always; the certificate must be signed by a trusted root.
        VerifyCa = "verify-ca",
        /// Always; and it must name the host.
        VerifyFull = "verify-full",
    } "disable, allow, prefer, require, verify-ca or verify-full"
}
