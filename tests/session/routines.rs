//! Defaults, overloads, OUT parameters, sets of rows and procedures, compared with PostgreSQL.

use crate::common::{Pg, Proxy, Raw, same};

#[test]
fn arguments_have_defaults_names_and_types() {
    same(
        r#"
        Q create function surface(w int, h int default 2, unit text default 'cm') returns text language sql immutable as $$ select w * h || unit $$
        Q select surface(3), surface(3, 4), surface(3, 4, 'm'), surface(3, unit => 'mm'), surface(h => 5, w => 1)
        Q select surface()
        Q select surface(1, 2, 3, 4)
        Q select surface(3, w => 1)
        Q select surface(3, nope => 1)
        Q create function pad(t text, n int default 5, c text default null) returns text language plpgsql as $$ begin return t || ':' || n || coalesce(c, '-'); end $$
        Q select pad('a'), pad('a', 1), pad('a', c => 'z'), pad('a', 1, 'q')
        Q create function wrong(a int default 1, b int) returns int language sql as 'select 1'
        Q create function wrong(out a int default 1) language sql as 'select 1'
        Q create function kind(i int) returns text language sql as $$ select 'int4' $$
        Q create function kind(t text) returns text language sql as $$ select 'text' $$
        Q create function kind(i bigint) returns text language plpgsql as $$ begin return 'int8'; end $$
        Q create function kind(i int, j int) returns text language sql as $$ select 'two' $$
        Q select kind(1), kind('x'), kind(10000000000), kind(1::smallint), kind(1, 2), kind('x'::varchar)
        Q select kind(1.5)
        Q select kind(true)
        P |select kind($1)
        D S
        B ||7
        E |0
        S
        Q create function two(a int, b int default 1) returns int language sql as 'select 1'
        Q create function two(a int, b text default '') returns int language sql as 'select 2'
        Q select two(1)
        Q select two(1, 'x'), two(1, 2)
        Q drop function kind
        Q drop function kind(int)
        Q drop function kind(numeric)
        Q drop function if exists nothing
        Q drop function nothing
        Q select kind(1)
        Q drop function kind(bigint), kind(text), kind(int, int)
        Q select kind(1)
        Q create or replace function surface(width int, h int default 2, unit text default 'cm') returns text language sql immutable as $$ select 'x' $$
        Q create or replace function surface(w int, h int, unit text) returns text language sql immutable as $$ select 'x' $$
        Q create function surface(w int, h int, unit text) returns text language sql as $$ select 'x' $$
        Q select proname, pronargs, pronargdefaults, pg_get_function_arguments(oid), pg_get_function_identity_arguments(oid), pg_get_function_arg_default(oid, 2) from pg_proc where pronamespace = 'public'::regnamespace order by 1, 4
        Q select pg_get_functiondef('surface'::regproc)
        Q create function strict_one(a int, b int) returns int language sql strict immutable as 'select coalesce(a, 0) + coalesce(b, 0)'
        Q select strict_one(1, 2), strict_one(1, null), strict_one(g, null), strict_one(g, g) from generate_series(1, 2) as g
        "#,
    );
}

