//! Trigger functions and generated columns, compared with PostgreSQL.

use crate::common::{Proxy, Raw, same};

#[test]
fn guards_refuse_rows_with_postgresql_s_error() {
    same(
        r#"
        Q create table t(id int primary key, a int, b text)
        Q create function guard() returns trigger as $$ begin if new.a < 0 then raise exception 'bad % in % (%)', new.a, tg_table_name, new.b using errcode = 'check_violation', hint = 'Be nice.', detail = 'd'; end if; return new; end $$ language plpgsql
        Q create trigger g before insert or update on t for each row execute function guard()
        Q insert into t values (1, 1, 'x'), (2, -1, null)
        Q insert into t values (1, 1, 'x')
        Q update t set a = -5
        Q insert into t values (1, -3, 'y') on conflict (id) do update set a = 7
        Q insert into t values (1, 3, 'y') on conflict (id) do update set a = -7
        Q begin; insert into t values (5, 5, 'kept'); savepoint s
        Q update t set a = -1 where id = 5
        Q rollback to s
        Q commit
        Q select * from t order by id
        Q create function immutable_key() returns trigger as $$ begin if old.id <> new.id then raise exception 'id is fixed'; end if; return new; end; $$ language plpgsql
        Q create trigger k before update of id on t for each row execute procedure immutable_key()
        Q update t set b = 'other' where id = 1
        Q update t set id = 9 where id = 1
        Q create function no_delete() returns trigger as $$ begin raise exception using message = 'not ' || old.b, errcode = 'P0002'; end $$ language plpgsql
        Q create trigger d before delete on t for each row when (old.b = 'kept') execute function no_delete()
        Q delete from t where id = 5
        Q delete from t where id = 1
        Q select id from t
        Q truncate t
        "#,
    );
}

#[test]
fn new_is_assigned_before_the_row_is_written() {
    same(
        r#"
        Q create table t(id serial primary key, title text not null, slug text not null, n int default 5, at timestamptz)
        Q create function fill() returns trigger language plpgsql as $$ begin new.at := now(); if new.slug is null then new.slug = lower(new.title); elsif tg_op = 'UPDATE' and new.title is distinct from old.title then new.slug := new.slug || '-' || upper(new.title); end if; new.n := new.n + 1; return new; end $$
        Q create trigger f before insert or update on t for each row execute function fill()
        Q insert into t(title) values ('One'), ('Two') returning id, title, slug, n, at = now()
        Q insert into t(id, title, slug, n) select id + 10, title || '!', null, n from t order by id returning slug, n
        Q update t set title = 'Other' where id = 1 returning slug, n
        Q update t set n = 0 where id = 2 returning slug, n, at is not null
        Q insert into t(id, title) values (1, 'Again') on conflict (id) do update set title = excluded.title returning id, title, slug, n
        Q alter table t disable trigger f
        Q insert into t(title) values ('x')
        Q alter table t enable trigger f
        Q insert into t(title) values ('X') returning slug
        Q create function skip() returns trigger as $$ begin if new.title = 'skip' then return null; end if; return new; end $$ language plpgsql
        Q create trigger a before insert on t for each row execute function skip()
        Q insert into t(title) values ('skip'), ('keep') returning title
        Q drop trigger a on t
        Q insert into t(title) values ('skip') returning title
        "#,
    );
}

#[test]
fn rows_are_written_to_other_tables() {
    same(
        r#"
        Q create table t(id int primary key, b text)
        Q create table log(n serial primary key, id int, what text, at timestamptz default now())
        Q create table counts(name text primary key, n int not null)
        Q insert into counts values ('t', 0)
        Q create function audit() returns trigger as $$ declare c int; begin if tg_op = 'INSERT' then insert into log(id, what) values (new.id, 'I ' || new.b); update counts set n = n + 1 where name = tg_table_name; elsif tg_op = 'UPDATE' then if new.b <> old.b then insert into log(id, what) values (new.id, old.b || '>' || new.b); end if; else insert into log(id, what) values (old.id, 'D'); update counts set n = n - 1 where name = 't'; end if; return null; end $$ language plpgsql
        Q create trigger z after insert or update or delete on t for each row execute function audit()
        Q insert into t values (1, 'a'), (2, 'b')
        Q update t set b = 'c'
        Q update t set b = 'c'
        Q delete from t where id = 1
        Q select n, id, what, at is not null from log order by n
        Q select * from counts
        Q begin; insert into t values (7, 'gone'); rollback
        Q select count(*) from log
        Q begin; drop trigger z on t; insert into t values (8, 'quiet'); rollback
        Q select count(*) from log
        Q insert into t values (9, 'loud')
        Q select id, what from log where id > 6
        Q create function look() returns trigger as $$ declare found_name text; begin select what into found_name from log where id = new.id order by n limit 1; if found then raise exception 'logged: %', found_name; end if; return new; end $$ language plpgsql
        Q create trigger l before update on t for each row execute function look()
        Q update t set b = 'x' where id = 9
        Q drop trigger l on t
        Q create table held(id int, token text); create table mode(id int, token text)
        Q create function release() returns trigger as $$ declare mode_token text; new_token text; begin select token into mode_token from mode where id = old.id and token = old.token for update; if not found then return new; end if; select token into new_token from held where id = old.id limit 1 for update skip locked; if not found then delete from mode where id = old.id and token = old.token; else update mode set token = new_token where id = old.id; end if; return new; end $$ language plpgsql
        Q create trigger r after delete on held for each row execute function release()
        Q insert into held values (1, 'a'), (1, 'b'), (2, 'c'); insert into mode values (1, 'a'), (2, 'c')
        Q delete from held where token = 'a'
        Q select * from mode order by id
        Q delete from held where id = 1
        Q delete from held
        Q select * from mode
        "#,
    );
}

