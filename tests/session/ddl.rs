//! Schema changes as migrations send them, compared with PostgreSQL.

use crate::common::{same, same_in_full};

#[test]
fn what_a_dump_says_of_owners_and_what_generated_columns_need() {
    same(
        r#"
        Q create table t(id serial primary key, a text, g text generated always as (a || '!') stored)
        Q alter table t_id_seq owner to postgres
        Q alter sequence t_id_seq owner to postgres
        Q alter table nope_seq owner to postgres
        Q alter table t alter column a type varchar(10)
        Q select pg_get_serial_sequence('t', 'id')
        "#,
    );
}

#[test]
fn own_columns_are_kept_without_their_table() {
    same(
        r#"
        Q create table t(id int primary key, a int, "B" text, constraint ck check ("t"."a" > t.id), g int generated always as (t.a + "t"."id") stored)
        Q create index i on t (a) where t."B" is not null
        Q alter table t add constraint c2 check (length(t."B") > 0)
        Q create unique index u on t (lower(t."B"))
        Q select indexdef from pg_indexes where tablename = 't' order by 1
        Q select pg_get_expr(indpred, indrelid, true) from pg_index where indexrelid = 'i'::regclass
        Q select relname, indexrelname from pg_stat_user_indexes order by 2
        Q alter table t disable row level security
        Q insert into t values (1, 2, 'x')
        Q insert into t values (3, 2, 'x')
        Q select * from t
        "#,
    );
}

#[test]
fn comments_and_extensions_are_kept() {
    same(
        r#"
        Q create table t(a int primary key, b text)
        Q create index i on t(b)
        Q comment on table t is 'it''s a \ table'
        Q comment on column t.b is 'B'
        Q comment on constraint t_pkey on t is 'key'
        Q comment on index i is 'index'
        Q comment on column t.nope is 'x'
        Q comment on table nope is 'x'
        Q comment on view t is 'x'
        Q select obj_description('t'::regclass), obj_description('t'::regclass, 'pg_class'), col_description('t'::regclass, 2), obj_description('i'::regclass)
        Q select description from pg_description d join pg_class c on c.oid = d.objoid where c.relname = 't' order by objsubid
        Q comment on column t.b is null
        Q begin; comment on table t is 'other'; rollback
        Q select obj_description('t'::regclass), col_description('t'::regclass, 2)
        Q drop table t
        Q create table t(a int primary key, b text)
        Q select obj_description('t'::regclass)
        Q create extension if not exists plpgsql
        Q create extension plpgsql
        Q drop extension if exists nope
        Q drop extension nope
        "#,
    );
}

#[test]
fn indexes_keep_what_only_postgresql_has() {
    same(
        r#"
        Q create table t(a int, b varchar(10), c jsonb, "D" text)
        Q create index i1 on t(b varchar_pattern_ops, a desc nulls last)
        Q create index i2 on t using gin (c jsonb_path_ops)
        Q create index i3 on t(a) include (b, "D") where a > 3
        Q create index i4 on t using hash (b)
        Q create index on t("D" text_pattern_ops)
        Q create index i5 on t(a) with (fillfactor = 70) where a > 5
        Q create index i6 on t using gin (c) with (fastupdate = off, gin_pending_list_limit = 128)
        Q create index i7 on t using brin (a) with (autosummarize = on, pages_per_range = 4)
        Q create unique index i8 on t(a) with (fillfactor = 80, deduplicate_items = off)
        Q create index i9 on t(a) with (nope = 1)
        Q insert into t(a) values (1)
        Q insert into t(a) values (1)
        Q select relname, reloptions from pg_class where relname in ('i1', 'i5', 'i6', 'i7', 'i8') order by 1
        Q select indexname, indexdef from pg_indexes where tablename = 't' order by 1
        Q alter table t rename column b to bb
        Q alter table t rename to u
        Q select indexname, indexdef from pg_indexes where tablename = 'u' order by 1
        "#,
    );
}

#[test]
fn keys_take_over_indexes() {
    same(
        r#"
        Q create table t(a int not null, b int)
        Q create unique index i on t(a)
        Q create unique index j on t(b)
        Q alter table t add constraint k primary key using index i
        Q alter table t add constraint j unique using index j
        Q alter table t add constraint k2 primary key (a)
        Q insert into t values (1, 1), (2, 2)
        Q insert into t values (1, 3)
        Q select conname, contype, pg_get_constraintdef(oid) from pg_constraint where conrelid = 't'::regclass order by 1
        "#,
    );
}

