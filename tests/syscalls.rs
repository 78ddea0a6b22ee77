//! What the relay costs: four socket calls for each statement, and no fifth.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use crate::common::{Journey, Pg, Raw};

/// Counts the calls by which programs use sockets, in a file of eight bytes.
const COUNTER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
static unsigned long *n;
__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("COUNT_FILE"), O_RDWR);
    if (fd >= 0) n = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}
static void count(int fd) {
    int type; socklen_t size = sizeof type;
    if (n && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0)
        __atomic_fetch_add(n, 1, __ATOMIC_SEQ_CST);
}
#define NEXT(name) static __typeof__(name) *next; if (!next) next = dlsym(RTLD_NEXT, #name); count(fd)
ssize_t read(int fd, void *b, size_t l) { NEXT(read); return next(fd, b, l); }
ssize_t write(int fd, const void *b, size_t l) { NEXT(write); return next(fd, b, l); }
ssize_t readv(int fd, const struct iovec *v, int c) { NEXT(readv); return next(fd, v, c); }
ssize_t writev(int fd, const struct iovec *v, int c) { NEXT(writev); return next(fd, v, c); }
ssize_t recv(int fd, void *b, size_t l, int f) { NEXT(recv); return next(fd, b, l, f); }
ssize_t send(int fd, const void *b, size_t l, int f) { NEXT(send); return next(fd, b, l, f); }
ssize_t recvmsg(int fd, struct msghdr *m, int f) { NEXT(recvmsg); return next(fd, m, f); }
ssize_t sendmsg(int fd, const struct msghdr *m, int f) { NEXT(sendmsg); return next(fd, m, f); }
ssize_t recvfrom(int fd, void *b, size_t l, int f, struct sockaddr *a, socklen_t *s)
    { NEXT(recvfrom); return next(fd, b, l, f, a, s); }
ssize_t sendto(int fd, const void *b, size_t l, int f, const struct sockaddr *a, socklen_t s)
    { NEXT(sendto); return next(fd, b, l, f, a, s); }
"#;

fn counter(folder: &Path) -> String {
    let (source, library) = (folder.join("counter.c"), folder.join("counter.so"));
    std::fs::write(&source, COUNTER).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .output()
        .expect("a C compiler (see scripts/bootstrap)");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library.to_str().unwrap().to_owned()
}

#[test]
fn a_relayed_statement_takes_four_socket_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (library, counts) = (counter(folder.path()), folder.path().join("counts"));
    std::fs::write(&counts, [0; 8]).unwrap();
    let counted = || u64::from_ne_bytes(std::fs::read(&counts).unwrap().try_into().unwrap());
    let envs = [("LD_PRELOAD", library.as_str()), ("COUNT_FILE", counts.to_str().unwrap())];
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &envs);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)");
    journey.mirror();
    journey.promote();
    let mut client = Raw::proxy(&journey.proxy);
    client.run("P one|SELECT id FROM t WHERE id = $1|23\nS");
    let statement = "B |one|1\nE\nS";
    client.run(&format!("{statement}\n").repeat(50));
    for (form, script) in [("prepared", statement), ("simple", "Q SELECT id FROM t WHERE id = 1")] {
        const STATEMENTS: u64 = 2000;
        let before = counted();
        client.run(&format!("{script}\n").repeat(STATEMENTS as usize));
        let calls = counted() - before;
        #[allow(clippy::cast_precision_loss)]
        let each = calls as f64 / STATEMENTS as f64;
        println!("{form}: {each:.2} socket calls for each statement");
        assert!(each > 3.5, "the calls are not counted");
        // What else runs (the way back, a look at PostgreSQL now and then) takes some.
        assert!(calls <= 4 * STATEMENTS + STATEMENTS / 10, "{form}: {each:.2} calls");
    }
}
