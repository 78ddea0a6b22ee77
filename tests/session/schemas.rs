//! Schemas other than public: names by search path, catalogs, and what moves between them.
//! PostgreSQL answers the same scripts.

use crate::common::same;

#[test]
fn tables_live_in_their_schemas() {
    same(
        r#"
        Q create schema s
        Q create schema s
        Q create schema if not exists s
        Q create schema pg_mine
        Q create table t(id serial primary key, a text unique, check (length(a) > 1))
        Q create table s.t(id serial primary key, a text, b int default 7)
        Q create table s.t(id int)
        Q create table if not exists s.t(id int)
        Q create table nope.t(id int)
        Q insert into t(a) values ('public')
        Q insert into s.t(a) values ('in s'), ('also') returning *
        Q select * from t
        Q select * from s.t order by id
        Q select t.a, s.t.a from t join s.t on t.id = s.t.id
        Q select s.t.a, t.b from s.t where s.t.id = t.id order by 1
        Q select x.a from nope.t x
        Q select a from s.nope
        Q update s.t set a = a || '!' where id = 1 returning t.a, s.t.id
        Q delete from s.t where t.id = 2
        Q insert into s.t(id, a) values (1, 'twice')
        Q insert into s.t(id, b) values (9, 1) on conflict on constraint t_pkey do nothing
        Q insert into s.t(id, b) values (9, 2) on conflict (id) do update set b = excluded.b + t.b returning b
        Q create index on s.t(a)
        Q create index i on s.t(b)
        Q create index i on t(a)
        Q select schemaname, tablename, indexname, indexdef from pg_indexes where tablename = 't' order by 1, 3
        Q select nextval('s.t_id_seq'), currval('s.t_id_seq'), pg_get_serial_sequence('s.t', 'id')
        Q truncate s.t restart identity
        Q insert into s.t(a) values ('again') returning id
        Q alter table s.t add column c int not null default 3, alter column a set not null
        Q insert into s.t(a) values (null)
        Q alter table s.t rename column c to d
        Q alter table s.t rename to u
        Q alter index s.i rename to j
        Q select * from s.u
        Q select * from s.t
        Q drop index i
        Q drop index s.j
        Q drop table s.nope
        Q drop table if exists s.nope, nope.t
        Q drop table nope.t
        Q drop schema s
        Q drop table s.u
        Q drop schema s
        Q drop schema s
        Q drop schema if exists s
        Q select * from t
        "#,
    );
}

#[test]
fn the_search_path_says_what_a_name_means() {
    same(
        r#"
        Q create schema a; create schema b
        Q create table t(v text); insert into t values ('public')
        Q create table a.t(v text); insert into a.t values ('a')
        Q create table b.sole(v text); insert into b.sole values ('b')
        Q select current_schema(), current_schemas(true), current_schemas(false)
        Q set search_path = a, b, public
        Q select current_schema(), current_schemas(true), current_schemas(false)
        Q select v from t union all select v from sole order by 1
        Q create table made(id serial primary key, v int references made)
        Q insert into made values (1, 1), (2, 1)
        Q select schemaname, tablename from pg_tables where tablename in ('t', 'made', 'sole') order by 1, 2
        Q select 't'::regclass, 'public.t'::regclass, 'b.sole'::regclass, 'made_id_seq'::regclass
        Q select pg_table_is_visible('a.t'::regclass), pg_table_is_visible('public.t'::regclass), pg_table_is_visible('b.sole'::regclass)
        Q select to_regclass('nope'), to_regclass('sole'), to_regclass('public.sole')
        Q set search_path = nope, b
        Q select current_schema(), current_schemas(false)
        Q select v from t
        Q select v from sole
        Q select 'sole'::regclass, 'a.t'::regclass, 'public.t'::regclass
        Q create table here(x int)
        Q select count(*) from b.here
        Q set search_path = nope
        Q create table nowhere(x int)
        Q select current_schema()
        Q set search_path = "$user", public
        Q select v from t
        Q select v from sole
        Q create temp table t(v text); insert into t values ('temporary')
        Q select v from t
        Q select v from a.t
        Q set search_path = a
        Q drop table t
        Q drop table t
        Q select v from public.t
        Q select v from t
        Q prepare p as select 1 from made where id = $1
        Q set search_path = public
        Q execute p(1)
        Q drop schema a cascade
        Q drop schema b, nope
        Q drop schema b cascade
        Q select nspname from pg_namespace where nspname !~ '^pg_' order by 1
        "#,
    );
}

