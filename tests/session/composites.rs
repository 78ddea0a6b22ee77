//! Columns of composite types, compared with PostgreSQL.

use crate::common::same;

#[test]
fn columns_of_composite_types_are_written_and_read() {
    same(
        r#"
        Q create type pair as (x int, y text)
        Q create table t(id int primary key, b pair, bs pair[])
        Q insert into t values (1, (2, 'a'), array[(1, 'p')::pair, (2, null)::pair])
        Q insert into t values (2, '(4,"b c")', '{"(1,a)","(2,b)"}'), (3, null, null), (4, row(null, null), '{}')
        Q insert into t(id, b) select 5, (7, 's')::pair
        Q select * from t
        Q select id, (b).x, (b).y || '!' as y, bs[1], (bs[2]).x from t order by id
        Q select id from t where b = (2, 'a')::pair
        Q select id from t where b is distinct from (2, 'a')::pair order by id
        Q select id from t where b is null order by id
        Q select id from t where b is not null order by id
        Q select b from t order by b, id
        Q select count(*), b from t group by b order by b
        Q select distinct (b).x from t order by 1
        Q select to_json(b), jsonb_build_object('k', b) from t order by id
        Q select row_to_json(x) from (select id, b from t) as x where id = 1 or id = 3 order by id
        Q select t from t where id < 3 order by id
        Q update t set b = (9, 'u') where id = 1 returning b
        Q update t set b = null, bs = null where id = 2 returning *
        Q insert into t values (9, (1, 2, 3))
        Q insert into t values (9, ('q', 'b'))
        Q insert into t values (9, ('5', 'b')) returning (b).x
        Q insert into t values (10, (true, 'b'))
        Q create view v as select id, (b).x as x from t
        Q select * from v order by id
        Q drop type pair
        Q drop view v
        Q alter table t add column c pair default row(1, 'd')
        Q insert into t(id) values (11)
        Q select id, c from t order by id
        Q copy (select * from t order by id) to stdout
        Q copy t from stdin
        d 12	(1,z)	{"(2,q)"}	\N

        c
        Q select * from t where id = 12
        Q select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 't'::regclass and attnum > 0 order by attnum
        Q select column_name, data_type, udt_name from information_schema.columns where table_name = 't' order by ordinal_position
        P |select b, bs from t where id = $1
        B ||1
        D P
        E |0
        S
        "#,
    );
}

#[test]
fn the_fields_of_a_type_in_use_change() {
    same(
        r#"
        Q create type pair as (x int, y int)
        Q create table t(id int primary key, b pair, bs pair[])
        Q insert into t values (1, (2, 3), array[(4, 5)::pair]), (2, null, null)
        Q alter type pair add attribute z text
        Q select * from t order by id
        Q alter type pair add attribute z text
        Q alter type pair drop attribute x, add attribute w numeric(5, 2)
        Q select * from t order by id
        Q insert into t values (3, (1, 'z', 1.239), null)
        Q select (b).w from t order by id
        Q alter type pair rename attribute z to zz
        Q select (b).zz from t order by id
        Q alter type pair alter attribute zz type varchar(3)
        Q alter type pair drop attribute nope
        Q alter type pair drop attribute if exists nope
        Q alter type nope add attribute a int
        Q alter type pair rename to couple
        Q select b from t order by id
        Q select attname, format_type(atttypid, atttypmod) from pg_attribute a join pg_type t on t.typrelid = a.attrelid where t.typname = 'couple' and not attisdropped order by attnum
        Q begin
        Q alter type couple add attribute more int
        Q select b from t order by id
        Q rollback
        Q select b from t order by id
        Q create type unused as (a int)
        Q alter type unused alter attribute a type text
        Q select ('(abc)'::unused).a
        "#,
    );
}
