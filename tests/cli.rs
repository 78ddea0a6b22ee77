//! The verbs that are for people: init, env, shell, top, completions, manual pages, hints.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::common::{Pg, Proxy, eventually};

fn crossfade(arguments: &[&str], envs: &[(&str, &str)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(arguments)
        .envs(envs.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn init_writes_a_file_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let name = path.to_str().unwrap();
    let app = folder.path().join("app.db");
    let arguments = ["init", "--output", name, "--sqlite", app.to_str().unwrap()];
    let (code, stdout, stderr) = crossfade(&arguments, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout, format!("wrote {name}\n"));
    assert!(stderr.contains("next: crossfade assess"), "{stderr}");
    let (code, stdout, stderr) = crossfade(&["check", "--config", name], &[]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let before = std::fs::read_to_string(&path).unwrap();
    assert_eq!(crossfade(&["init", "--output", name], &[]).0, 2);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn env_and_shell_lead_to_the_running_proxy() {
    let proxy = Proxy::direct();
    let (code, stdout, _) = proxy.cli(&["env", "--user", "o'neil", "--database", "shop"]);
    assert_eq!(code, 0);
    let url = format!("export DATABASE_URL='postgres://o%27neil@127.0.0.1:{}/shop'", proxy.port);
    assert!(stdout.lines().any(|l| l == url), "{stdout}");
    assert!(stdout.contains("export PGUSER='o'\\''neil'"), "{stdout}");
    proxy.sql("CREATE TABLE t(id integer PRIMARY KEY); INSERT INTO t VALUES (7)");
    let psql = Pg::shared().tool("psql");
    let folder = std::path::Path::new(psql.get_program()).parent().unwrap().to_owned();
    let shell = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_crossfade"))
            .arg("shell")
            .args(more)
            .env("CROSSFADE_ADMIN_URL", proxy.http())
            .env("CROSSFADE_PG_BIN", &folder)
            .env("PGUSER", "app")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), text)
    };
    let (code, stdout, stderr) = shell(&["--", "-XAt", "-c", "SELECT id FROM t"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "7\n"), "{stderr}");
    let (code, stdout, stderr) = shell(&["--admin", "--", "-XAt", "-c", "SHOW PHASE"]);
    assert_eq!((code, stdout.starts_with("direct|")), (Some(0), true), "{stderr}");
    let (code, _, stderr) = shell(&["--postgres", "--", "-XAt", "-c", "SELECT 1"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("no PostgreSQL is attached"), "{stderr}");
    assert_eq!(shell(&["--admin", "--sqlite"]).0, Some(2), "one at a time");
    let (_, stdout, _) = proxy.cli(&["env"]);
    assert!(stdout.contains(&format!("@127.0.0.1:{}/app'", proxy.port)), "{stdout}");
    let named = Proxy::on_new_file(&["--set", "listen.database=shop"]);
    let (_, stdout, _) = named.cli(&["env"]);
    assert!(stdout.contains("export PGDATABASE='shop'"), "{stdout}");
    assert_eq!(named.cli(&["shell", "--", "-XAt", "-c", "SELECT 1"]).0, 0, "the one it asks for");
    assert_eq!(crossfade(&["shell", "--admin-url", "http://127.0.0.1:9"], &[]).0, 3);
}

/// A verb in a folder whose configuration is not valid asks nobody: at the default address there
/// may be another proxy.
#[test]
fn a_configuration_that_is_not_valid_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let verb = |text: &str| {
        std::fs::write(folder.path().join("proxy.toml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_crossfade"))
            .arg("status")
            .current_dir(folder.path())
            .env_remove("CROSSFADE_ADMIN_URL")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, stderr) = verb("[http]\naddr = \"127.0.0.1:9\"\n[sqlite]\npaht = \"x\"\n");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("did you mean \"path\"") && stderr.contains("--admin-url"), "{stderr}");
    let (code, stderr) = verb("[http]\naddr = \"127.0.0.1:0\"\n");
    assert_eq!(code, Some(2), "{stderr}");
    let token = "[http]\naddr = \"127.0.0.1:9\"\ntoken_file = \"there/is/none\"\n";
    let (code, stderr) = verb(token);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("there/is/none") && stderr.contains("CROSSFADE_TOKEN"), "{stderr}");
    assert_eq!(verb("[http]\naddr = \"127.0.0.1:9\"\n").0, Some(3));
}

/// A terminal of its own: what the verb draws is read from one end, keys go in there.
#[test]
fn top_draws_until_q() {
    let proxy = Proxy::direct();
    proxy.sql("SELECT 42 AS answer");
    let size = nix::pty::Winsize { ws_row: 30, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = nix::pty::openpty(Some(&size), None).unwrap();
    let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .arg("top")
        .env("CROSSFADE_ADMIN_URL", proxy.http())
        .env("NO_COLOR", "1")
        .stdin(end(&terminal.slave))
        .stdout(end(&terminal.slave))
        .stderr(end(&terminal.slave))
        .spawn()
        .unwrap();
    let mut screen = std::fs::File::from(terminal.master.try_clone().unwrap());
    let mut drawn = Vec::new();
    eventually("the screen shows phase and statement", || {
        let mut part = [0; 4096];
        let read = screen.read(&mut part).unwrap();
        drawn.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&drawn);
        text.contains("crossfade  direct")
            && text.contains("STATEMENT")
            && text.contains("BACK END")
    });
    std::fs::File::from(terminal.master.try_clone().unwrap()).write_all(b"q").unwrap();
    // What is left is read, so that the verb can end.
    std::thread::spawn(move || while screen.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {});
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn completions_and_manual_pages_name_every_verb() {
    let (code, script, _) = crossfade(&["completions", "bash"], &[]);
    assert_eq!(code, 0);
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    let (code, ..) = crossfade(&["man", pages.to_str().unwrap()], &[]);
    assert_eq!(code, 0);
    let command = <crossfade::cli::Cli as clap::CommandFactory>::command();
    for verb in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        let name = verb.get_name();
        assert!(script.contains(name), "{name}");
        let page = std::fs::read_to_string(pages.join(format!("crossfade-{name}.1")));
        assert!(page.is_ok_and(|p| p.contains(".TH")), "{name}");
    }
    assert!(crossfade(&["man"], &[]).1.contains(".TH crossfade"));
}

#[test]
fn every_answer_says_what_is_next() {
    let proxy = Proxy::direct();
    let (code, stdout, stderr) = proxy.cli(&["pause"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("new statements wait") && stderr.contains("next: "), "{stderr}");
    assert!(!format!("{stdout}{stderr}").contains('\x1b'), "no colours but for a terminal");
    proxy.cli(&["resume"]);
    let (_, stdout, _) = proxy.cli(&["status"]);
    assert!(stdout.contains("next:"), "{stdout}");
}
