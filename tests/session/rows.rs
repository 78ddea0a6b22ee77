//! Rows as values, composite types, and what drivers ask of them.

use crate::common::same;

#[test]
fn rows_are_values() {
    same(
        r#"
        Q create table t(id int primary key, name text, at date, amount numeric(6,2), tag char(4))
        Q insert into t values (1, 'one', '2024-02-03', 1.5, 'ab'), (2, null, null, null, null), (3, 'a "b", c', 'infinity', 0, '')
        Q select row(1, 'x', null, true, 1.50, 'a b'::text)
        Q select (42, null), row(), row(null), (1, (2, 'y')), row('a\b', '"', ',', '()', ' ')
        Q select (r).f1, (r).f2 from (select row(1, 'a'::text) as r) as x
        Q select row(t.*)::text from t where false
        Q select (t).name, (t).amount from t order by (t).id
        Q select row(id, name) as r from t order by r
        Q select distinct row(id > 1, name is null) from t order by 1
        Q select count(*), row(id > 1) from t group by row(id > 1) order by 2
        Q select array_agg(row(id, name) order by id) from t
        Q select row(1, 2) is null, row(null, null) is null, row(1, null) is not null, (1, 2) is not null
        Q select row(tag, id) from t order by id
        Q select ((1, 2)).f3
        Q select (id).x from t
        Q select case when id = 1 then row(id, name) end from t order by id
        Q select row(1, 2) = row(1, 2), row(1, 2) < row(1, 3)
        Q set datestyle = 'German'; select row(at, id) from t order by id
        "#,
    );
}

#[test]
fn composite_types_are_made_and_used() {
    same(
        r#"
        Q create type pair as (a int, b text)
        Q create type pair as (c int)
        Q create type nested as (at date, p pair, n numeric(5,1))
        Q select attname, atttypid::regtype::text, attnum from pg_attribute a join pg_type t on t.typrelid = a.attrelid where t.typname = 'nested' order by attnum
        Q select typname, typtype, typcategory, typrelid <> 0, typarray <> 0 from pg_type where typname in ('pair', '_pair', 'nested') order by 1
        Q select relname, relkind, relnatts from pg_class where relname in ('pair', 'nested') order by 1
        Q select ((1, 'x')::pair).b, ('(7,"a b")'::pair).a
        Q select ((1, 'x')::pair)::text is not null, row('2024-01-01', (2, null), 3.25)::nested is null
        Q select (row('2024-01-01', (2, 'in'), 3.25)::nested).n
        Q select ((row('2024-01-01', (2, 'in'), 3.25)::nested).p).b
        Q select ('(1,2,3)'::pair).a
        Q select ('(1'::pair).a
        Q select ('1,2)'::pair).a
        Q select ('(x,2)'::pair).a
        Q select (1, 2, 3)::pair
        Q select ((1, 2)::pair).c
        Q select (x.r).a from (select (5, 'five')::pair as r) as x
        Q drop type pair
        Q drop type nested
        Q drop type pair
        Q drop type if exists pair
        Q select (1, 'x')::pair
        "#,
    );
}

#[test]
fn types_of_the_temporary_schema_are_the_session_s() {
    same(
        r#"
        Q create type pg_temp.mood as enum ('sad', 'ok', 'happy')
        Q create type pg_temp.item as (name text, price numeric)
        Q select 'ok'::mood > 'sad'::mood, ('(a,1.5)'::item).price
        Q select t.typname, t.typtype, n.nspname like 'pg_temp%' from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typname in ('mood', 'item') order by 1
        Q select enumlabel from pg_enum e join pg_type t on t.oid = e.enumtypid where typname = 'mood' order by enumsortorder
        Q create type mood as enum ('other')
        Q select 'ok'::mood::text
        Q select 'nope'::mood
        Q create temp table t(m mood); insert into t values ('happy'), ('sad'); select m::text from t order by m
        Q begin; create type pg_temp.gone as enum ('x'); rollback
        Q select 'x'::gone
        Q drop table t
        Q drop type mood
        Q select 'other'::mood::text
        Q discard all
        Q select ('(a,1.5)'::item).price
        "#,
    );
}

#[test]
fn sets_of_rows_stand_in_the_select_list() {
    same(
        r#"
        Q create table t(id int, a text, b int, primary key (b, a), unique (id))
        Q select (information_schema._pg_expandarray(array['x', 'y'])).n
        Q select (information_schema._pg_expandarray(array['x', 'y'])).x as x, (information_schema._pg_expandarray(array['x', 'y'])).n as n
        Q select * from information_schema._pg_expandarray(array[5, 6, 7])
        Q select (keys).x, (keys).n from (select information_schema._pg_expandarray(array[5, 6]) as keys) as k
        Q select result.table_name, result.column_name, result.key_seq, result.pk_name from (select ct.relname as table_name, a.attname as column_name, (information_schema._pg_expandarray(i.indkey)).n as key_seq, ci.relname as pk_name, information_schema._pg_expandarray(i.indkey) as keys, a.attnum as a_attnum from pg_catalog.pg_class ct join pg_catalog.pg_attribute a on (ct.oid = a.attrelid) join pg_catalog.pg_namespace n on (ct.relnamespace = n.oid) join pg_catalog.pg_index i on (a.attrelid = i.indrelid) join pg_catalog.pg_class ci on (ci.oid = i.indexrelid) where true and ct.relname = 't' and i.indisprimary) result where result.a_attnum = (result.keys).x order by result.table_name, result.pk_name, result.key_seq
        Q select tmp.index_name, tmp.ordinal_position, trim(both '"' from pg_catalog.pg_get_indexdef(tmp.ci_oid, tmp.ordinal_position, false)) as column_name from (select ci.relname as index_name, ci.oid as ci_oid, (information_schema._pg_expandarray(i.indkey)).n as ordinal_position from pg_catalog.pg_class ct join pg_catalog.pg_index i on (ct.oid = i.indrelid) join pg_catalog.pg_class ci on (ci.oid = i.indexrelid) where ct.relname = 't') as tmp order by 1, 2
        "#,
    );
}

