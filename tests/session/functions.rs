//! Functions that clients create and call, compared with PostgreSQL.

use crate::common::{Proxy, same};

#[test]
fn functions_of_clients_are_called() {
    same(
        r#"
        Q create table log(id serial primary key, m text, a int)
        Q create function add1(i int) returns int language plpgsql as $$ begin return i + 1; end $$
        Q select add1(41), add1('41'), add1(i => 1), add1(null)
        Q select * from add1(1)
        Q select * from add1(1) as t(x)
        Q select add1()
        Q select add1('a'::text)
        Q select add1(add1(1)) * 2 + add1(3) as n
        Q create function note(m_ text) returns int language plpgsql as $$ declare n int; begin insert into log(m) values (m_) returning id into n; raise notice 'noted %', m_; return n; end $$
        Q select note('x')
        Q select note('a'), note('b')
        Q begin
        Q select note('lost')
        Q rollback
        Q begin
        Q select note('kept')
        Q savepoint a
        Q select note('not')
        Q rollback to a
        Q commit
        Q select m from log order by id
        Q create function fact(n int) returns numeric language plpgsql immutable as $$ begin if n <= 1 then return 1; end if; return n * fact(n - 1); end $$
        Q select fact(10), fact(60)
        Q select fact(add1(3)) as f
        Q select id from log where id <= fact(2) order by id
        Q create function twice(int) returns int language sql immutable as 'select $1 * 2'
        Q select id, twice(id) from log where twice(id) > 2 order by twice(id)
        Q create function adding(a int, b int) returns bigint language sql as $$ select a + b $$
        Q select adding(1, 2), adding(b => 1, a => 10), adding(null, 1)
        Q select adding(id, 1) from log order by 1
        Q select pg_typeof(adding(1, 2))
        Q create function cnt(lim int) returns bigint language sql stable as $$ select count(*) from log where id <= lim $$
        Q select cnt(2)
        Q select count(*) from log where id <= cnt(2)
        Q create function w(t text) returns void language sql as $$ insert into log(m) values (t); update log set m = m || '!' where m = t $$
        Q select w('w')
        Q select m from log where m like 'w%'
        Q create function always(i int) returns text language plpgsql strict as $$ begin return 'some'; end $$
        Q select always(null), always(1)
        Q create function listed(p_name text) returns text language plpgsql as $$ declare r record; s text := ''; begin for r in select id, m from log where m <> p_name order by id loop s := s || r.id || ':' || r.m || ' '; end loop; if not found then return null; end if; return trim(s); exception when others then return sqlerrm; end $$
        Q select listed('a')
        Q create type kind as enum ('abc', 'def')
        Q create function kinds() returns kind language plpgsql as $$ begin return 'abc'::kind; end $$
        Q select kinds()
        Q drop type kind
        Q create function made_id(n int) returns text language plpgsql as $$ begin return 'id' || n; end $$
        Q insert into log(m, a) values (made_id(3), 1) returning m
        Q do $$ begin perform w('done'); raise notice '%', fact(4); end $$
        P |select fact($1)
        B ||5
        D P
        E |0
        S
        Q select proname, pg_get_function_arguments(oid), pg_get_function_result(oid), provolatile, proisstrict from pg_proc where pronamespace = 'public'::regnamespace order by 1
        Q create or replace function add1(i int) returns int language plpgsql as $$ begin return i + 2; end $$
        Q select add1(1)
        Q create view counted as select fact(3) as n
        Q select * from counted
        Q drop function fact(int)
        Q drop view counted
        Q drop function fact(int)
        Q drop function note(text)
        Q select note('x')
        Q drop function add1
        "#,
    );
}

#[test]
fn functions_that_fail_say_where() {
    same(
        r#"
        Q create table log(id serial primary key, m text)
        Q create function bad() returns bool as $$ $$ language sql
        Q create function imm() returns int language plpgsql stable as $$ begin insert into log(m) values ('q'); return 1; end $$
        Q select imm()
        Q create function noret() returns int language plpgsql as $$ begin null; end $$
        Q select noret()
        Q create function boom(i int) returns int language plpgsql as $$ begin insert into log(m) values ('gone'); raise exception 'boom %', i using errcode = '22012', hint = 'less'; return 1; end $$
        Q select boom(1)
        Q select count(*) from log
        Q create function outer_one() returns int language plpgsql as $$ begin return boom(2); exception when division_by_zero then return -1; end $$
        Q select outer_one()
        Q select count(*) from log
        Q create function boom(i int) returns int language plpgsql as $$ begin return 1; end $$
        Q create or replace function boom(i int) returns text language plpgsql as $$ begin return 1; end $$
        Q create function x(a int, a int) returns int language plpgsql as $$ begin return 1; end $$
        Q create trigger t before insert on log for each row execute function noret()
        Q select nope(1)
        "#,
    );
}

fn fails(proxy: &Proxy, sql: &str) -> String {
    let (code, _, error) = proxy.psql_with(&["-v", "VERBOSITY=verbose"], sql);
    assert_ne!(code, 0, "{sql}");
    error
}

#[test]
fn what_would_be_called_otherwise_is_refused() {
    let proxy = Proxy::direct();
    proxy.sql(
        "CREATE TABLE log(id serial PRIMARY KEY, m text); INSERT INTO log(m) VALUES ('a'), ('b');
         CREATE FUNCTION note(m_ text) RETURNS int LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO log(m) VALUES (m_); RETURN 1; END $$;
         CREATE FUNCTION named(m text) RETURNS bigint LANGUAGE plpgsql AS
           $$ BEGIN RETURN (SELECT count(*) FROM log WHERE m = 'a'); END $$;
         CREATE FUNCTION endless(n int) RETURNS int LANGUAGE plpgsql AS
           $$ BEGIN RETURN endless(n + 1); END $$",
    );
    for sql in [
        "SELECT note('x') WHERE false",
        "SELECT note('x') LIMIT 0",
        "SELECT CASE WHEN false THEN note('x') END",
        "SELECT coalesce(1, note('x'))",
        "SELECT note(m) FROM log",
        "UPDATE log SET id = note('x')",
        "SELECT named('b')",
        "CREATE FUNCTION lower(t text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    ] {
        let error = fails(&proxy, sql);
        assert!(error.contains("0A000"), "{sql}: {error}");
    }
    let error = fails(&proxy, "SELECT endless(1)");
    assert!(error.contains("54001"), "{error}");
    assert_eq!(proxy.sql("SELECT count(*) FROM log").trim(), "2");
}
