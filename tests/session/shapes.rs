//! Texts that differ only in their literals share a plan: every answer must still be what
//! PostgreSQL says to the text itself.

use crate::common::same;

#[test]
fn a_shared_plan_answers_each_text_by_itself() {
    same(
        r#"
        Q create table t (id int primary key, n numeric(8,2), v varchar(5), d date, b bool, f float8, big int8, u uuid, j jsonb, ts timestamptz)
        Q insert into t values (1, 1.5, 'a', '2024-01-01', true, 1, 5, null, '{"a": 1}', '2024-01-01 00:00:00+00')
        Q insert into t values (2, 2, 'bb', '2024-02-01', 't', 1.5, 6000000000, null, '[1]', '2024-01-02 00:00:00+00')
        Q insert into t values (3, 2.345, 'it''s', '1/2/2024', false, 2e3, 7, null, '"x"', '2024-01-03 10:00:00')
        Q insert into t values (4, -7.5, 'abcdef', '2024-03-01', true, 1, 5, null, '{}', 'now')
        Q insert into t values (5, -7.5, 'abcde   ', '2024-03-01', true, 1, 5, null, '{}', '2024-01-01 00:00:00+01')
        Q insert into t values (6, 12345678, 'a', '2024-03-01', true, 1, 5, null, '{}', '2024-01-01 00:00:00+01')
        Q insert into t values (7, 'x', 'a', '2024-03-01', true, 1, 5, null, '{}', '2024-01-01 00:00:00+01')
        Q insert into t values (8, '3.1', 'a', '2024-02-30', true, 1, 5, null, '{}', '2024-01-01 00:00:00+01')
        Q insert into t values (9, '3.1', 'a', '2024-02-28', 'maybe', 1, 5, null, '{}', '2024-01-01 00:00:00+01')
        Q insert into t values (99999999999, 1, 'a', '2024-02-28', true, 1, 5, null, '{}', '2024-01-01 00:00:00+01')
        Q insert into t values ('10', 1, 'a', '2024-02-28', true, 1, 5, null, '{}', '2024-01-01 00:00:00+01')
        Q insert into t values (11.6, 1, 'a', '2024-02-28', true, 1, 5, null, '{ "b":2,"a":1}', '2024-01-01 00:00:00+01')
        Q select id, n, v, d, b, f, big, j, ts at time zone 'UTC' from t where id <> 4 order by id
        Q select v from t where id = 1
        Q select v from t where id = 2
        Q select v from t where id = '3'
        Q select v from t where id = '3x'
        Q select v from t where id = 2.0
        Q select v from t where id = 2.5
        Q select v from t where id = -1
        Q select v from t where id = - 1
        Q select v from t where id = 99999999999
        Q select id from t where n = 2
        Q select id from t where n = 2.00
        Q select id from t where n = 1.50
        Q select id from t where n = '1.5'
        Q select id from t where v = 'a'
        Q select id from t where v = 'it''s'
        Q select id from t where v = E'it\'s'
        Q select id from t where v = $$bb$$
        Q select id from t where d = '2024-01-01'
        Q select id from t where d = '2024-2-1'
        Q select id from t where d = 'Feb 1 2024'
        Q select id from t where d = 'nonsense'
        Q select id from t where id in (1, 2) order by id
        Q select id from t where id in (2, 3) order by id
        Q select id from t where id in (2, '3') order by id
        Q select id from t where id in (2, '3x') order by id
        Q select id from t where id between 1 and 2 order by id
        Q select id from t where id between 2 and 3 order by id desc
        Q select id from t where (id, v) > (1, 'a') order by id
        Q select id from t where (id, v) > (2, 'b') order by id
        "#,
    );
}