#[test]
fn lateral_items_limit_by_the_columns_beside_them() {
    same(
        r#"
        Q create table pool(id int primary key, slots int); create table run(pool int, n int)
        Q insert into pool values (1, 2), (2, 0), (3, null), (4, 9); insert into run select p, g from generate_series(1, 4) as p, generate_series(1, 4) as g
        Q select p.id, r.n from pool p cross join lateral (select * from run where run.pool = p.id order by run.n desc limit p.slots) as r order by 1, 2
        Q select p.id, r.n from pool p cross join lateral (select * from run where run.pool = p.id order by run.n limit least($$3$$::int, p.slots) offset p.id - 1) as r order by 1, 2
        Q select p.id, r.n from pool p left join lateral (select * from run where run.pool = p.id order by run.n offset p.slots) as r on true order by 1, 2
        Q select id from pool limit slots
        "#,
    );
}

#[test]
fn clock_timestamp_moves_row_by_row() {
    same(
        r#"
        Q select count(distinct c) > 1, min(c) >= now() from (select clock_timestamp() as c from generate_series(1, 2000)) as x
        "#,
    );
}

#[test]
fn set_config_runs_for_each_row() {
    same(
        r#"
        Q select set_config(name, 'view, foreign-table', false) from pg_settings where name = 'restrict_nonsystem_relation_kind'
        Q show restrict_nonsystem_relation_kind
        Q create table t(n text, v text); insert into t values ('my.a', 'x'), ('enable_seqscan', 'off'), ('my.b', 'y')
        Q select set_config(n, v, false) from t order by n
        Q select current_setting('my.a'), current_setting('my.b'), current_setting('enable_seqscan')
        Q begin; select set_config(n, v || '!', true) from t where n = 'my.a'; show my.a; rollback
        Q show my.a
        Q select set_config('no_such', v, false) from t
        Q select set_config('enable_sort', v, false) from t where n = 'my.a'
        Q select installed_version from pg_available_extensions where name = 'pgcrypto'
        Q select relname from pg_statio_user_tables where relname = 't'
        Q select pg_stat_get_numscans('t'::regclass) is not null
        "#,
    );
}

#[test]
fn temporary_sequences_move_in_read_only_transactions() {
    same(
        r#"
        Q create temp table t(id serial, name text); create sequence s
        Q begin read only; insert into t(name) values ('x') returning id; commit
        Q select * from t
        Q begin read only; select nextval('s')
        Q rollback
        "#,
    );
}

#[test]
fn plans_are_explained_in_every_format() {
    let proxy = crate::common::Proxy::direct();
    let mut raw = crate::common::Raw::proxy(&proxy);
    raw.query("create table t(a int)");
    raw.query("create table u(b int primary key)");
    raw.query("insert into u values (1), (2)");
    for (format, column, part) in [
        ("json", "QUERY PLAN:114:", "\"Node Type\": \"Seq Scan\""),
        ("json", "QUERY PLAN:114:", "\"Relation Name\": \"t\""),
        ("xml", "QUERY PLAN:142:", "<Node-Type>Seq Scan</Node-Type>"),
        ("yaml", "QUERY PLAN:25:", "Node Type: \"Seq Scan\""),
        ("text", "QUERY PLAN:25:", "Seq Scan on t"),
        (
            "text, costs off, verbose, buffers off",
            "QUERY PLAN:25:",
            "Index Only Scan using u_pkey on u",
        ),
        ("json, analyze, timing off, summary", "QUERY PLAN:114:", "\"Actual Rows\": 0"),
        ("text, analyze, timing off, summary off", "QUERY PLAN:25:", "(actual rows=0 loops=1)"),
    ] {
        let sql = format!("explain (format {format}) select * from t left join u on b = a");
        let answers = raw.query(&sql).join("\n");
        // Values of several lines are shown as their bytes.
        let bytes: String = part.bytes().map(|b| format!("{b:02x}")).collect();
        let shown = answers.contains(part) || answers.contains(&bytes);
        assert!(answers.contains(column) && shown, "{answers}");
    }
    // ANALYZE runs what it explains, once.
    let written = raw.query("explain (analyze, format json) insert into t values (7) returning a");
    let written = written.join("\n");
    let part = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    for text in ["ModifyTable", "\"Operation\": \"Insert\"", "\"Actual Rows\": 1", "Execution Time"]
    {
        assert!(written.contains(&part(text)), "{text}: {written}");
    }
    assert!(raw.query("select count(*) from t").join("\n").contains("D 1"));
    raw.query("explain insert into t values (8)");
    assert!(raw.query("select count(*) from t").join("\n").contains("D 1"));
    let failed = raw.query("explain analyze insert into u values (1)").join("\n");
    assert!(failed.contains("23505") && !failed.contains("QUERY PLAN"), "{failed}");
    for (options, code) in [("timing", "22023"), ("wal", "22023"), ("nope", "42601")] {
        let refused = raw.query(&format!("explain ({options}) select 1")).join("\n");
        assert!(refused.contains(code), "{refused}");
    }
    let refused = raw.query("explain (format csv) select 1").join("\n");
    assert!(refused.contains("22023"), "{refused}");
}