#[test]
fn keys_and_views_reach_across_schemas() {
    same(
        r#"
        Q create schema s; create schema "Odd one"
        Q create table s.p(id int primary key, n text)
        Q create table c(id int primary key, p int references s.p on delete cascade)
        Q create table "Odd one"."T"(id int primary key, c int references c(id), p int references s.p(id) on update cascade)
        Q insert into s.p values (1, 'one'), (2, 'two')
        Q insert into c values (1, 1), (2, 3)
        Q insert into c values (1, 1), (2, 2)
        Q insert into "Odd one"."T" values (1, 1, 2)
        Q update s.p set id = 5 where id = 2
        Q delete from "Odd one"."T"
        Q update s.p set id = 5 where id = 1
        Q delete from s.p where id = 1
        Q select * from c
        Q select conname, conrelid::regclass, confrelid::regclass, pg_get_constraintdef(oid) from pg_constraint where contype = 'f' order by 1
        Q create view v as select p.id, n from s.p
        Q create view s.v as select v.id + 1 as id from v
        Q select * from v
        Q select * from s.v
        Q set search_path = s
        Q create view w as select id from p where id > 0
        Q select * from w
        Q set search_path = public
        Q select * from s.w
        Q select table_schema, table_name, table_type from information_schema.tables where table_schema in ('s', 'Odd one', 'public') order by 1, 2
        Q select constraint_schema, constraint_name, unique_constraint_schema, unique_constraint_name from information_schema.referential_constraints order by 1, 2
        Q select table_schema, table_name, column_name from information_schema.key_column_usage where table_schema in ('s', 'Odd one', 'public') order by 1, 2, 3
        Q select schema_name from information_schema.schemata where schema_name !~ '^pg_' order by 1
        Q select n.nspname, c.relname, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('s', 'Odd one') order by 1, 2
        Q truncate s.p
        Q drop table s.p
        Q truncate s.p cascade
        Q drop schema "Odd one"
        "#,
    );
}

#[test]
fn sequences_and_types_have_schemas() {
    same(
        r#"
        Q create schema s
        Q create sequence s.q start 5
        Q create sequence q
        Q select nextval('s.q'), nextval('q')
        Q select last_value, is_called from s.q
        Q alter sequence s.q restart with 50
        Q create type s.mood as enum ('sad', 'ok')
        Q create type mood as enum ('other')
        Q create domain s.small as int check (value < 10)
        Q create table s.t(m s.mood default 'ok', n s.small, k int default nextval('s.q'))
        Q insert into s.t(n) values (3) returning m::text, n, k
        Q insert into s.t(n) values (30)
        Q insert into s.t(m) values ('other')
        Q select 'sad'::s.mood, 'other'::mood, 'ok'::nope.mood
        Q select 'sad'::s.mood::text, 'other'::mood::text
        Q select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 's.t'::regclass and attnum > 0 order by attnum
        Q set search_path = s
        Q select 'sad'::mood::text, 3::small
        Q create table u(m mood default 'sad', k serial)
        Q insert into u default values returning m::text, k
        Q select format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid) from pg_attribute join pg_attrdef on adrelid = attrelid and adnum = attnum where attrelid = 'u'::regclass order by attnum
        Q set search_path = public
        Q insert into s.u default values returning m::text, k
        Q select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 's.u'::regclass order by adnum
        Q select column_name, column_default, udt_schema, udt_name from information_schema.columns where table_schema = 's' order by table_name, ordinal_position
        Q select sequence_schema, sequence_name from information_schema.sequences order by 1, 2
        Q select n.nspname, t.typname from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typname in ('mood', '_mood', 'small') order by 1, 2
        Q alter type s.mood add value 'great'
        Q insert into s.u values ('great') returning m::text
        Q alter type s.mood rename value 'great' to 'grand'
        Q drop type s.mood
        Q drop sequence s.q
        Q drop sequence q
        Q drop schema s cascade
        Q select nextval('s.q')
        Q create schema s
        Q create table s.t(id int)
        "#,
    );
}

#[test]
fn objects_move_between_schemas() {
    same(
        r#"
        Q create schema a; create schema b
        Q create table t(id serial primary key, n text unique)
        Q create table r(t int references t)
        Q insert into t(n) values ('x'); insert into r values (1)
        Q alter table t set schema a
        Q insert into a.t(n) values ('y') returning *
        Q insert into r values (2), (3)
        Q select pg_get_serial_sequence('a.t', 'id'), 'a.t_n_key'::regclass
        Q create table t(id int)
        Q alter table t set schema a
        Q alter table nope set schema a
        Q alter table if exists nope set schema a
        Q alter table a.t set schema nope
        Q alter schema a rename to c
        Q alter schema nope rename to d
        Q alter schema b rename to c
        Q select * from c.t order by id
        Q insert into c.t(n) values ('x')
        Q insert into c.t(n) values ('z') returning id
        Q alter sequence c.t_id_seq set schema b
        Q create sequence free; alter sequence free set schema b
        Q select nextval('b.free')
        Q create type ty as enum ('a'); alter type ty set schema b
        Q create table typed(v b.ty)
        Q select column_name, udt_schema from information_schema.columns where table_name = 'typed'
        Q alter table c.t set schema public
        Q drop table t
        Q alter table c.t set schema public
        Q select n from t order by id
        Q drop schema c
        Q begin; create schema later; create table later.t(id int); insert into later.t values (1); rollback
        Q select * from later.t
        Q drop table typed
        Q begin; drop schema b cascade; rollback
        Q select nextval('b.free')
        Q comment on schema b is 'of b'
        Q select obj_description('b'::regnamespace), 'b'::regnamespace
        Q comment on schema nope is 'x'
        "#,
    );
}