#[test]
fn cascades_are_told_in_one_notice() {
    same(
        r#"
        Q create table p(id int primary key)
        Q create table c1(id int references p)
        Q create table c2(id int references p)
        Q create view v as select id from p
        Q drop table p
        Q drop table p cascade
        Q create table p(id int primary key)
        Q create table c3(id int references p)
        Q drop table p cascade
        "#,
    );
}

#[test]
fn sequences_are_set_by_queries() {
    same(
        r#"
        Q create table t(id serial primary key, a int)
        Q insert into t(id) values (7), (9)
        Q select setval('t_id_seq', (select max(id) from t))
        Q insert into t(a) values (1) returning id
        Q select setval(pg_get_serial_sequence('t', 'id'), coalesce(max(id), 1), max(id) is not null) from t
        Q insert into t(a) values (1) returning id
        Q delete from t
        Q select setval(pg_get_serial_sequence('"t"', 'id'), coalesce(max("id"), 1), max("id") is not null) from "t"
        Q insert into t(a) values (1) returning id
        Q select setval('t_id_seq', 20 + 1)
        Q select nextval('t_id_seq')
        "#,
    );
}

#[test]
fn types_change_by_expressions() {
    same(
        r#"
        Q create table t(id int primary key, a text, b int default 3)
        Q insert into t values (1, '10', 1), (2, '20', 2)
        Q alter table t alter column a type int
        Q alter table t alter column a type int using a::int * 2, alter column b drop default, alter column b type text using 'n' || b
        Q select * from t order by id
        Q alter table t alter column a type int using 'x'
        Q alter table t alter column b type int using b::int
        Q select * from t order by id
        "#,
    );
}

#[test]
fn types_that_what_is_declared_over_a_column_does_not_fit_are_refused() {
    same_in_full(
        r"
        Q create table t(id int primary key, n int check (n > 0), s text check (length(s) < 5), l text check (l like 'x%'), d text default 'q', e text check (e in ('a','b')), f int)
        Q insert into t values (1, 1, 'a', 'xa', 'q', 'a', 2)
        Q alter table t alter column n type text
        Q alter table t alter column s type int using 1
        Q alter table t alter column l type bytea using 'x'
        Q alter table t alter column d type int using 1
        Q alter table t alter column d drop default, alter column d type int using 1
        Q alter table t alter column d type text, alter column d set default 'z'
        Q alter table t alter column e type varchar(9)
        Q alter table t alter column n type bigint
        Q create table p(id int primary key)
        Q create table c(id int primary key, p int references p(id))
        Q alter table p alter column id type text
        Q alter table p alter column id type bigint
        ",
    );
}

#[test]
fn columns_keep_the_collation_of_a_language() {
    same(
        r#"
        Q create table t(id int primary key, a text collate "sv-x-icu", b varchar(10))
        Q create table u(a int collate "sv-x-icu")
        Q create table u(a text collate "no-such")
        Q insert into t values (1, 'x', 'y'), (2, 'x', 'z')
        Q select id from t where a = 'x' order by id
        Q select distinct a from t
        Q select a, count(*) from t group by a
        Q select attname, collname from pg_attribute join pg_collation c on c.oid = attcollation where attrelid = 't'::regclass and attnum > 0 order by attnum
        Q alter table t alter b type varchar(20) collate "en-x-icu"
        Q select attname, collname from pg_attribute join pg_collation c on c.oid = attcollation where attrelid = 't'::regclass and attnum > 0 order by attnum
        Q alter table t alter a type text
        Q select a from t order by a
        "#,
    );
    let proxy = crate::common::Proxy::direct();
    let mut raw = crate::common::Raw::proxy(&proxy);
    raw.query("create table t(id int primary key, a text collate \"sv-x-icu\", b text)");
    for refused in [
        "select * from t order by a",
        "select * from t order by upper(a)",
        "select 1 from t where a < 'x'",
        "select max(a) from t",
        "select a from (select a from t) as x order by a",
        "with x as (select a as c from t) select * from x order by c",
        "select row_number() over (order by a) from t",
        "select string_agg(a, ',' order by a) from t",
        "select greatest(a, b) from t",
        "select a from t union select 'x' order by 1",
        "update t set b = 'x' where a between 'a' and 'b'",
        "create unique index on t(a)",
    ] {
        let answers = raw.query(refused);
        assert!(answers.iter().any(|a| a.contains("0A000")), "{refused}: {answers:?}");
    }
    for served in
        ["select * from t order by b", "select max(length(a)) from t", "select min(b) from t"]
    {
        let answers = raw.query(served);
        assert!(!answers.iter().any(|a| a.contains("0A000")), "{served}: {answers:?}");
    }
}