#[test]
fn functions_read_tables_for_each_row() {
    same(
        r#"
        Q create table city(id int primary key, name text, state text)
        Q create table house(id int primary key, city int references city, rooms int)
        Q insert into city values (1, 'Ulm', 'BW'), (2, 'Bonn', 'NW'), (3, 'Köln', 'NW')
        Q insert into house values (1, 1, 3), (2, 1, 4), (3, 2, 5), (4, null, 1)
        Q create function houses_of(c int) returns bigint language sql stable as $$ select count(*) from house where house.city = c $$
        Q create function largest(c int) returns int language sql stable as $$ select rooms from house where house.city = c order by rooms desc, id $$
        Q select id, houses_of(id), largest(id) from city order by id
        Q select name from city where houses_of(id) > 0 order by houses_of(id) desc, name
        Q select houses_of(1), largest(9), largest(null)
        Q create function largest_volatile(c int) returns int language sql as $$ select rooms from house where house.city = c order by rooms desc $$
        Q select id, largest_volatile(id) from city order by id
        Q update city set name = name || houses_of(id) where largest(id) is not null returning *
        Q create function named(name text) returns bigint language sql stable as $$ select count(*) from city where city.name = name $$
        Q select named('no one')
        Q create function in_state(s text) returns setof city language sql stable as $$ select * from city where state = s order by id desc $$
        Q select * from in_state('NW')
        Q select c.name, h.rooms from in_state('NW') c left join house h on h.city = c.id order by 1
        Q select name from in_state('BW') as x(a, name, b)
        Q select count(*) from in_state('nothing')
        Q create function rooms_in(c int) returns table(house int, n int) language sql stable as $$ select h.id, h.rooms from house h where h.city = c order by h.id $$
        Q select * from rooms_in(1)
        Q select city.id, r.* from city, rooms_in(city.id) r order by 1, 2
        Q select city.id, r.n from city left join lateral rooms_in(city.id) r on true order by 1, 2
        Q create function ids() returns setof int language sql as $$ select id from city order by id $$
        Q select * from ids()
        Q select ids from ids() where ids > 1
        Q select x from ids() x order by x desc limit 1
        Q select * from city where id in (select * from ids()) order by id
        Q select ids()
        Q select ids() as n order by 1 desc limit 2
        Q select rooms_in(1)
        Q select * from (select ids()) x where ids > 2
        Q insert into house select 10 + i, i, i from ids() i
        Q select count(*) from house
        Q create function nums(n int) returns setof bigint language sql strict immutable as $$ select g from generate_series(1, n) g $$
        Q select * from nums(3)
        Q select * from nums(null)
        Q select pg_get_function_result(oid) from pg_proc where proname = 'in_state'
        Q drop table city
        Q alter table house drop constraint house_city_fkey
        Q drop table city
        Q create function bad_type() returns setof int language sql as $$ select name from city $$
        Q create function bad_count() returns table(a int, b int) language sql as $$ select id from city $$
        Q create function bad_scalar() returns int language sql as $$ select true $$
        Q create function bad_row() returns setof city language sql as $$ select 1, 'a'::text $$
        Q drop table city cascade
        Q select proname from pg_proc where pronamespace = 'public'::regnamespace and proname like '%state%'
        "#,
    );
}