#[test]
fn functions_and_triggers_are_objects() {
    same(
        r#"
        Q create table t(a int, b int)
        Q create trigger x before insert on t for each row execute function f()
        Q create function f() returns trigger as $$ begin return new; end $$ language plpgsql
        Q create function f() returns trigger as $$ begin return new; end $$ language plpgsql
        Q create or replace function f() returns trigger as $$ begin return new; end $$ language plpgsql
        Q create trigger x before insert or update of b on t for each row when (new.a > 1) execute function f('one', 2)
        Q create trigger x before insert on t for each row execute function f()
        Q create or replace trigger y after delete on t for each row execute function f()
        Q select tgname, tgtype, tgenabled, pg_get_triggerdef(oid) from pg_trigger where tgrelid = 't'::regclass order by tgname
        Q select proname, prorettype::regtype, prosrc from pg_proc where proname = 'f'
        Q drop function f()
        Q alter table t disable trigger nope
        Q alter table t drop column b
        Q drop trigger nope on t
        Q drop trigger if exists nope on t
        Q drop trigger x on nope
        Q drop trigger if exists x on nope
        Q drop function if exists nope()
        Q drop function nope()
        Q drop function f() cascade
        Q select count(*) from pg_trigger where tgrelid = 't'::regclass
        Q insert into t values (1, 2)
        "#,
    );
}

#[test]
fn rows_that_a_foreign_key_changes_get_what_triggers_assign() {
    same(
        r#"
        Q create table p(id int primary key, code text unique)
        Q create table c(id int primary key, p int references p on delete set null on update cascade, q text default 'd' references p(code) on delete set default on update set null, n int default 0, was text)
        Q create function touch() returns trigger as $$ begin new.n := new.n + 1; new.was := coalesce(old.was, '') || coalesce(old.p::text, '-'); return new; end $$ language plpgsql
        Q create trigger t before update on c for each row execute function touch()
        Q insert into p values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')
        Q insert into c(id, p, q) values (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'b'), (4, null, null), (5, 5, 'e')
        Q update p set id = 20 where id = 2
        Q select * from c order by id
        Q update p set id = id, code = code
        Q select * from c order by id
        Q update p set code = 'z' where id = 20
        Q delete from p where id in (1, 3)
        Q select * from c order by id
        Q begin; delete from p where id = 5; select * from c where id = 5; rollback
        Q create table tree(id int primary key, parent int references tree on delete set null, n int default 0)
        Q create function count_up() returns trigger as $$ begin new.n := new.n + 1; return new; end $$ language plpgsql
        Q create trigger t before update of parent on tree for each row execute function count_up()
        Q insert into tree values (1, 1), (2, 1), (3, 2), (4, 2)
        Q delete from tree where id = 1
        Q select * from tree order by id
        Q delete from tree where id = 2 returning n
        Q select * from tree order by id
        Q create table later(id int primary key, p int, n int default 0)
        Q create trigger t before update on later for each row execute function count_up()
        Q alter table later add foreign key (p) references p on delete cascade on update set default
        Q insert into later values (1, 4), (2, 20)
        Q update p set id = 40 where id = 4
        Q select * from later order by id
        "#,
    );
}

#[test]
fn unique_indexes_over_expressions_are_kept() {
    same(
        r#"
        Q create table t(id int primary key, name text, "Slug" text, gone boolean default false)
        Q insert into t values (1, 'Anger', 'A'), (2, 'anger', 'b')
        Q create unique index u on t ((lower(name)))
        Q update t set name = 'x' where id = 2
        Q create unique index u on t ((lower(name)), upper("Slug") desc) where gone is not true
        Q insert into t values (3, 'ANGER', 'a')
        Q insert into t values (3, 'ANGER', 'c'), (4, null, 'a'), (5, null, 'a'), (6, '', 'q'), (7, '', 'q'), (8, 'anger', 'A', true)
        Q update t set gone = false where id = 8
        Q update t set name = 'anGer' where id = 1
        Q update t set "Slug" = 'C' where id = 1
        Q update t set id = id + 100
        Q insert into t values (9, 'Anger', 'C') on conflict (id) do update set name = 'y'
        Q insert into t values (101, 'Anger', 'C') on conflict (id) do update set name = excluded.name, "Slug" = 'c'
        Q select id, name, gone from t order by id
        Q select indexname, indexdef from pg_indexes where tablename = 't' order by 1
        Q alter table t rename column name to title
        Q insert into t values (20, 'anger', 'c')
        Q drop index u
        Q insert into t values (20, 'anger', 'c')
        "#,
    );
}