#[test]
fn literals_that_mean_more_than_their_value_are_not_shared() {
    same(
        r#"
        Q create table t (a int, b int, c text)
        Q insert into t values (1, 30, 'x'), (2, 20, 'y'), (3, 10, 'z')
        Q select a, b from t order by 1
        Q select a, b from t order by 2
        Q select a, b from t order by 3
        Q select b % 20, count(*) from t group by 1 order by 1
        Q select b % 20, count(*) from t group by 2 order by 1
        Q select 1 from t where a = 1
        Q select 7 from t where a = 1
        Q select '7' from t where a = 2
        Q select a + 1 from t where a = 2 group by a + 1
        Q select a + 2 from t where a = 2 group by a + 2
        Q select a + 1 from t where a = 2 group by a + 2
        Q select a from t where a > 0 order by a limit 1
        Q select a from t where a > 0 order by a limit 2
        Q select a from t where a > 1 order by a limit 2 offset 1
        Q select a from t where c like 'x%'
        Q select a from t where c like 'y%'
        Q select a from t where 1 = 1 order by a
        Q select a from t where 1 = 2 order by a
        Q select a from t where a = 1 / 1
        Q select c::varchar(1) from t where a = 1
        Q select a from t where date '2024-01-01' < date '2024-01-02' and a = 3
        Q select a from t where c = 'x' or (select max(a) from t where b > 10) = 2 order by a
        Q select a from t where c = 'q' or (select max(a) from t where b > 5) = 3 order by a
        Q select a from t where exists (select 1 from t u where u.a = t.a and u.b = 20)
        Q select a from t where exists (select 1 from t u where u.a = t.a and u.b = 10)
        "#,
    );
}

#[test]
fn literals_of_views_and_defaults_are_their_own() {
    same(
        r#"
        Q create table t (a int default 5, b text default 'dflt', c int)
        Q create view v as select a, c from t where a = 1 or c = 77
        Q insert into t (c) values (6)
        Q insert into t (c) values (77)
        Q insert into t values (default, 'q', 1), (1, default, 2)
        Q insert into t values (default, 'r', 3), (2, default, 4)
        Q select * from t order by c
        Q select * from v where c = 2
        Q select * from v where c = 77
        Q select * from v where c = 1
        "#,
    );
}

#[test]
fn writes_and_their_plans_follow_the_schema() {
    same(
        r#"
        Q create table t (id int primary key, n int)
        Q insert into t values (1, 10)
        Q insert into t values (2, 20)
        Q insert into t values (2, 30) on conflict (id) do update set n = excluded.n + 1
        Q insert into t values (1, 40) on conflict (id) do update set n = t.n + 5 where t.n > 9
        Q insert into t values (1, 50) on conflict (id) do update set n = t.n + 7 where t.n > 90
        Q update t set n = n + 5 where id = 1
        Q update t set n = n - 7 where id = 2
        Q update t set n = n + -3 where id = 2
        Q update t set n = n + '4' where id = 2
        Q update t set n = 2147483647 + n where id = 2
        Q select * from t order by id
        Q delete from t where id = 1
        Q delete from t where id = 9
        Q select * from t order by id
        Q alter table t alter column n type numeric(6,1)
        Q update t set n = 1.25 where id = 2
        Q update t set n = 7.77 where id = 2
        Q select * from t where n = 7.8
        Q begin
        Q select nope from t where id = 2
        Q select n from t where id = 2
        Q rollback
        Q select n from t where id = 2
        Q select n from t where id = 3; select n from t where id = 2
        "#,
    );
}

#[test]
fn a_partial_index_serves_as_before() {
    same(
        r#"
        Q create table t (id int primary key, s text)
        Q create unique index one_open on t (s) where s = 'open'
        Q insert into t values (1, 'open')
        Q insert into t values (2, 'open')
        Q insert into t values (2, 'done')
        Q insert into t values (3, 'done')
        Q insert into t values (4, 'open') on conflict (s) where s = 'open' do nothing
        Q insert into t values (4, 'open') on conflict (s) where s = 'done' do nothing
        Q select id from t where s = 'open'
        Q select id from t where s = 'done' order by id
        "#,
    );
}
