//! When AFTER triggers fire: behind the last row of their statement, compared with PostgreSQL.

use crate::common::{Proxy, Raw, same};

#[test]
fn an_after_trigger_sees_all_rows_of_its_statement() {
    same(
        r#"
        Q create table t(id int primary key, v int)
        Q create table sums(k serial, op text, id int, n bigint, v bigint)
        Q create view all_t as select v from t
        Q create function f() returns trigger language plpgsql as $$ begin if tg_op = 'DELETE' then insert into sums(op, id, n, v) values (tg_op, old.id, (select count(*) from t), (select sum(v) from t)); else insert into sums(op, id, n, v) values (tg_op || coalesce(old.v::text, '-') || new.v, new.id, (select count(*) from t), (select sum(v) from all_t)); end if; return null; end $$
        Q create trigger a after insert or update or delete on t for each row execute function f()
        Q insert into t values (1, 10), (2, 20), (3, 30)
        Q insert into t values (2, 25), (4, 40), (3, 35), (5, 50) on conflict (id) do update set v = excluded.v returning id, v, (select count(*) from sums)
        Q update t set v = v + 1 where id < 4 returning *
        Q delete from t where id in (1, 2) returning id
        Q select * from sums order by k
        Q create function g() returns trigger language plpgsql as $$ begin if (select sum(v) from all_t) > 1000 then raise exception 'too much: % in row %', (select sum(v) from t), new.id using errcode = '23514'; end if; return null; end $$
        Q create trigger g after insert or update of v on t for each row execute function g()
        Q insert into t values (10, 900), (11, 200), (12, -300)
        Q insert into t values (20, 900), (21, 900), (22, -1500)
        Q insert into t values (30, 1500), (31, -1500) returning id
        Q update t set v = 5000 where id = 10
        Q begin; insert into t values (40, 1), (41, 1); savepoint s
        Q update t set v = 800 where id in (40, 41)
        Q rollback to s
        Q update t set v = v - 1 where id in (40, 41)
        Q commit
        Q select * from t order by id
        Q select op, id, n, v from sums order by k
        Q copy t from stdin
        d 100\t1\n101\t2\n102\t3\n
        c
        Q select op, id, n, v from sums order by k desc limit 4
        Q prepare p as insert into t select n, 1 from generate_series(200, 203) n
        Q execute p
        Q select op, id, n, v from sums order by k desc limit 5
        Q create or replace function f() returns trigger language plpgsql as $$ begin if tg_op = 'INSERT' then insert into sums(op, id, n, v) select 'group', max(t.id), count(*), sum(v) from t; end if; return null; end $$
        Q insert into t values (310, 1), (311, -1)
        Q select op, id, n, v from sums order by k desc limit 2
        Q drop trigger a on t
        Q insert into t values (400, 1), (401, 1)
        Q select count(*) from sums
        "#,
    );
}

#[test]
fn triggers_write_their_own_table_and_follow_actions_of_foreign_keys() {
    same(
        r#"
        Q create table m(id int primary key, thread int, latest bool not null default true, depth int)
        Q create function l() returns trigger language plpgsql as $$ begin update m set latest = false where thread = new.thread and id < new.id; return null; end $$
        Q create trigger l after insert on m for each row execute function l()
        Q insert into m values (1, 1), (2, 1), (3, 2), (4, 1), (5, 2) returning *
        Q select * from m order by id
        Q create table log(k serial primary key, what text)
        Q create function lg() returns trigger language plpgsql as $$ begin insert into log(what) values (tg_op || ' ' || new.id || coalesce(old.latest::text,'') || new.latest || (select count(*) from m where latest)); return null; end $$
        Q create trigger z after insert or update on m for each row execute function lg()
        Q insert into m values (6, 1), (7, 1), (8, 2)
        Q select * from log order by k
        Q select * from m order by id
        Q create table p(id int primary key, n int)
        Q create table c(id int primary key, p int references p on delete cascade on update cascade)
        Q create table d(id int primary key, c int references c on delete set null)
        Q create table audit(k serial primary key, what text)
        Q create function a() returns trigger language plpgsql as $$ begin insert into audit(what) select tg_table_name || tg_op || old.id || ' ' || (select count(*) from p) ; return null; end $$
        Q create trigger a after update or delete on p for each row execute function a()
        Q create trigger a after update or delete on c for each row execute function a()
        Q create trigger a after update or delete on d for each row execute function a()
        Q insert into p values (1), (2), (3)
        Q insert into c values (1, 1), (2, 1), (3, 2), (4, 3)
        Q insert into d values (1, 1), (2, 3), (3, 4)
        Q delete from p where id < 3
        Q update p set id = id + 10
        Q select * from audit order by k
        Q select * from d order by id
        Q create table topic(id int primary key, posts int not null default 0)
        Q create table post(id int primary key, topic int references topic on delete cascade)
        Q create function cnt() returns trigger language plpgsql as $$ begin if tg_op = 'INSERT' then update topic set posts = (select count(*) from post where topic = new.topic) where id = new.topic; else update topic set posts = (select count(*) from post where topic = old.topic) where id = old.topic; end if; return null; end $$
        Q create trigger cnt after insert or delete on post for each row execute function cnt()
        Q create function tl() returns trigger language plpgsql as $$ begin insert into audit(what) values ('topic ' || old.posts || '>' || new.posts); return new; end $$
        Q create trigger tl after update on topic for each row execute function tl()
        Q insert into topic values (1), (2)
        Q insert into post values (1, 1), (2, 1), (3, 2)
        Q delete from post where id in (1, 3)
        Q select * from topic order by id
        Q delete from topic where id = 1
        Q select * from audit order by k
        Q create table n(id int primary key, v text)
        Q create function n1() returns trigger language plpgsql as $$ begin insert into audit(what) values (tg_name || new.id || (select count(*) from n)); return null; end $$
        Q create trigger b after insert or update on n for each row execute function n1()
        Q create trigger a after insert or update of v on n for each row execute function n1()
        Q create trigger "Z" after insert or update of id on n for each row execute function n1()
        Q create trigger c after insert on n for each row when (new.v = 'x') execute function n1()
        Q truncate audit
        Q insert into n values (1, 'x'), (2, 'y')
        Q update n set v = 'z'
        Q update n set id = id + 5
        Q insert into n values (6, 'x'), (9, 'x') on conflict (id) do update set v = excluded.v
        Q select what from audit order by k
        "#,
    );
}

