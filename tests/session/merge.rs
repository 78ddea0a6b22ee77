//! MERGE, compared with PostgreSQL.

use crate::common::{Proxy, same};

#[test]
fn rows_are_merged() {
    same(
        r#"
        Q create table stock(id int primary key, name text, n int not null default 0, at date)
        Q create table news(id int, name text, n int, gone bool default false)
        Q insert into stock values (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)
        Q insert into news values (1, 'A', 10), (2, 'B', null, true), (4, 'D', 40), (5, 'E', 50)
        Q merge into stock s using news n on s.id = n.id when matched and n.gone then delete when matched then update set n = s.n + n.n, name = n.name, at = '2024-02-01' when not matched and n.n < 50 then insert (id, name, n) values (n.id, lower(n.name), n.n)
        Q select * from stock order by id
        Q merge into stock using news on stock.id = news.id when not matched then insert values (news.id, news.name)
        Q select * from stock order by id
        Q merge into stock s using (values (1, 7), (9, 9)) as v(k, n) on s.id = v.k when matched and v.n > 100 then delete when matched then do nothing when not matched then insert (id, n, at) values (k, default, 'today'::date - 'today'::date + date '2020-01-01')
        Q select id, n, at from stock order by id
        Q merge into stock s using stock t on s.id = t.id + 1 when matched then update set name = t.name || '>' || s.name
        Q select id, name from stock order by id
        P |merge into stock s using (select $1 as k, $2 as w) v on s.id = v.k when matched then update set name = w when not matched then insert (id, name) values (k, w)|23,25
        D S
        B ||77,seven
        E |0
        B ||77,again
        E |0
        S
        Q select id, name from stock where id = 77
        Q with w as (select id, 5 as five from stock where id < 3) merge into stock s using w on s.id = w.id when matched then update set n = five
        Q select id, n from stock where id < 3 order by id
        Q merge into stock s using news n on s.id = n.id and n.n > 1000 when not matched then do nothing
        Q merge into stock s using (select 1 as a where false) n on true when matched then delete
        Q begin
        Q merge into stock s using news n on s.id = n.id when matched then delete
        Q select count(*) from stock
        Q rollback
        Q select count(*) from stock
        Q merge into stock s using (select 3 as id) n on s.id = n.id when matched then update set (name, n) = (select 'pair', 8)
        Q select * from stock where id = 3
        Q merge into only_one using news on true when matched then delete
        "#,
    );
}

#[test]
fn a_merge_that_fails_says_why() {
    same(
        r#"
        Q create table t(id int primary key, v int check (v < 100), w text not null default 'w')
        Q create table s(id int, v int)
        Q insert into t values (1, 1), (2, 2)
        Q insert into s values (1, 10), (1, 11), (3, 3)
        Q merge into t using s on t.id = s.id when matched then update set v = s.v
        Q merge into t using s on t.id = s.id when matched then delete
        Q merge into t using s on t.id = s.id when matched and s.v = 10 then update set v = s.v when matched then do nothing
        Q merge into t using s on t.id = s.id when matched and s.v = 11 then delete when matched then update set v = 0
        Q select * from t order by id
        Q merge into t using s on t.id = s.id and s.v = 10 when matched then update set v = 100
        Q merge into t using s on t.id = s.id when not matched then insert (id, w) values (s.id, null)
        Q merge into t using (values (8), (8)) as x(k) on t.id = k when not matched then insert (id) values (k)
        Q select * from t order by id
        Q merge into t using s on t.id = s.id when matched then update set nope = 1
        Q merge into t using s on t.id = s.id when matched then update set v = 'x'
        Q merge into t using s on t.id = s.nope when matched then delete
        Q merge into t using s on id = 1 when matched then delete
        Q merge into nope using s on true when matched then delete
        Q merge into t using nope on true when matched then delete
        Q merge into t using s on t.id = s.id when not matched then insert (id, v) values (s.id)
        Q merge into t using s on t.id = s.id when not matched then insert (id) values (s.id, 1)
        Q merge into t using s on t.id = s.id when not matched and t.v = 1 then insert (id) values (s.id)
        Q merge into t using s on t.id = s.id when not matched then update set v = 1
        Q merge into t using s on t.id = s.id when matched then do nothing when matched then delete
        Q merge into t using s on t.id = s.id when not matched by source then delete
        Q merge into t using s on t.id = s.id when matched then delete returning *
        Q select * from t order by id
        "#,
    );
}

#[test]
fn what_would_be_merged_otherwise_is_refused() {
    let proxy = Proxy::direct();
    proxy.sql(
        "CREATE TABLE t(id int PRIMARY KEY, v int); CREATE TABLE nokey(id int, v int);
         CREATE TABLE tree(id int PRIMARY KEY, up int REFERENCES tree); INSERT INTO t VALUES (1, 1)",
    );
    for sql in [
        "MERGE INTO nokey USING t ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING nokey n ON t.id = n.id AND random() < 2 WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING nokey n ON t.id = n.id WHEN MATCHED THEN UPDATE SET id = n.v",
        "MERGE INTO tree USING t ON tree.id = t.id WHEN MATCHED THEN DELETE \
         WHEN NOT MATCHED THEN INSERT VALUES (t.id)",
        "WITH d AS (DELETE FROM t RETURNING id) MERGE INTO nokey USING d ON true \
         WHEN MATCHED THEN DELETE",
    ] {
        let (code, _, error) = proxy.psql_with(&["-v", "VERBOSITY=verbose"], sql);
        assert_ne!(code, 0, "{sql}");
        assert!(error.contains("0A000"), "{sql}: {error}");
    }
    assert_eq!(proxy.sql("SELECT count(*) FROM t").trim(), "1");
}
