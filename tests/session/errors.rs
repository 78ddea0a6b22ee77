//! What PostgreSQL says when it refuses: every field of the error, for some four hundred
//! statements.

use std::time::Duration;

use crate::common::{Pg, Proxy, Raw, same_in_full};

#[test]
fn refusals_are_postgresqls_in_every_field() {
    let statements = include_str!("errors.sql");
    let script: Vec<String> = statements.lines().map(|line| format!("Q {line}")).collect();
    same_in_full(&script.join("\n"));
}

#[test]
fn the_refused_row_is_named_in_the_extended_protocol_and_in_blocks() {
    same_in_full(
        r"
        Q create table p(id int primary key, name text not null unique)
        Q create table c(id serial primary key, pid int not null references p(id), n numeric(5,2))
        Q insert into p values (1, 'a'), (2, 'b')
        P |insert into p values ($1, $2)|23,25
        B |||
        B ||1,x
        E
        S
        P |insert into p values ($1, $2)|23,25
        B ||3,NULL
        E
        S
        P |insert into c(pid, n) values ($1, $2)|23,1700
        B ||7,1.5
        E
        S
        # with a limit of rows, as fetchrow() of asyncpg asks
        P |insert into p values ($1, $2) returning id|23,25
        B ||1,x
        E |1
        S
        P |insert into c(pid, n) values ($1, $2) returning id|23,1700
        B ||7,1.5
        E |1
        S
        Q begin
        Q insert into p values (5, 'e')
        Q savepoint s
        Q insert into p values (6, 'e')
        Q rollback to s
        Q insert into p select id, 'z' || id from p
        Q rollback
        Q insert into p values (8, 'h'), (9, 'i'), (8, 'j')
        Q insert into c(pid) values (1)
        Q delete from p
        Q update p set id = id + 10 where id = 1
        Q update p set name = 'b'
        Q update p set name = null where id = 2
        ",
    );
}

/// Conflicts, time-outs and cancels, which take two sessions.
fn conflicts(port: u16, connect: &dyn Fn() -> Raw) -> Vec<String> {
    let (mut one, mut two) = (connect(), connect());
    one.query("create table t(id int primary key, a int); insert into t values (1, 0)");
    one.query("begin isolation level repeatable read");
    one.query("select a from t");
    two.query("update t set a = 1");
    let mut told = one.query("update t set a = 2");
    told.extend(one.query("select 1"));
    told.extend(one.query("rollback"));
    told.extend(two.query("set statement_timeout = 200"));
    told.extend(two.query("select pg_sleep(20)"));
    told.extend(two.query("set statement_timeout = 0"));
    two.start("select pg_sleep(20)");
    std::thread::sleep(Duration::from_millis(300));
    Raw::cancel(port, two.pid, &two.secret);
    told.extend(two.answers());
    told
}

#[test]
fn conflicts_and_cancels_are_postgresqls_in_every_field() {
    let proxy = Proxy::direct();
    let database = Pg::shared().database("conflicts");
    let port = Pg::shared().cluster.port();
    let theirs = conflicts(port, &|| Raw::postgres(&database).in_full());
    let ours = conflicts(proxy.port, &|| Raw::proxy(&proxy).in_full());
    assert_eq!(ours, theirs);
    for code in ["C=40001", "C=25P02", "C=57014"] {
        assert!(theirs.iter().any(|line| line.contains(code)), "{code}: {theirs:?}");
    }
}