#[test]
fn a_statement_does_not_see_what_its_triggers_write() {
    same(
        r#"
        Q create table a(id int primary key, n int)
        Q create table b(k serial, id int)
        Q create function w() returns trigger language plpgsql as $$ begin insert into b(id) values (new.id); return new; end $$
        Q create trigger w after insert or update on a for each row execute function w()
        Q insert into a values (1, (select count(*) from b)), (2, (select count(*) from b))
        Q select * from a order by id
        Q insert into a select x, (select count(*) from b) from generate_series(10, 12) x returning id, n, (select count(*) from b)
        Q update a set n = (select count(*) from b)
        Q select * from a order by id
        Q update a set n = 0 where (select count(*) from b) < 11
        Q select * from a order by id
        Q update a set n = n + (select max(k) from b) returning id, n, (select count(*) from b)
        Q insert into a values (1, 1), (2, 2) on conflict (id) do update set n = (select count(*) from b)
        Q select * from a order by id
        Q update a set n = (select count(*) from b)
        Q select * from a order by id
        Q select count(*) from b
        "#,
    );
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    raw.run(
        r#"
        Q create table a(id int primary key, n int)
        Q create table b(k serial, id int)
        Q create function w() returns trigger language plpgsql as $$ begin insert into b(id) values (new.id); return new; end $$
        Q create trigger w before insert or update on a for each row execute function w()
        Q insert into a values (1, 1), (2, 2)
        "#,
    );
    for sql in [
        "insert into a values (3, (select count(*) from b)), (4, (select count(*) from b))",
        "update a set n = 1 returning (select count(*) from b)",
        "update a set n = (select count(*) from b where b.id >= a.id)",
    ] {
        let found = raw.run(&format!("Q {sql}"));
        assert!(found.contains("0A000"), "{sql}\n{found}");
    }
}

#[test]
fn what_actions_change_in_between_is_refused() {
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    raw.run(
        r#"
        Q create table p(id int primary key)
        Q create table c(id int primary key, p int references p on delete cascade)
        Q create table log(n bigint, m bigint)
        Q create function f() returns trigger language plpgsql as $$ begin insert into log values ((select count(*) from p), (select count(*) from c)); return null; end $$
        Q create trigger f after delete on p for each row execute function f()
        Q insert into p values (1), (2), (3)
        Q insert into c values (1, 1), (2, 2)
        "#,
    );
    let found = raw.run("Q delete from p where id = 1\nQ select * from log");
    assert!(found.contains("D 2 | 1"), "{found}");
    let found = raw.run("Q delete from p");
    assert!(found.contains("0A000"), "{found}");
}

#[test]
fn a_circle_over_a_foreign_key_is_refused() {
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    let found = raw.run(
        r#"
        Q create table p(id int primary key)
        Q create table c(id int primary key, p int references p on delete cascade)
        Q create table log(id int)
        Q create function f() returns trigger language plpgsql as $$ begin insert into log values (old.id); delete from p where id = old.p; return null; end $$
        Q create trigger f after delete on c for each row execute function f()
        "#,
    );
    assert!(found.contains("E ERROR 0A000 ") && found.contains("in a circle"), "{found}");
}
