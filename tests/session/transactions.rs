//! Transactions as clients see them, and the one writer behind them.

use std::time::{Duration, Instant};

use crate::common::{Pg, Proxy, Raw, eventually, same};

#[test]
fn blocks_fail_and_end_as_on_postgresql() {
    same(
        r#"
        Q create table t(a int primary key)
        Q begin
        Q begin
        Q insert into t values (1)
        Q select 1/0
        Q select 1
        Q insert into t values (2)
        Q savepoint s
        Q commit
        Q commit
        Q rollback
        Q select count(*) from t
        Q start transaction
        Q insert into t values (1)
        Q end
        Q select count(*) from t
        Q begin; insert into t values (2); commit; insert into t values (3); select 1/0
        Q select a from t order by a
        Q insert into t values (4); rollback; insert into t values (5)
        Q select a from t order by a
        Q begin; insert into t values (9); rollback and chain
        Q insert into t values (8); commit
        Q select a from t order by a
        Q commit and chain
        "#,
    );
}

#[test]
fn savepoints_nest_with_errors_inside() {
    same(
        r#"
        Q create table t(a int primary key)
        Q savepoint s
        Q begin
        Q savepoint a
        Q insert into t values (1)
        Q savepoint b
        Q insert into t values (2)
        Q insert into t values (1)
        Q insert into t values (3)
        Q rollback to b
        Q insert into t values (4)
        Q savepoint b
        Q insert into t values (5)
        Q rollback to b
        Q release b
        Q insert into t values (6)
        Q release nope
        Q rollback to a
        Q select a from t order by a
        Q insert into t values (7)
        Q release a
        Q rollback to a
        Q rollback
        Q select a from t order by a
        Q begin; savepoint x; select 1/0
        Q rollback to x
        Q insert into t values (20); commit
        Q select a from t order by a
        # DDL is undone with its savepoint
        Q begin
        Q create table u(x int)
        Q savepoint s
        Q alter table u add column y int
        Q insert into u values (1, 2)
        Q rollback to s
        Q insert into u values (1, 2)
        Q rollback to s
        Q insert into u values (1)
        Q select * from u
        Q rollback
        Q select * from u
        "#,
    );
}

#[test]
fn modes_and_read_only() {
    same(
        r#"
        Q create table t(a int)
        Q begin read only
        Q select count(*) from t
        Q insert into t values (1)
        Q rollback
        Q begin read only; create table u(x int)
        Q rollback
        Q begin isolation level repeatable read
        Q show transaction_isolation
        Q select count(*) from t
        Q set transaction isolation level serializable
        Q rollback
        Q set transaction read only
        Q begin; set transaction read only; show transaction_read_only; insert into t values (1)
        Q rollback
        Q set default_transaction_read_only = on
        Q insert into t values (1)
        Q begin read write; insert into t values (1); commit
        Q reset default_transaction_read_only
        Q set session characteristics as transaction isolation level serializable
        Q show transaction_isolation
        Q show default_transaction_isolation
        Q begin; show transaction_isolation; commit
        Q select count(*) from t for update
        Q select a from t for update
        Q lock table t
        Q begin; lock table t in exclusive mode; commit
        Q begin; lock table nope; commit
        Q rollback
        "#,
    );
}

#[test]
fn deferred_constraints_fail_at_commit() {
    same(
        r#"
        Q create table p(id int primary key)
        Q create table c(id int primary key, p int references p(id) deferrable initially deferred)
        Q insert into c values (1, 1)
        Q select count(*) from c
        Q begin
        Q insert into c values (1, 1)
        Q insert into p values (1)
        Q commit
        Q begin
        Q insert into c values (2, 2)
        Q select count(*) from c
        Q commit
        Q select count(*) from c
        Q begin; insert into c values (3, 3); set constraints all immediate
        Q rollback
        P |insert into c values (4, 4)
        B ||
        E |0
        S
        Q select count(*) from c
        "#,
    );
}

