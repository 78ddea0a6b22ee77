//! COPY both ways.

use std::time::Instant;

use crate::common::{Proxy, Raw, same};

#[test]
fn copy_in_takes_and_refuses_what_postgresql_does() {
    same(
        r#"
        Q create table t(a int primary key, b text, c numeric(6,2) default 1.5)
        Q copy t from stdin
        d 1\tone\t2.5\n2\t\\N\t\\N\n
        d 3\tback\\\\slash\\ttab\t9\n
        c
        Q select * from t order by a
        Q copy t(a, b) from stdin with (format csv, header true)
        d a,b\n10,'x'\n11,
        d abc, def \n12,\n
        c
        Q select * from t where a >= 10 order by a
        Q copy t from stdin
        d 20\tx\n
        c
        Q copy t from stdin
        d 20\tx\t1\textra\n
        c
        Q copy t from stdin
        d zz\tx\t1\n
        c
        Q copy t from stdin
        d 21\tx\t1\n1\tdup\t1\n
        c
        Q select count(*) from t where a = 21
        Q copy t from stdin
        f changed my mind
        Q select count(*) from t
        Q copy nope from stdin
        Q copy t(a, nope) from stdin
        Q copy t from stdin with (header maybe)
        Q begin
        Q copy t from stdin
        d zz\tx\t1\n
        c
        Q select 1
        Q rollback
        # extended protocol
        P |copy t(a) from stdin
        D S
        B ||
        E |0
        H
        d 30\n31\n
        cc
        S
        "#,
    );
}

#[test]
fn copy_out_prints_what_postgresql_prints() {
    same(
        r#"
        Q create table t(a int, b text, c bool, d timestamptz, e bytea)
        Q set timezone = 'UTC'
        Q insert into t values (1, E'tab\there', true, '2020-01-01 00:00:00+02', '\x00ff'), (2, null, null, null, null), (3, '', false, 'infinity', ''), (4, 'quo,"te', true, null, null)
        Q copy t to stdout
        Q copy t(b, a) to stdout with (format csv, header)
        Q copy t to stdout with (format csv, force_quote *, null 'NULL')
        Q copy t to stdout with (delimiter ';', null '-')
        Q copy (select a, a * 2 as twice from t where a > 1 order by a) to stdout with csv header
        Q copy (insert into t(a) values (9) returning a) to stdout
        Q copy (insert into t(a) values (9)) to stdout
        Q copy nope to stdout
        Q create view v as select * from t
        Q copy v to stdout
        Q copy t(a, c) to stdout with (format binary)
        P |copy (select 1) to stdout
        D S
        B ||
        D P
        E |0
        S
        "#,
    );
}

#[test]
fn a_hundred_thousand_rows_go_in_and_out() {
    let proxy = Proxy::direct();
    proxy.sql("create table t(a int primary key, b text)");
    let rows: String = (0..100_000).map(|i| format!("{i}\tsome text of row {i}\n")).collect();
    let mut raw = Raw::proxy(&proxy);
    let began = Instant::now();
    raw.query("copy t from stdin");
    for piece in rows.as_bytes().chunks(60_000) {
        let mut message = vec![b'd'];
        message.extend((piece.len() as u32 + 4).to_be_bytes());
        message.extend(piece);
        raw.send(&message);
    }
    raw.send(b"c\0\0\0\x04");
    assert_eq!(raw.answers()[0], "C COPY 100000");
    println!("copy in: {:?}", began.elapsed());
    assert_eq!(proxy.sql("select count(*), sum(a) from t"), "100000|4999950000");
    let out = raw.query("copy (select * from t order by a) to stdout");
    assert_eq!(out.len(), 100_000 + 4);
    assert_eq!(out[1], "d \"0\\tsome text of row 0\\n\"");
}
