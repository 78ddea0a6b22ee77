//! Hooks: what a command and a request get, and that nothing waits for them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use crate::common::{Journey, Pg, eventually};

fn shop(file: &Path) {
    rusqlite::Connection::open(file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'x')",
        )
        .unwrap();
}

/// A server that takes requests, one after the other; their bodies.
fn webhook() -> (String, std::sync::mpsc::Receiver<Value>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/services/t0ken", listener.local_addr().unwrap());
    let (send, bodies) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            reader.get_mut().write_all(answer).unwrap();
            if send.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, bodies)
}

#[test]
fn a_command_and_a_request_learn_of_phases_and_divergences() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    shop(&file);
    let out = folder.path().display();
    // Written beside and renamed: what is there is whole.
    let on_phase = format!(
        "env > {out}/new; mv {out}/new {out}/phase.$CROSSFADE_PHASE_BEFORE.$CROSSFADE_PHASE"
    );
    let on_divergence = format!("env > {out}/new; mv {out}/new {out}/$CROSSFADE_DIVERGENCE");
    let (url, bodies) = webhook();
    let journey = Journey::start(
        &file,
        Pg::shared(),
        &[
            ("CROSSFADE_HOOKS_ON_PHASE", &on_phase),
            ("CROSSFADE_HOOKS_ON_DIVERGENCE", &on_divergence),
            ("CROSSFADE_HOOKS_URL", &url),
            ("PGPASSWORD", "s3cret"),
        ],
    );
    journey.mirror();
    journey.level();
    Pg::shared().cluster.psql(&journey.database, "UPDATE t SET v = 'y'").unwrap();
    assert_eq!(journey.order(&["verify"]).0, 1);
    eventually("the divergence is told", || folder.path().join("d1").exists());
    let told = std::fs::read_to_string(folder.path().join("d1")).unwrap();
    let admin = format!("CROSSFADE_ADMIN_URL={}", journey.proxy.http());
    for line in [
        "CROSSFADE_EVENT=divergence",
        "CROSSFADE_PHASE=mirroring",
        "CROSSFADE_DIVERGENCE=d1",
        "CROSSFADE_CLASS=verify_value",
        "CROSSFADE_SEVERITY=data",
        "CROSSFADE_TABLE=t",
        &admin,
    ] {
        assert!(told.lines().any(|l| l == line), "{line} is not in\n{told}");
    }
    assert!(!told.contains("s3cret") && !told.contains("HOOKS"), "{told}");
    let phase = |name: &str| std::fs::read_to_string(folder.path().join(name));
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let mirroring = names.iter().filter_map(|n| n.to_str()).find(|n| n.ends_with(".mirroring"));
    let text = phase(mirroring.expect("the phase was told")).unwrap();
    assert!(text.contains("CROSSFADE_EVENT=phase"), "{text}");
    let mut got = Vec::new();
    while !got.iter().any(|b: &Value| b["divergence"] == json!("d1")) {
        got.push(bodies.recv_timeout(std::time::Duration::from_secs(60)).expect("a request"));
    }
    let last = got.last().unwrap();
    assert_eq!(
        (&last["event"], &last["class"], &last["table"]),
        (&json!("divergence"), &json!("verify_value"), &json!("t"))
    );
    assert!(got.iter().any(|b| b["event"] == json!("phase") && b["phase"] == json!("mirroring")));
    let config = journey.get("/api/v1/config").to_string();
    assert!(!config.contains("t0ken") && !journey.proxy.log().contains("t0ken"), "{config}");
}

#[test]
fn a_hook_that_hangs_or_fails_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    shop(&file);
    let pid = folder.path().join("pid");
    let hang = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let journey = Journey::start(
        &file,
        Pg::shared(),
        &[
            ("CROSSFADE_HOOKS_ON_PHASE", &hang),
            ("CROSSFADE_HOOKS_ON_DIVERGENCE", "exit 3"),
            // Nothing listens there.
            ("CROSSFADE_HOOKS_URL", "http://127.0.0.1:9/t0ken"),
            ("CROSSFADE_HOOKS_TIMEOUT_MS", "400"),
        ],
    );
    journey.mirror();
    journey.level();
    Pg::shared().cluster.psql(&journey.database, "DELETE FROM t").unwrap();
    assert_eq!(journey.order(&["verify"]).0, 1);
    let noted = |words: &str| {
        let events = journey.get("/api/v1/events");
        let events = events["events"].as_array().unwrap();
        events
            .iter()
            .any(|e| e["who"] == json!("hook") && e["what"].as_str().unwrap().contains(words))
    };
    for words in ["took longer than 400 ms", "ended with exit status: 3", "cannot be reached"] {
        eventually(words, || noted(words));
    }
    let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let gone = || nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err();
    eventually("what the command started is gone", gone);
    assert!(!journey.proxy.log().contains("t0ken"));
}