#[test]
fn a_vanished_client_frees_the_writer_within_a_second() {
    let proxy = Proxy::direct();
    proxy.sql("create table t(a int); insert into t values (1)");
    let mut gone = Raw::proxy(&proxy);
    gone.query("begin; update t set a = 2");
    let mut other = Raw::proxy(&proxy);
    other.start("update t set a = 3");
    std::thread::sleep(Duration::from_millis(100));
    let since = Instant::now();
    gone.vanish();
    assert_eq!(other.answers()[0], "C UPDATE 1");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(proxy.sql("select a from t"), "3");

    // A waiting one that vanishes does not keep its place either.
    let mut holder = Raw::proxy(&proxy);
    holder.query("begin; update t set a = 4");
    let mut waiting = Raw::proxy(&proxy);
    waiting.start("begin; update t set a = 5; select pg_sleep(60)");
    std::thread::sleep(Duration::from_millis(100));
    waiting.vanish();
    holder.query("commit");
    let since = Instant::now();
    assert_eq!(proxy.sql("update t set a = 6 returning a"), "6");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

/// kill -9 of a real client in the middle of its transaction.
#[test]
fn a_killed_client_frees_the_writer() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::Stdio;

    let proxy = Proxy::direct();
    proxy.sql("create table t(a int); insert into t values (1)");
    let mut gone = Pg::shared()
        .tool("psql")
        .args(["-X", "-A", "-t", "-q", "-d", &proxy.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(gone.stdout.take().unwrap()).lines();
    let stdin = gone.stdin.as_mut().unwrap();
    writeln!(stdin, "begin; update t set a = 2 returning a;").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "2");
    let mut other = Raw::proxy(&proxy);
    other.start("update t set a = a + 10");
    gone.kill().unwrap();
    gone.wait().unwrap();
    assert_eq!(other.answers()[0], "C UPDATE 1");
    assert_eq!(proxy.sql("select a from t"), "11");
}

#[test]
fn waiting_and_idling_are_bounded() {
    let proxy = Proxy::direct();
    proxy.sql("create table t(a int); insert into t values (1)");
    let mut holder = Raw::proxy(&proxy);
    holder.query("set idle_in_transaction_session_timeout = '700ms'");
    holder.query("begin; update t set a = 2");
    let mut other = Raw::proxy(&proxy);
    let answer = other.query("set lock_timeout = '100ms'; update t set a = 3");
    assert!(
        answer.contains(&"E ERROR 55P03 canceling statement due to lock timeout".to_owned()),
        "{answer:?}"
    );
    let answer =
        other.query("set lock_timeout = 0; set statement_timeout = '100ms'; update t set a = 3");
    assert!(
        answer.contains(&"E ERROR 57014 canceling statement due to statement timeout".to_owned()),
        "{answer:?}"
    );
    // The idle one is ended, and the writer is free.
    let ended = holder.answers();
    assert_eq!(
        ended,
        ["E FATAL 25P03 terminating connection due to idle-in-transaction timeout", "END"]
    );
    assert_eq!(other.query("set statement_timeout = 0; update t set a = 3")[1], "C UPDATE 1");
}

#[test]
fn eight_writers_lose_nothing() {
    let proxy = Proxy::direct();
    proxy.sql("create table t(id int primary key, a int); insert into t values (1, 0), (2, 0)");
    for lock in ["", " for update"] {
        proxy.sql("update t set a = 0");
        let port = proxy.port;
        let threads: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut raw = Raw::connect(port, "app", "app", &[]);
                    for _ in 0..200 {
                        assert_eq!(raw.query("begin")[0], "C BEGIN");
                        let read = raw.query(&format!("select a from t where id = 1{lock}"));
                        let value = read[1].strip_prefix("D ").unwrap().parse::<u64>().unwrap();
                        // What was read under the lock still holds when it is written.
                        let next = if lock.is_empty() {
                            "a + 1".to_owned()
                        } else {
                            (value + 1).to_string()
                        };
                        let update = format!("update t set a = {next} where id = 1");
                        assert_eq!(raw.query(&update)[0], "C UPDATE 1");
                        assert_eq!(raw.query("commit")[0], "C COMMIT");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(proxy.sql("select a from t where id = 1"), "1600");
    }
}

#[test]
fn long_reads_do_not_hold_up_a_short_one() {
    let proxy = Proxy::direct();
    let long = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 3000000) select count(*) from c";
    let mut readers: Vec<Raw> = (0..2).map(|_| Raw::proxy(&proxy)).collect();
    readers.iter_mut().for_each(|r| r.start(long));
    let mut short = Raw::proxy(&proxy);
    let since = Instant::now();
    assert_eq!(short.query("select 1")[1], "D 1");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    for mut reader in readers {
        assert!(reader.answers().iter().any(|m| m.starts_with("D ")));
    }
}

#[test]
fn a_snapshot_sees_one_state_and_conflicts_are_40001() {
    let proxy = Proxy::direct();
    proxy.sql("create table t(id int primary key, a int); insert into t values (1, 0)");
    let mut one = Raw::proxy(&proxy);
    one.query("begin isolation level repeatable read");
    assert_eq!(one.query("select a from t")[1], "D 0");
    proxy.sql("update t set a = 1");
    assert_eq!(one.query("select a from t")[1], "D 0");
    let answer = one.query("update t set a = 2");
    assert_eq!(answer[0], "E ERROR 40001 could not serialize access due to concurrent update");
    one.query("rollback");
    one.query("begin isolation level serializable");
    assert_eq!(one.query("select a from t")[1], "D 1");
    assert_eq!(one.query("update t set a = 2")[0], "C UPDATE 1");
    assert_eq!(one.query("commit")[0], "C COMMIT");
    assert_eq!(proxy.sql("select a from t"), "2");
}

#[test]
fn advisory_locks_exclude_and_deadlocks_are_found() {
    let proxy = Proxy::direct();
    proxy.sql("create table t(a int); insert into t values (1)");
    let (mut one, mut two) = (Raw::proxy(&proxy), Raw::proxy(&proxy));
    one.query("select pg_advisory_lock(7)");
    assert_eq!(two.query("select pg_try_advisory_lock(7)")[1], "D f");
    two.query("begin; update t set a = 2");
    two.start("select pg_advisory_lock(7)");
    std::thread::sleep(Duration::from_millis(200));
    let answer = one.query("update t set a = 3");
    assert_eq!(answer[0], "E ERROR 40P01 deadlock detected");
    one.query("select pg_advisory_unlock_all()");
    assert!(two.answers().iter().any(|m| m == "C SELECT 1"));
    assert_eq!(one.query("select pg_try_advisory_lock(7)")[1], "D f");
    two.query("commit");
    drop(two);
    eventually("the lock ends with its session", || {
        one.query("select pg_try_advisory_lock(7)")[1] == "D t"
    });
}

#[test]
fn a_stop_lets_transactions_finish() {
    let mut proxy = Proxy::direct();
    proxy.sql("create table t(a serial, b int)");
    let mut open = Raw::proxy(&proxy);
    let mut idle = Raw::proxy(&proxy);
    open.query("begin; insert into t(b) values (1)");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(proxy.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(
        idle.answers(),
        ["E FATAL 57P01 terminating connection due to administrator command", "END"]
    );
    assert_eq!(open.query("insert into t(b) values (2)")[0], "C INSERT 0 1");
    assert_eq!(open.query("commit")[0], "C COMMIT");
    eventually("the proxy ends", || !proxy.is_running());
    proxy.restart();
    assert_eq!(proxy.sql("select count(*) from t"), "2");
    assert_eq!(proxy.sql("insert into t(b) values (3) returning a"), "3");
}

#[test]
fn temporary_tables_live_in_snapshots_too() {
    same(
        r#"
        Q create table t(a int); insert into t values (1)
        Q begin isolation level repeatable read; create temp table x(a int); insert into x select a + 1 from t; commit
        Q select * from x
        Q begin isolation level serializable; select count(*) from t; select * from x; insert into x values (5); insert into t values (2); commit
        Q select a from x order by a
        Q begin isolation level repeatable read; select * from t order by a; rollback
        Q begin isolation level serializable read only deferrable; insert into x values (7); select count(*) from x; commit
        Q begin read only; insert into t values (3)
        Q rollback
        Q select count(*) from x
        Q begin isolation level repeatable read; select count(*) from x; savepoint s; insert into x values (8); rollback to s; select count(*) from x; commit
        Q discard all
        Q select * from x
        "#,
    );
}

#[test]
fn constraints_are_deferred_before_the_first_write() {
    same(
        r#"
        Q create table p(id int primary key); create table c(id int primary key, p int references p deferrable)
        Q begin; set constraints all deferred; insert into c values (1, 1); insert into p values (1); commit
        Q begin; set constraints all deferred; set constraints all immediate; insert into c values (2, 2)
        Q rollback
        Q begin; set constraints all deferred; insert into c values (2, 2); set constraints all immediate
        Q rollback
        Q begin; set constraints all deferred; insert into c values (2, 2); commit
        Q select * from c
        "#,
    );
    // It is no write: whoever only says so stands in nobody's way.
    let proxy = Proxy::direct();
    let (mut one, mut other) = (Raw::proxy(&proxy), Raw::proxy(&proxy));
    one.query("create table p(id int primary key)");
    one.query("begin; insert into p values (1)");
    other.query("begin");
    for mode in ["deferred", "immediate"] {
        let answers = other.query(&format!("set constraints all {mode}"));
        assert!(answers.iter().any(|a| a.contains("SET CONSTRAINTS")), "{answers:?}");
    }
}

#[test]
fn unique_constraints_are_deferrable_as_far_as_sqlite_goes() {
    same(
        r#"
        Q create table t(a int, b int, unique (a) deferrable initially deferred, constraint bk unique (b) deferrable)
        Q select conname, condeferrable, condeferred, pg_get_constraintdef(oid) from pg_constraint where conrelid = 't'::regclass order by 1
        Q insert into t values (1, 1)
        Q insert into t values (1, 2)
        Q insert into t values (2, 1)
        Q begin; insert into t values (3, 1)
        Q rollback
        Q select * from t
        "#,
    );
}

/// Clients that hold a snapshot and think take nothing from the others.
#[test]
fn many_snapshots_do_not_hold_up_a_read() {
    let proxy = Proxy::direct();
    proxy.sql("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    let mut held: Vec<Raw> = (0..20).map(|_| Raw::proxy(&proxy)).collect();
    for client in &mut held {
        client.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert_eq!(client.query("SELECT id FROM t")[1], "D 1");
    }
    proxy.sql("INSERT INTO t VALUES (2)");
    assert_eq!(proxy.sql("SELECT count(*) FROM t"), "2");
    for client in &mut held {
        assert_eq!(client.query("SELECT count(*) FROM t")[1], "D 1");
    }
}
