create domain positive as int check (value > 0)
create domain code as varchar(3) default 'abc' not null
create domain even as int8 constraint is_even check (value <> 3) constraint is_small check (value < 1000)
create domain note as text
create domain positive as int
create domain bad as int null not null
create domain bad as nothing
create domain bad as int check (value)
create domain bad as int unique
create domain bad as int primary key
create domain bad as int default 'x'
select 5::positive, 3.6::positive, '7'::positive, null::positive, 4::even::int4
select (-5)::positive
select '-5'::positive
select 'x'::positive
select 3::even
select 2000::even
select null::code
select 'abcd'::code, 'ab'::code || 'c'
select 5::positive + 1, 5::positive = 5, sum(x::positive) from (values (1), (2)) v(x) group by 1, 2
create table of_domain (id int primary key, p positive, c code, e even default 4, n note, x positive not null default 9)
insert into of_domain (id) values (1)
insert into of_domain values (2, 3, 'xyz', 6, 'hello', 1), (3, null, default, null, null, default)
select * from of_domain order by id
insert into of_domain (id, p) values (4, 0)
insert into of_domain (id, p) values (4, 1), (5, -1)
insert into of_domain (id, c) values (4, null)
insert into of_domain (id, c) values (4, 'abcd')
insert into of_domain (id, e) values (4, 3)
insert into of_domain (id, e) values (4, 1002)
insert into of_domain (id, x) values (4, null)
insert into of_domain (id, p) select 10 + g, g from generate_series(1, 3) g returning id, p
insert into of_domain (id, p) select 20 + g, g from generate_series(-1, 3) g
update of_domain set p = p + 1 where id = 2 returning p
update of_domain set p = -p where id = 2
update of_domain set e = default, c = default where id = 2 returning e, c
update of_domain set c = null where id = 2
insert into of_domain (id, p) values (2, 5) on conflict (id) do update set p = excluded.p * 10 returning p
insert into of_domain (id, p) values (2, 5) on conflict (id) do update set p = -excluded.p
insert into of_domain (id, p) values (2, -5) on conflict (id) do nothing
select p, e, c from of_domain where p > 2 order by id
select p, count(*) from of_domain group by p order by p
select coalesce(p, 0), p::text, p * 2.5 from of_domain order by id
prepare put(int, positive) as insert into of_domain (id, p) values ($1, $2)
execute put(30, 4)
execute put(31, -4)
select typname, typtype, typnotnull, typbasetype::regtype, typtypmod, typdefault from pg_type where typname in ('positive', 'code', 'even', 'note') order by 1
select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute where attrelid = 'of_domain'::regclass and attnum > 0 order by attnum
select conname, contype, contypid::regtype, pg_get_constraintdef(oid), pg_get_constraintdef(oid, true) from pg_constraint where contypid <> 0 and conname in ('positive_check', 'is_even', 'is_small') order by 1
select domain_name, data_type, character_maximum_length, domain_default, udt_name from information_schema.domains where domain_name in ('positive', 'code', 'even', 'note') order by 1
select column_name, data_type, is_nullable, domain_name, udt_name from information_schema.columns where table_name = 'of_domain' order by ordinal_position
select constraint_name, domain_name from information_schema.domain_constraints where domain_name in ('positive', 'even') order by 1
select 'positive'::regtype, format_type('code'::regtype, -1)
drop domain positive
drop domain missing
drop domain if exists missing
drop table of_domain
drop domain positive
drop type even
drop domain code, note
select 1::positive
create type mood as enum ('sad', 'ok')
create domain cheer as mood check (value <> 'sad')
select 'ok'::cheer
select 'sad'::cheer
create table moods (m cheer)
insert into moods values ('ok'), (null)
insert into moods values ('sad')
drop domain mood
create domain numbers as int[] check (cardinality(value) < 3)
select '{1,2}'::numbers, (array[3])::numbers
select '{1,2,3}'::numbers
~ create domain over as numbers
~ create type holder as (n numbers)