#[test]
fn copies_and_descriptions_name_their_schemas() {
    same(
        r#"
        Q create schema s; set search_path = s
        Q create table t(id int primary key, v text)
        Q insert into t values (1, 'a')
        Q copy t to stdout
        Q copy s.t(v) to stdout
        Q copy nope.t to stdout
        Q lock table s.t
        Q begin; lock table s.t; lock table t in share mode; commit
        Q create table u as select * from t
        Q select count(*) from s.u
        Q create temp table w as select * from s.u
        Q create table public.x(like t including all)
        Q insert into public.x values (1, 'q'), (1, 'r')
        Q select table_schema, table_name from information_schema.tables where table_name in ('t', 'u', 'x') order by 1, 2
        Q create unique index on t(lower(v))
        Q insert into t values (2, 'A')
        Q select indexdef from pg_indexes where schemaname = 's' order by 1
        "#,
    );
}

#[test]
fn materialized_views_hold_what_they_read() {
    same(
        r#"
        Q create schema s
        Q create table t(id int primary key, v text, n numeric(10,2))
        Q insert into t values (1, 'a', 1.5), (2, 'b', null)
        Q create materialized view m as select id, v || '!' as loud, n from t order by id
        Q create materialized view m as select 1
        Q create materialized view if not exists m as select 1
        Q create materialized view s.m(x, y) as select count(*), sum(n) from public.m
        Q select * from m order by id
        Q select * from s.m
        Q insert into t values (3, 'c', 7)
        Q select count(*) from m
        Q insert into m values (1)
        Q delete from m
        Q update m set id = 1
        Q refresh materialized view concurrently m
        Q create unique index on m(id)
        Q refresh materialized view concurrently m
        Q refresh materialized view s.m
        Q refresh materialized view t
        Q refresh materialized view nope
        Q select * from m order by id
        Q select x, y from s.m
        Q select relname, relkind, relispopulated from pg_class where relname in ('m', 't') order by 1, 2
        Q select schemaname, matviewname, hasindexes, ispopulated from pg_matviews order by 1, 2
        Q select table_name, table_type from information_schema.tables where table_schema = 'public'
        Q select tablename from pg_tables where schemaname in ('s', 'public')
        Q select viewname from pg_views where schemaname in ('s', 'public')
        Q select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'm'::regclass and attnum > 0 order by attnum
        Q create view v as select id from m
        Q drop view m
        Q drop table m
        Q drop materialized view t
        Q drop materialized view v
        Q drop materialized view nope
        Q drop materialized view if exists nope
        Q drop table t
        Q drop materialized view m
        Q comment on materialized view m is 'kept'
        Q select obj_description('m'::regclass)
        Q begin; refresh materialized view m; rollback
        Q drop materialized view m cascade
        Q drop table t
        "#,
    );
}

#[test]
fn names_of_constraints_and_types_are_those_of_a_schema() {
    same(
        r#"
        Q create schema other
        Q create table t(id int constraint key primary key, a int constraint un unique)
        Q create table other.t(id int constraint key primary key, a int constraint un unique)
        Q create table t2(id int constraint key primary key)
        Q create table other.t2(a int, constraint un unique (a))
        Q create temporary table tt(id int constraint key primary key)
        Q select conname, conrelid::regclass from pg_constraint where contype in ('p', 'u') and conname in ('key', 'un') order by 1, conrelid::regclass::text
        Q create temporary table self(id int primary key, ref int references self(id) deferrable initially deferred)
        Q insert into self values (1, 1)
        Q create type pair as (a text, b int)
        Q create type other.pair as (a text, b int)
        Q select row('x', 1)::pair = row('x', 1)::pair, row('x', 1)::pair < row('y', 0)::pair, row('x', 1)::other.pair <> row('x', 2)::other.pair, row('x', null)::pair is not distinct from row('x', null)::pair
        Q create type mood as enum ('a')
        Q create type other.mood2 as enum ('b')
        Q create domain other.dom as int
        Q select typname, pg_type_is_visible(oid) from pg_type where typname in ('mood', 'mood2', 'dom', 'int4', 't2') order by 1, 2
        Q set search_path = other
        Q select typname, pg_type_is_visible(oid) from pg_type where typname in ('mood', 'mood2', 'dom', 'int4') order by 1
        "#,
    );
}
