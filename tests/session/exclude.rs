//! EXCLUDE constraints, compared with PostgreSQL.

use crate::common::{Proxy, same, same_in_full};

#[test]
fn rows_that_exclude_each_other_are_refused() {
    same_in_full(
        r#"
        Q create extension btree_gist
        Q create table booking(id int primary key, room int, during tsrange, cancelled bool default false, constraint no_overlap exclude using gist (room with =, during with &&) where (not cancelled))
        Q insert into booking values (1, 1, '[2024-01-01, 2024-01-05)'), (2, 1, '[2024-01-05, 2024-01-07)'), (3, 2, '[2024-01-01, 2024-01-05)')
        Q insert into booking values (4, 1, '[2024-01-04, 2024-01-06)')
        Q insert into booking values (4, 1, '[2024-01-03, 2024-01-04)')
        Q insert into booking values (4, 1, '[2024-01-04, 2024-01-05)', true)
        Q insert into booking values (5, 1, 'empty'), (6, 1, 'empty'), (7, null, '[2024-01-01, 2024-01-05)'), (8, 1, null)
        Q update booking set cancelled = false where id = 4
        Q update booking set room = 1 where id = 3
        Q update booking set during = during * '[2024-01-02, 2024-01-04)' where id = 1
        Q update booking set during = '[2024-01-04, 2024-01-06)' where id = 1
        Q update booking set id = 100 where id = 1
        Q insert into booking values (9, 1, '[2024-01-04, 2024-01-05)')
        Q insert into booking values (10, 3, '[2024-02-01, 2024-02-03)'), (11, 3, '[2024-02-02, 2024-02-04)')
        Q select id, room, during from booking order by id
        Q delete from booking where id = 100
        Q insert into booking values (12, 1, '[2024-01-02, 2024-01-03)')
        Q create table one(a int, b text, exclude using btree (a with =))
        Q insert into one values (1, 'x'), (null, 'y'), (null, 'z')
        Q insert into one values (1, 'y')
        Q update one set a = 1
        Q create table span(r int4range, exclude using gist (r with &&))
        Q insert into span values ('[1,5)'), ('[5,9]')
        Q insert into span values ('[9,12)')
        Q insert into span select int4range(g, g + 3) from generate_series(20, 24) g
        Q create table same_kind(cage int, animal text, exclude using gist (cage with =, animal with <>))
        Q insert into same_kind values (1, 'zebra'), (1, 'zebra'), (2, 'lion')
        Q insert into same_kind values (1, 'lion')
        Q create table email(a text, constraint one_mail exclude using btree (lower(a) with =))
        Q insert into email values ('A@b.c')
        Q insert into email values ('a@B.c')
        "#,
    );
}

#[test]
fn exclusion_constraints_are_listed_and_changed() {
    same(
        r#"
        Q create extension btree_gist
        Q create table booking(id int primary key, room int, during tsrange, gone bool)
        Q alter table booking add constraint no_overlap exclude using gist (room with =, during with &&) where (gone is not true)
        Q alter table booking add exclude using gist (during with -|-)
        Q create table one(a int, b text, exclude using btree (a with =, lower(b) with =))
        Q select conname, contype, conkey::text, condeferrable, pg_get_constraintdef(oid) from pg_constraint where conrelid in ('booking'::regclass, 'one'::regclass) order by 1
        Q select indexrelid::regclass::text, indisunique, indisexclusion, indnatts, pg_get_indexdef(indexrelid) from pg_index where indrelid in ('booking'::regclass, 'one'::regclass) order by 1
        Q select constraint_name, constraint_type from information_schema.table_constraints where table_name = 'one' and constraint_type <> 'CHECK'
        Q insert into booking values (1, 1, '[2024-01-01, 2024-01-05)')
        Q insert into booking values (2, 1, '[2024-01-05, 2024-01-06)')
        Q alter table booking drop constraint booking_during_excl
        Q insert into booking values (2, 1, '[2024-01-05, 2024-01-06)')
        Q drop index no_overlap
        Q alter table booking rename constraint no_overlap to apart
        Q insert into booking values (3, 1, '[2024-01-05, 2024-01-06)')
        Q alter table booking rename column room to chamber
        Q insert into booking values (3, 1, '[2024-01-05, 2024-01-06)')
        Q alter table booking drop constraint apart
        Q insert into booking values (3, 1, '[2024-01-05, 2024-01-06)')
        Q alter table booking add constraint apart exclude using gist (chamber with =, during with &&)
        Q alter table booking drop constraint apart
        Q create table plain(a int, exclude using gist (nope with =))
        Q create table plain(a jsonb, exclude using gist (a with =))
        Q create table plain(a int, exclude using gin (a with =))
        Q create table plain(a int, exclude using nope (a with =))
        Q create table plain(a int, b int, exclude using hash (a with =, b with =))
        Q create table late(a int4range, b int, constraint apart exclude using gist (a with &&) include (b) where (b > 0) deferrable initially deferred)
        Q select conname, condeferrable, condeferred, conkey::text, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'late'::regclass
        Q select opcname from pg_opclass o join pg_index i on o.oid = any(i.indclass) where i.indrelid = 'late'::regclass
        Q insert into late values ('[1,5)', 1)
        Q insert into late values ('[4,6)', 1)
        Q insert into late values ('[4,6)', 0), ('[5,6)', 1)
        Q drop table booking
        "#,
    );
}

#[test]
fn exclusions_that_cannot_be_kept_are_refused() {
    let proxy = Proxy::direct();
    proxy.sql(
        "CREATE TABLE r(a int4range, EXCLUDE USING gist (a WITH &&));
         CREATE TABLE later(a int4range, EXCLUDE USING gist (a WITH &&) DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO later VALUES ('[1,5)')",
    );
    for sql in [
        "BEGIN; INSERT INTO later VALUES ('[3,9)'); COMMIT",
        "CREATE TABLE t(a int4range, EXCLUDE USING gist (a WITH <<))",
        "CREATE TEMP TABLE t(a int4range, EXCLUDE USING gist (a WITH &&))",
        "INSERT INTO r VALUES ('[1,2)') ON CONFLICT DO NOTHING",
        "INSERT INTO r VALUES ('[1,2)') ON CONFLICT ON CONSTRAINT r_a_excl DO NOTHING",
    ] {
        let (code, _, error) = proxy.psql_with(&["-v", "VERBOSITY=verbose"], sql);
        assert_ne!(code, 0, "{sql}");
        assert!(error.contains("0A000"), "{sql}: {error}");
    }
}