#[test]
fn functions_return_rows() {
    same(
        r#"
        Q create table t(id serial primary key, a int, b text)
        Q insert into t(a, b) values (1, 'x'), (2, null), (3, 'y"{\')
        Q create function dual(i int, out twice int, out half numeric) language plpgsql stable as $$ begin twice := i * 2; half := i / 2.0; end $$
        Q select * from dual(3)
        Q select dual(3)
        Q select (dual(3)).half, twice from dual(4)
        Q create function bump(inout n int, inout s text default 'a') language plpgsql as $$ begin n := n + 1; s := s || n; end $$
        Q select * from bump(1)
        Q select * from bump(1, 'q') as z(k)
        Q create function one_out(i int, out res text) as $$ begin res := 'r' || i; end $$ language plpgsql stable
        Q select one_out(1), res from one_out(2)
        Q create function minmax(out lo int, out hi int) language sql as $$ select min(a), max(a) from t $$
        Q select * from minmax()
        Q select hi - lo as d from minmax()
        Q create function listed(low int) returns table(num int, word text) language plpgsql as $$ begin return query select t.a, t.b from t where t.a >= low order by t.a; if not found then num := -1; word := 'none'; return next; end if; end $$
        Q select * from listed(2)
        Q select word, count(*) over () from listed(1)
        Q select * from listed(7)
        Q create function counted(n int) returns setof int language plpgsql as $$ begin for i in 1..n loop return next i * i; end loop; return; end $$
        Q select * from counted(4)
        Q select sum(counted) from counted(3)
        Q select * from counted(0)
        Q select counted(3)
        Q create function all_t() returns setof t language plpgsql as $$ declare r record; begin for r in select * from t order by id loop return next r; end loop; end $$
        Q select * from all_t()
        Q create function by_text(q text) returns setof t language plpgsql as $$ begin return query execute 'select * from t where b = $1' using q; end $$
        Q select id, b from by_text('x')
        Q create function added(p_b text) returns t language sql as $$ insert into t(a, b) values (9, p_b) returning * $$
        Q select * from added('new')
        Q create function all_added(p_b text) returns setof t language sql as $$ insert into t(a, b) values (10, p_b), (11, p_b) returning * $$
        Q select id, a, b from all_added('more')
        Q select count(*) from t
        Q create function wrong_query() returns setof int language plpgsql as $$ begin return query select b from t; end $$
        Q select * from wrong_query()
        Q create function wrong_count() returns setof int language plpgsql as $$ begin return query select a, b from t; end $$
        Q select * from wrong_count()
        Q create function odd(out a int, out b int) returns int language plpgsql as $$ begin a := 1; end $$
        Q create or replace function dual(i int, out twice int, out third numeric) language plpgsql as $$ begin twice := i * 2; end $$
        Q create or replace function counted(n int) returns setof bigint language plpgsql as $$ begin return; end $$
        Q select proname, prorettype::regtype, proretset, proargmodes, proallargtypes::text, pg_get_function_arguments(oid), pg_get_function_result(oid) from pg_proc where pronamespace = 'public'::regnamespace and proname <> 'added' and proname not like '%_t' and proname not like '%a%d%d%' and proname <> 'by_text' order by 1
        Q select pg_get_functiondef('listed'::regproc)
        Q select pg_get_functiondef('bump'::regproc)
        "#,
    );
}

#[test]
fn variables_follow_tables_and_go_through_arrays() {
    same(
        r#"
        Q create table person(id serial primary key, name varchar(10), born date, tags text[])
        Q insert into person(name, born, tags) values ('Ada', '1815-12-10', '{a,b}'), ('Alan', '1912-06-23', null)
        Q create function named(p_id int) returns person language plpgsql stable as $$ declare r person; begin select * into r from person where id = p_id; return r; end $$
        Q select * from named(1)
        Q select (named(2)).name, name from named(1)
        Q select * from named(9)
        Q create function nobody() returns person language plpgsql stable as $$ begin return null; end $$
        Q select * from nobody()
        Q create function typed(p_id int) returns text language plpgsql stable as $$ declare n person.name%type; row_of person%rowtype; same n%type; begin select name into n from person where id = p_id; select * into row_of from person where id = p_id; same := n || '!'; return n || row_of.born || same; end $$
        Q select typed(1), typed(2)
        Q create function unset() returns text language plpgsql as $$ declare p person%rowtype; begin return coalesce(p.name, 'nobody'); end $$
        Q select unset()
        Q create function summed(list int[]) returns int language plpgsql as $$ declare s int := 0; i int; begin foreach i in array list loop s := s + i; end loop; return s; end $$
        Q select summed('{4,5}')
        Q select summed('{}')
        Q select summed(null)
        Q set timezone to 'Asia/Tokyo'
        Q create function at(t timestamptz, d date, b bytea) returns text language plpgsql stable as $$ begin return t || ' ' || d || ' ' || encode(b, 'hex'); end $$
        Q select at('2024-01-01 12:00:00+00', '2024-02-29', '\x0aff')
        Q reset timezone
        Q create function each_tag() returns setof text language plpgsql stable as $$ declare r person; t text; begin for r in select * from person order by id loop if r.tags is null then continue; end if; foreach t in array r.tags loop return next r.name || t; end loop; end loop; end $$
        Q select * from each_tag()
        Q create function checked(i int) returns int language plpgsql stable as $$ begin assert i > 0, 'not positive: ' || i; return i; end $$
        Q select checked(1)
        Q select checked(0)
        Q do $$ begin assert 1 > 2; end $$
        Q create function sized(i int) returns text language plpgsql stable as $$ begin case i when 1, 2 then return 'small'; when 3 then return 'big'; end case; end $$
        Q select sized(2), sized(3)
        "#,
    );
}

#[test]
fn procedures_are_called() {
    same(
        r#"
        Q create table log(id serial primary key, m text)
        Q create procedure note(m_ text, n int default 1) language plpgsql as $$ begin for i in 1..n loop insert into log(m) values (m_ || i); end loop; end $$
        Q call note('a')
        Q call note('b', 2)
        Q call note(n => 1, m_ => 'c')
        Q select m from log order by id
        P |call note($1)
        D S
        B ||z
        E |0
        S
        Q begin
        Q call note('lost')
        Q rollback
        Q select count(*) from log
        Q create procedure written(p text) language sql as $$ insert into log(m) values (p); update log set m = p || '!' where m = p $$
        Q call written('w')
        Q select m from log order by id desc limit 1
        Q create procedure doubled(inout n int, inout s text) language plpgsql as $$ begin n := n * 2; s := s || n; end $$
        Q call doubled(4, 'x')
        Q select doubled(1, 'y')
        Q select * from note('y')
        Q call nope(1)
        Q call note(1, 2, 3)
        Q create function f(i int) returns int language sql as 'select 1'
        Q call f(1)
        Q create procedure failing() language plpgsql as $$ begin insert into log(m) values ('gone'); raise exception 'no'; end $$
        Q call failing()
        Q select count(*) from log
        Q drop function note(text, int)
        Q drop procedure f(int)
        Q select proname, prokind, prorettype::regtype, pg_get_function_arguments(oid), pg_get_function_result(oid) from pg_proc where pronamespace = 'public'::regnamespace order by 1
        Q select pg_get_functiondef('note'::regproc)
        Q create or replace function note(m_ text, n int default 1) returns int language sql as 'select 1'
        Q drop procedure note(text, int)
        Q drop routine written
        Q drop routine f(int)
        Q call note('a')
        "#,
    );
}

#[test]
fn what_a_declaration_does_not_allow_is_told_when_it_is_made() {
    let proxy = Proxy::direct();
    let mut found = Raw::proxy(&proxy);
    let mut wanted = Raw::postgres(&Pg::shared().database("routines"));
    // Where in the body it is, only PostgreSQL tells.
    let told = |raw: &mut Raw, sql: &str| {
        let lines = raw.run(&format!("Q {sql}"));
        let error = lines.lines().find(|l| l.starts_with("E ")).unwrap_or_default().to_owned();
        error.split(" [").next().unwrap_or_default().to_owned()
    };
    let own = "CREATE TABLE city(id int, name text)";
    assert_eq!(told(&mut found, own), told(&mut wanted, own));
    for sql in [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT nope FROM city'",
        "CREATE FUNCTION f(a int DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(OUT a int) LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN NEXT 1; END'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN; END'",
        "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE plpgsql AS 'BEGIN RETURN NEXT; END'",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "CREATE PROCEDURE f() LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT 1; END'",
    ] {
        assert_eq!(told(&mut found, sql), told(&mut wanted, sql), "{sql}");
    }
}

#[test]
fn what_a_routine_cannot_do_is_refused() {
    let proxy = Proxy::direct();
    proxy.sql(
        "CREATE TABLE log(id serial PRIMARY KEY, m text); INSERT INTO log(m) VALUES ('a'), ('b');
         CREATE FUNCTION noted(m_ text) RETURNS SETOF int LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO log(m) VALUES (m_); RETURN NEXT 1; END $$;
         CREATE FUNCTION ids() RETURNS SETOF int LANGUAGE sql AS 'SELECT id FROM log'",
    );
    for sql in [
        "SELECT noted('x'), 1",
        "SELECT * FROM noted('x') WHERE false",
        "SELECT * FROM noted('x'), log",
        "SELECT * FROM log, noted(log.m)",
        "SELECT ids() FROM log",
        "SELECT * FROM ROWS FROM (ids(), ids()) AS x",
        "CREATE FUNCTION v(VARIADIC a int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION r() RETURNS record LANGUAGE sql AS 'SELECT 1, 2'",
    ] {
        let (code, _, error) = proxy.psql_with(&["-v", "VERBOSITY=verbose"], sql);
        assert_ne!(code, 0, "{sql}");
        assert!(error.contains("0A000"), "{sql}: {error}");
    }
    assert_eq!(proxy.sql("SELECT count(*) FROM log").trim(), "2");
}
