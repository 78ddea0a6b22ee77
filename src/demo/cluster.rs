//! A throw-away PostgreSQL server for the demo and the tests.
//!
//! Runs `initdb` in a temporary folder and the server on a free loopback port, as a
//! non-root user even when started by root, and ends both when dropped, or when this
//! process dies in whatever way: the server is held by a shell that waits on a pipe.
//! It must never touch an existing cluster. Start at [`Cluster::start`].

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running server with its data folder.
pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    holder: Option<Child>,
}

/// Keeps the server up while its standard input is open, then stops it fast.
const HOLDER: &str = "\"$0\" -D \"$1\" -p \"$2\" </dev/null >>\"$1/server.log\" 2>&1 & pid=$!; \
     read -r how; [ \"$how\" = immediate ] && kill -QUIT $pid || kill -INT $pid; wait $pid";

const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nwal_level = logical\n\
     max_wal_senders = 60\nmax_replication_slots = 400\nmax_connections = 100\n\
     shared_buffers = 128MB\nlog_min_messages = warning\nwal_sender_timeout = 30s\n";

impl Cluster {
    /// Makes a cluster and starts it: superuser `postgres` without a password, encoding UTF8,
    /// collation C, `wal_level = logical`, durable settings left on.
    pub fn start() -> io::Result<Self> {
        Self::start_with("")
    }

    /// Like [`Cluster::start`] with further lines of postgresql.conf.
    pub fn start_with(settings: &str) -> io::Result<Self> {
        let bin = find_bin()?;
        let user = unprivileged_user()?;
        let folder = fresh_folder(user)?;
        let mut cluster = Self { bin, folder, port: free_port()?, user, holder: None };
        cluster.initdb()?;
        fs::OpenOptions::new()
            .append(true)
            .open(cluster.data().join("postgresql.conf"))?
            .write_all(
                format!(
                    "{SETTINGS}unix_socket_directories = '{}'\n{settings}\n",
                    cluster.folder.display()
                )
                .as_bytes(),
            )?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connection URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Folder of the server's programs (`psql`, `pgbench` … may be there).
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("server.log")).unwrap_or_default()
    }

    /// Runs SQL through `psql` in a database; the output, unaligned, tuples only.
    pub fn psql(&self, database: &str, sql: &str) -> io::Result<String> {
        let output = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database)])
            .args(["-c", sql])
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(io::Error::other(format!("psql: {text}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Creates an empty database.
    pub fn create_database(&self, name: &str) -> io::Result<()> {
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE template0")).map(drop)
    }

    /// Starts the server again after a stop, on the same port.
    pub fn resume(&mut self) -> io::Result<()> {
        let mut command = self.command("/bin/sh");
        command
            .args(["-c", HOLDER])
            .arg(self.bin.join("postgres"))
            .arg(self.data())
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Its own process group: Ctrl-C on the terminal reaches the holder through the pipe only.
        command.process_group(0);
        self.holder = Some(command.spawn()?);
        self.wait_ready()
    }

    /// Stops the server: `immediate` as after a crash of the machine, otherwise fast.
    pub fn stop(&mut self, immediate: bool) -> io::Result<()> {
        let Some(mut holder) = self.holder.take() else { return Ok(()) };
        if let Some(mut pipe) = holder.stdin.take() {
            // The holder may be gone already; then there is nothing left to stop.
            let _ = pipe.write_all(if immediate { b"immediate\n" } else { b"fast\n" });
        }
        holder.wait().map(drop)
    }

    fn initdb(&self) -> io::Result<()> {
        let output = self
            .command(self.bin.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(self.data())
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("initdb: {}", String::from_utf8_lossy(&output.stderr))))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C").env_remove("PGDATA");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn wait_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if accepts_connections(self.port) {
                return Ok(());
            }
            let ended = self.holder.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other(format!("PostgreSQL did not start: {}", self.log())))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to the system's temporary-file cleaner.
        let _ = self.stop(true);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether a server on the port answers a start-up message with anything but "starting up".
fn accepts_connections(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let startup = b"\0\0\0\x28\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let mut message = startup.to_vec();
    let length = u32::try_from(message.len()).expect("invariant: a short constant").to_be_bytes();
    message[..4].copy_from_slice(&length);
    let mut first = [0u8; 1];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.write_all(&message).is_ok()
        && stream.read_exact(&mut first).is_ok()
        && first[0] == b'R'
}

/// A port nobody listens on now; another process may still take it, then the start fails.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn fresh_folder(user: Option<(u32, u32)>) -> io::Result<PathBuf> {
    let base = std::env::temp_dir();
    for attempt in 0..1000 {
        let folder = base.join(format!("crossfade-pg-{}-{attempt}", std::process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => {
                if let Some((uid, gid)) = user {
                    chown(&folder, Some(uid), Some(gid))?;
                }
                return Ok(folder);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no free name for a temporary folder"))
}

/// The user to run the server as when we are root (initdb refuses root): `postgres`, else
/// `nobody`.
fn unprivileged_user() -> io::Result<Option<(u32, u32)>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "_postgres", "nobody"] {
        if let Ok(Some(user)) = nix::unistd::User::from_name(name) {
            return Ok(Some((user.uid.as_raw(), user.gid.as_raw())));
        }
    }
    Err(io::Error::other("PostgreSQL refuses to run as root and there is no user to run it as"))
}

/// Folder with `initdb` and `postgres`: `CROSSFADE_PG_BIN`, `pg_config --bindir`, the versioned
/// folders of Debian, Fedora, Homebrew and Postgres.app, highest version first.
pub fn find_bin() -> io::Result<PathBuf> {
    let from_env = std::env::var_os("CROSSFADE_PG_BIN").map(PathBuf::from);
    let from_config = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim()));
    let mut found: Vec<PathBuf> = from_env.into_iter().chain(from_config).collect();
    for (parent, tail) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/pgsql", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ] {
        found.extend(versioned(Path::new(parent), tail));
    }
    found.extend([PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")]);
    found
        .into_iter()
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .ok_or_else(|| {
            io::Error::other(
                "no PostgreSQL server programs found; run scripts/bootstrap, or set \
                 CROSSFADE_PG_BIN to the folder that holds initdb and postgres",
            )
        })
}

fn versioned(parent: &Path, tail: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let version =
        |name: &str| -> u32 { name.trim_start_matches("postgresql@").parse().unwrap_or_default() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|e| Some((version(e.file_name().to_str()?), e.path().join(tail))))
        .filter(|(v, _)| *v > 0)
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}