#[test]
fn unique_indexes_fold_letters() {
    same(
        r#"
        Q create table t(id int primary key, email text, n int)
        Q insert into t values (1, 'A@x', 1), (2, 'é', 1)
        Q create unique index t_email on t (lower(email))
        Q insert into t values (3, 'a@X', 1)
        Q insert into t values (3, 'b@x', 1), (4, null, 1), (5, null, 1)
        Q update t set email = 'B@X' where id = 1
        Q insert into t values (6, 'B@X', 1) on conflict (lower(email)) do update set n = t.n + 10 returning id, n
        Q insert into t values (7, 'A@X', 1) on conflict (lower(email)) do nothing
        Q create unique index t_n on t (lower(email), n) where n > 5
        Q select id, email, n from t order by id
        Q select indexdef from pg_indexes where tablename = 't' order by 1
        "#,
    );
    let proxy = crate::common::Proxy::direct();
    let mut raw = crate::common::Raw::proxy(&proxy);
    raw.query("create table t(a text); create unique index on t (lower(a))");
    assert!(raw.query("insert into t values ('é')").iter().any(|a| a.contains("INSERT 0 1")));
    assert!(raw.query("insert into t values ('É')").iter().any(|a| a.contains("0A000")));
    raw.query("create table u(a text); insert into u values ('É')");
    let refused = raw.query("create unique index on u (lower(a))");
    assert!(refused.iter().any(|a| a.contains("0A000")), "{refused:?}");
}

#[test]
fn a_view_over_a_temporary_table_is_temporary() {
    same(
        r#"
        Q create table real(a int)
        Q insert into real values (7)
        Q create temporary table t(a int, b text)
        Q insert into t values (1, 'x'), (2, null)
        Q create temporary view v as select a, coalesce(b, 'none') as b from t
        Q create view w as select t.a, real.a as r from t, real
        Q create temp view x as select * from real
        Q create view y as select * from v where a = 1
        Q create view z as select * from real
        Q select * from v order by a
        Q select * from w order by a
        Q select * from x
        Q select * from y
        Q select relname, relkind, relpersistence, relnamespace::regnamespace::text like 'pg_temp%' from pg_class where relname in ('real', 't', 'v', 'w', 'x', 'y', 'z') order by 1
        Q insert into t values (3, 'y')
        Q select count(*) from v
        Q create view public.w as select * from real
        Q drop view y
        Q drop view v
        Q select * from v
        "#,
    );
}

#[test]
fn domains_stand_on_domains() {
    same(
        r#"
        Q create domain base as int default 3 check (value > 0)
        Q create domain upper as base check (value < 10)
        Q create domain top as upper not null constraint even check (value % 2 = 0)
        Q create domain plain as base
        Q select 4::top, 5::upper, 3::plain, null::upper
        Q create table t(id serial primary key, a upper, b top)
        Q insert into t(b) values (2) returning *
        Q insert into t(a, b) values (11, 2)
        Q insert into t(a, b) values (-1, 2)
        Q insert into t(a) values (5)
        Q insert into t(a, b) values (5, null)
        Q insert into t(b) values (5)
        Q insert into t(b) values (12)
        Q insert into t(b) values (-2)
        Q select typname, typtype, typbasetype::regtype, typnotnull, typdefault from pg_type where typname in ('base', 'upper', 'top', 'plain') order by 1
        Q select conname, contypid::regtype from pg_constraint where contypid <> 0 and contypid in (select oid from pg_type where typnamespace = 2200) order by 1
        Q drop domain base
        Q drop domain plain
        Q drop table t
        Q drop domain top
        Q drop domain upper
        Q drop domain base
        "#,
    );
}