#[test]
fn actions_beside_triggers_that_cannot_be_run_are_refused() {
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    raw.run("Q create table p(id int primary key)");
    raw.run("Q create function skip() returns trigger as $$ begin if old.id > 5 then return null; end if; return old; end $$ language plpgsql");
    raw.run("Q create function up() returns trigger as $$ begin new.n := new.n + 1; return new; end $$ language plpgsql");
    raw.run("Q create trigger s before delete on p for each row execute function skip()");
    raw.run("Q create table c(id int primary key, p int, n int default 0)");
    raw.run("Q create trigger u before update on c for each row execute function up()");
    let key = "alter table c add constraint k foreign key (p) references p on delete set null";
    let found = raw.run(&format!("Q {key}"));
    assert!(found.contains("0A000"), "{found}");
    raw.run("Q drop trigger s on p");
    raw.run(&format!("Q {key}"));
    let found =
        raw.run("Q create trigger s before delete on p for each row execute function skip()");
    assert!(found.contains("0A000"), "{found}");
    let found = raw.run("Q insert into p values (1)\nQ delete from p");
    assert!(found.contains("DELETE 1"), "{found}");
}

#[test]
fn what_cannot_be_run_is_refused_when_it_is_created() {
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    let refused = |raw: &mut Raw, sql: &str| {
        let found = raw.run(&format!("Q {sql}"));
        assert!(found.contains("0A000"), "{sql}\n{found}");
    };
    raw.run("Q create table t(a int, b int)");
    for body in [
        "begin for i in 1..3 loop null; end loop; return new; end",
        "begin execute 'select 1'; return new; end",
        "begin raise notice 'x'; return new; end",
        "begin return new; exception when others then return null; end",
    ] {
        let sql = format!("create function f() returns trigger as $${body}$$ language plpgsql");
        refused(&mut raw, &sql);
    }
    refused(
        &mut raw,
        "create function g(variadic a int[]) returns int as $$ begin return 1; end $$ language plpgsql",
    );
    raw.run("Q create function own() returns trigger as $$ begin insert into t values (1, 2); return new; end $$ language plpgsql");
    refused(&mut raw, "create trigger o before insert on t for each row execute function own()");
    refused(&mut raw, "create trigger o after insert on t for each row execute function own()");
    refused(&mut raw, "create trigger o after insert on t execute function own()");
    let found = raw.run("Q insert into t values (1, 2)\nQ select count(*) from t");
    assert!(found.contains("INSERT 0 1"), "{found}");
}

#[test]
fn generated_columns_that_sqlite_cannot_compute_are_computed_all_the_same() {
    same(
        r#"
        Q create table t(id int primary key, a bigint, b bigint, name varchar(20), d bigint generated always as (a - b) stored, low varchar(20) generated always as (lower(name)) stored, five text generated always as ('five') stored)
        Q insert into t(id, a, b, name) values (1, 10, 4, 'One'), (2, null, 1, null) returning *
        Q insert into t(id, a, b) values (3, 9223372036854775807, -1)
        Q update t set a = 100 where id = 1 returning d, low
        Q update t set name = 'AB' where id = 2 returning id, low
        Q update t set d = 5
        Q insert into t(id, d) values (9, 1)
        Q insert into t(id, a, b) values (1, 0, 7) on conflict (id) do update set a = excluded.a, b = excluded.b returning d
        Q alter table t add column up text generated always as (upper(name) || '!') stored
        Q select * from t order by id
        Q select attname, attgenerated from pg_attribute where attrelid = 't'::regclass and attname = 'd'
        Q alter table t drop column a
        Q alter table t drop column a cascade
        Q select * from t order by id
        "#,
    );
}

#[test]
fn names_may_differ_by_letter_case() {
    same(
        r#"
        Q create table t(a int, "A" text)
        Q create table "T"(x int)
        Q create index i on t(a)
        Q create unique index "I" on t("A")
        Q insert into t values (1, 'x'); insert into "T" values (7)
        Q insert into t values (1, 'x')
        Q select a, "A" from t
        Q select x from "T"
        Q drop index i
        Q alter index "I" rename to i
        Q insert into t values (2, 'x')
        Q alter table t add column "a_" int, add column "A_" int default 4
        Q alter table t rename column "A" to "Z"
        Q alter table t rename column "Z" to "A"
        Q select * from t
        Q drop table t
        Q select x from "T"
        "#,
    );
}
