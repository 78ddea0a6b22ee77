//! Large objects, over SQL and over the function call message.

use crate::common::{Pg, Proxy, Raw, same};

#[test]
fn large_objects_are_made_written_read_and_removed() {
    same(
        r"
        Q select lo_create(4711)
        Q select lo_create(4711)
        Q select lo_from_bytea(4712, '\x0102030405')
        Q select lo_get(4712), lo_get(4712, 1, 2)
        Q select lo_put(4712, 7, '\xff')
        Q select lo_get(4712)
        Q begin
        Q select lo_open(4712, 262144)
        Q select loread(0, 3)
        Q select lo_tell(0), lo_lseek(0, -1, 2)
        Q select loread(0, 10)
        Q select lo_close(0)
        Q commit
        Q select lo_unlink(4712)
        Q select lo_unlink(4712)
        Q select lo_get(4712)
        ",
    );
}

#[test]
fn the_function_call_message_reaches_large_objects_only() {
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    let call = |oid: u32, arguments: &[u32]| {
        let mut body = oid.to_be_bytes().to_vec();
        body.extend(1_u16.to_be_bytes());
        body.extend(1_u16.to_be_bytes());
        body.extend(u16::try_from(arguments.len()).unwrap().to_be_bytes());
        for argument in arguments {
            body.extend(4_u32.to_be_bytes());
            body.extend(argument.to_be_bytes());
        }
        body.extend(1_u16.to_be_bytes());
        let mut message = vec![b'F'];
        message.extend((u32::try_from(body.len()).unwrap() + 4).to_be_bytes());
        message.extend(body);
        message
    };
    raw.send(&call(715, &[4711]));
    assert_eq!(raw.answers(), ["V", "Z I"]);
    // now()
    raw.send(&call(1299, &[]));
    let refused = raw.answers();
    assert!(refused[0].contains("0A000") && refused[1] == "Z I", "{refused:?}");
    assert_eq!(raw.query("select lo_unlink(4711)")[1], "D 1");
}

#[test]
fn postgresql_is_not_attached_while_there_are_large_objects() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let proxy = Proxy::on_file(&file, &[]);
    proxy.sql("select lo_from_bytea(4711, 'x')");
    drop(proxy);
    let url = Pg::shared().database_url("large");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_crossfade"));
    command.args(["run", "--auth", "trust", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let output = command.arg("--sqlite").arg(&file).args(["--postgres", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("large objects"), "{said}");
}

/// A value nobody can hold is refused before it is made.
#[test]
fn too_much_at_once_is_an_error() {
    let proxy = Proxy::direct();
    let oid = proxy.sql("SELECT lo_create(0)");
    proxy.sql(&format!(
        "BEGIN; SELECT lo_truncate64(lo_open({oid}, 131072), 4398046511104); COMMIT"
    ));
    for sql in [format!("SELECT lo_get({oid})"), format!("SELECT lo_get({oid}, -1, 5)")] {
        let (code, _, stderr) = proxy.psql(&sql);
        assert!(code != 0 && stderr.contains("ERROR"), "{sql}: {stderr}");
    }
    // SQLite has bounds of its own for these; what is made of them for PostgreSQL has one, too.
    proxy.psql("SELECT printf('%.9000000000000f', 1.5)");
    proxy.psql("SELECT printf('%99999999999999999999999d', 1)");
    assert_eq!(proxy.sql("SELECT 1"), "1");
}
