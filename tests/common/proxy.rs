//! The real binary, run on a SQLite file, with its output at hand.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::Pg;

/// A running `crossfade run`; killed when dropped.
pub struct Proxy {
    child: Child,
    pub port: u16,
    pub http_port: Option<u16>,
    pub file: PathBuf,
    arguments: Vec<String>,
    envs: Vec<(String, String)>,
    log: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

/// The binary under test: this build's, or the one that `CROSSFADE_TEST_BINARY` names (for runs
/// of hours beside which something else is built).
pub fn binary() -> std::ffi::OsString {
    let built = || env!("CARGO_BIN_EXE_crossfade").into();
    std::env::var_os("CROSSFADE_TEST_BINARY").unwrap_or_else(built)
}

impl Proxy {
    /// Runs on a new file in a temporary folder, phase direct.
    pub fn direct() -> Self {
        Self::on_new_file(&[])
    }

    /// Runs on a new file with further arguments.
    pub fn on_new_file(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("app.db");
        let mut proxy = Self::on_file(&file, arguments);
        proxy._folder = Some(folder);
        proxy
    }

    /// Runs on the given file with further arguments.
    pub fn on_file(file: &Path, arguments: &[&str]) -> Self {
        Self::on_file_with(file, arguments, &[])
    }

    /// Runs on the given file with further arguments and environment variables.
    pub fn on_file_with(file: &Path, arguments: &[&str], envs: &[(&str, &str)]) -> Self {
        let mut all: Vec<String> = ["run", "--auth", "trust", "--sqlite"].map(str::to_owned).into();
        all.push(file.to_str().expect("a UTF-8 path").to_owned());
        all.extend(arguments.iter().map(|a| (*a).to_owned()));
        if !arguments.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
        }
        if !arguments.contains(&"--http") {
            all.extend(["--http", "127.0.0.1:0"].map(str::to_owned));
        }
        let envs: Vec<_> = envs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let log = file.with_extension("log");
        let (child, port, http_port) = spawn(&all, &envs, &log).unwrap_or_else(|e| {
            panic!("{e}\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        Self {
            child,
            port,
            http_port,
            file: file.to_owned(),
            arguments: all,
            envs,
            log,
            _folder: None,
        }
    }

    /// A front for a PostgreSQL: a proxy without a file; its configuration and log are in `folder`.
    pub fn front(folder: &Path, url: &str, envs: &[(&str, &str)]) -> Self {
        let envs: Vec<_> = envs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config = folder.join("front.toml");
        let text = format!("[listen]\nfront = true\n[postgres]\nurl = \"{url}\"\n");
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().expect("a UTF-8 path");
        let all = ["run", "--auth", "trust", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let all: Vec<String> =
            all.iter().chain(&["--config", config]).map(|a| (*a).to_owned()).collect();
        let log = folder.join(format!("front-{}.log", std::process::id()));
        let (child, port, http_port) = spawn(&all, &envs, &log).unwrap_or_else(|e| {
            panic!("{e}\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        let file = folder.join("none");
        Self { child, port, http_port, file, arguments: all, envs, log, _folder: None }
    }

    /// What the proxy has written to stderr so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// kill -9, as a crash would end it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// kill -9 while others use the proxy; the end is not waited for.
    pub fn signal_kill(&self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let signal = nix::sys::signal::Signal::SIGKILL;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("kill");
    }

    /// SIGTERM, then waits for the end and returns the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).ok()?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok()?;
        self.child.wait().ok()?.code()
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the process has ended by itself; false after half a minute.
    pub fn ended(&mut self) -> bool {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while self.is_running() {
            if std::time::Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// The failpoint at which the process has just stopped, told once; see `crossfade::failpoint`.
    pub fn stands(&self) -> Option<String> {
        use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

        let flags = WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG;
        let Ok(WaitStatus::Stopped(..)) = waitpid(self.process(), Some(flags)) else { return None };
        let log = self.log();
        let (_, last) = log.rsplit_once(crossfade::failpoint::STANDING).expect("it says where");
        last.lines().next().map(str::to_owned)
    }

    /// Lets a process go on that stands at a failpoint.
    pub fn go_on(&self) {
        nix::sys::signal::kill(self.process(), nix::sys::signal::Signal::SIGCONT).unwrap();
    }

    fn process(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts again on the same file after [`Proxy::kill`], without extra environment.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// Starts again on the same file after [`Proxy::kill`] with these environment variables
    /// instead of the earlier ones.
    pub fn restart_with(&mut self, envs: &[(&str, &str)]) {
        self.kill();
        self.envs = envs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (child, port, http_port) = spawn(&self.arguments, &self.envs, &self.log)
            .unwrap_or_else(|e| panic!("{e}\n{}", self.log()));
        self.child = child;
        self.port = port;
        self.http_port = http_port;
    }

    /// Connection URL for clients.
    pub fn url(&self) -> String {
        format!("postgres://app@127.0.0.1:{}/app", self.port)
    }

    /// Base URL of the HTTP interface.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port.expect("the HTTP interface is on"))
    }

    /// Runs psql; returns (exit code, stdout, stderr). Unaligned, tuples only.
    pub fn psql(&self, sql: &str) -> (i32, String, String) {
        self.psql_with(&["-A", "-t", "-q"], sql)
    }

    /// Runs psql with the given flags.
    pub fn psql_with(&self, flags: &[&str], sql: &str) -> (i32, String, String) {
        let output = Pg::shared()
            .tool("psql")
            .args(["-X", "-d", &self.url()])
            .args(flags)
            .args(["-c", sql])
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
            String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        )
    }

    /// Runs psql and expects success; returns stdout.
    pub fn sql(&self, sql: &str) -> String {
        let (code, stdout, stderr) = self.psql(sql);
        assert_eq!(code, 0, "psql failed on {sql}: {stderr}\nproxy log: {}", self.log());
        stdout
    }

    /// Runs a verb of the command line against this proxy; (exit code, stdout, stderr).
    pub fn cli(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(binary())
            .args(arguments)
            .env("CROSSFADE_ADMIN_URL", self.http())
            .stdin(Stdio::null())
            .output()
            .expect("crossfade runs");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the binary without any inherited configuration; (exit code, stdout, stderr).
pub fn crossfade(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary())
        .args(arguments)
        .env_remove("DATABASE_URL")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .expect("crossfade runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn spawn(
    arguments: &[String],
    envs: &[(String, String)],
    log: &Path,
) -> Result<(Child, u16, Option<u16>), String> {
    let stderr = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|e| e.to_string())?;
    let mut child = Command::new(binary())
        .args(arguments)
        .envs(envs.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(|e| e.to_string())?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                // Keep draining: the proxy must never block on a full pipe.
            }
        }
    });
    let mut port = None;
    let mut http = None;
    while let Ok(line) = lines.recv_timeout(Duration::from_secs(60)) {
        let Some(at) = line.find("listening on ") else { continue };
        let number = line[at..].rsplit(':').next().and_then(|p| {
            p.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u16>().ok()
        });
        if line.to_ascii_lowercase().contains("http") {
            http = number;
        } else {
            port = number;
        }
        let wants_http = !arguments.iter().any(|a| a == "off");
        if port.is_some() && (http.is_some() || !wants_http) {
            break;
        }
    }
    match port {
        Some(port) => Ok((child, port, http)),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Err("the proxy printed no listening address within a minute".to_owned())
        }
    }
}
