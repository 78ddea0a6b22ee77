set crossfade.dialect = 'postgres'
create table parent(id int primary key, name text unique, code varchar(5), n numeric(5,2), constraint name_check check (name <> ''))
create table child(id serial primary key, pid int references parent(id), other int not null, constraint child_u unique(pid, other))
create table c2(a int, b int, primary key (a,b))
create table c3(x int, y int, constraint c3_fk foreign key (x,y) references c2(a,b) on delete restrict)
create table typed(b bool, i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, d date, ts timestamp, tz timestamptz, t time, u uuid, j json, jb jsonb, by bytea, iv interval, arr int[], ch char(3), vc varchar(3), txt text, num numeric)
insert into parent values (1,'a','x',1), (2,'b','y',2)
insert into child(pid, other) values (1, 5)
insert into c2 values (1,1)
insert into c3 values (1,1)
insert into parent values (1,'c','x',1)
insert into parent values (3,'a','x',1)
insert into parent values (3,'','x',1)
insert into parent values (null,'q','x',1)
insert into parent(name) values ('no key')
update parent set id = null where id = 1
insert into parent values (3,'c','toolong',1)
insert into parent values (3,'c','x',1000)
insert into parent values (3,'c','x',1,2)
insert into parent(id, nope) values (3,'c')
insert into parent(id, id) values (3,4)
insert into parent(id, name) values (3)
insert into parent(id) values (3,'x')
insert into child(pid) values (1)
insert into child(pid, other) values (99, 1)
insert into child(pid, other) values (1, 5)
insert into c3 values (7,8)
insert into c2 values (1,1)
delete from parent where id = 1
update parent set id = 9 where id = 1
delete from c2
update child set pid = 77
update child set other = null
update parent set name = 'b' where id = 1
update parent set name = null, id = null
update parent set nope = 1
update parent set id = 'abc'
update nope set a = 1
delete from nope
insert into nope values (1)
select * from nope
select * from public.nope
select * from nosch.nope
select nope from parent
select parent.nope from parent
select p.id from parent
select parent.id from parent p
select x.* from parent
select id from parent, child
select nofunc(1)
select lower(1, 2)
select lower(1)
select abs('x'::text)
select substr(1,2)
select 1 + 'a'::text
select 'a'::text + 1
select 1 = 'a'::text
select true + 1
select not 1
select - 'a'::text
select 1 || 2
select 'abc'::int
select '999999999999'::int
select '99999'::smallint
select 99999::smallint
select 3000000000::int
select '1.5'::int
select 'x'::boolean
select 'x'::date
select '2020-13-01'::date
select '2020-02-30'::date
select '25:00'::time
select '2020-01-01 25:00'::timestamp
select 'x'::timestamptz
select 'x'::uuid
select '\xz'::bytea
select 'x'::interval
select '{1,x}'::int[]
select '{1'::int[]
select 'x'::numeric
select 'x'::float8
select '1e400'::float8
select 2147483647 + 1
select 9223372036854775807 + 1
select 32767::smallint + 1::smallint
select 1/0
select 1.0/0
select 1 % 0
select sqrt(-1)
select ln(0)
select power(0, -1)
select exp(1000.0::float8)
select 10::numeric ^ 100000
select cast(true as date)
select 1::bytea
select '1'::int::bool::date
select null::nope
select cast(1 as nope)
select * from parent where
select form parent
selec 1
select 'abc
select "abc
select 1 from
select (1
select 1)
select * from parent order by
create table t (
insert into parent values
select 1 1
select a b c
select 1;; select )
select id, count(*) from parent
select name from parent group by id order by code, count(*)
select name, id from parent group by name
select count(*) from parent where count(*) > 1
select sum(count(*)) from parent
select id from parent having id > 1
select count(count(id)) from parent
select row_number() over () from parent where row_number() over () > 1
select id from parent order by 2
select id from parent order by 0
select id from parent group by 3
select distinct id from parent order by name
select distinct on (name) id from parent order by id
select id from parent union select name from parent
select id, name from parent union select id from parent
select id from parent union all select id from child order by name
select 1 union select 'a'
select (select id, name from parent)
select (select id from parent)
select id in (select id, name from parent) from parent
select 1 in (1, 'a')
select case when 1 then 2 end
select case when true then 1 else 'a' end
select coalesce(1, 'a')
select coalesce(1, true)
select greatest(1, 'a'::text)
select array[1, 'a']
select array[1, true]
select * from parent limit 'a'
select * from parent limit -1
select * from parent offset -1
select * from parent limit id
select id from parent where name
select id from parent where id
select * from parent p join child c on p.id
select * from parent p join child c on p.nope = c.id
select * from parent join child using (nope)
select * from parent natural join nope
select * from parent p, parent p
select parent.id from parent cross join parent
with x as (select 1) select * from y
with x as (select 1), x as (select 2) select * from x
with recursive x as (select 1 union all select 'a' from x) select * from x
with x(a,b) as (select 1) select * from x
select * from (values (1), (1,2)) t
values (1), (1,2)
select * from generate_series(1)
select * from lower('a','b')
create table parent(a int)
create table tt(a nope)
create table tt(a int references parent(nope))
create table tt(a text references parent(id))
create table tt(a int references child(other))
create table tt(a varchar(0))
create table tt(a numeric(2000))
create table tt(a numeric(2,2000))
create table nosch.tt(a int)
drop table nope
drop table parent
drop view nope
drop view parent
drop table if exists nope
drop index nope
drop sequence nope
drop type nope
alter table nope add column a int
alter table parent add column id int
alter table parent add column if not exists id int
alter table parent drop column nope
alter table parent drop column if exists nope
alter table parent rename column name to id
alter table parent rename to child
alter table parent add constraint name_check check (id > 0)
alter table parent drop constraint nope
alter table parent drop constraint if exists nope
alter table child alter column pid set not null
alter table child add constraint zz unique (nope)
alter table child add constraint zz foreign key (nope) references parent(id)
alter table parent alter column name type int
alter table parent alter column nope type int
alter table parent alter column id drop default
create index i on parent(nope)
create index parent_pkey on parent(id)
create index if not exists parent_pkey on parent(id)
create unique index uu on child(nope)
insert into c2 values (1,2)
create view parent as select 1
create view v as select nope from parent
create view v as select 1 as a, 2 as a
create view v as select id, name from parent
create or replace view v as select id from parent
create or replace view v as select name as id, id as name from parent
create table parent(id int primary key, name text unique, code varchar(5), n numeric(5,2), constraint name_check check (name <> ''))
insert into parent values (1,'a','x',1), (2,'b','y',2)
create sequence parent
create sequence s1
create sequence s1
create sequence if not exists s1
create sequence s2 increment 0
create sequence s2 minvalue 5 maxvalue 4
create sequence s2 start 0 minvalue 1
select nextval('nope')
select currval('s1')
select lastval()
select setval('s1', 0)
select setval('nope', 1)
select 'nope'::regclass
select 'nope'::regtype
select 'nope'::regproc
select 'lower'::regproc
select 'parent'::regclass
truncate parent
set role nobody
reset nope
show nope
set nope = 1
set timezone = 'x/y'
set work_mem = 'abc'
set statement_timeout = -1
set search_path = nope
select * from parent
set search_path = public
begin; rollback to x
release savepoint x
savepoint x
commit
begin; commit; commit
prepare p as select $1::int
prepare p as select 1
execute p
execute p(1,2)
execute p(1)
execute nope
deallocate nope
deallocate p
prepare q as select $1 + $2
prepare q as select $1
execute q(1)
prepare q2 as insert into parent(id) values ($2)
declare c cursor for select 1
begin; declare c cursor for select 1; declare c cursor for select 1
fetch nope
close nope
move nope
copy nope from stdin
copy parent(nope) from stdin
copy parent(id,id) from stdin
copy nope to stdout
copy (select nope) to stdout
listen
notify x, 1
lock nope
lock table parent in nope mode
explain select nope
create schema public
select array_agg(id order by nope) from parent
select string_agg(id, ',') from parent
select count(distinct *) from parent
select count() from parent
select lower(distinct 'a')
select lower('a') over ()
select row_number() from parent
select rank() over (order by nope) from parent
select sum(id) filter (where nope) from parent
select sum(id) filter (where id) from parent
select sum(name) from parent
select avg(name) from parent
select max(true) from parent
select id[1] from parent
select (id).x from parent
select '{}'::jsonb -> true
select 'a' like 1
select 'a' similar to 1
select 1 between 'a' and 2
select 1 between 2 and true
select now() + 1
select now() - 'x'
select date '2020-01-01' + date '2020-01-01'
select interval '1 day' * interval '1 day'
select extract(nope from now())
select to_char(1, 'x', 'y')
select make_date(2020, 13, 1)
select make_interval(0, 'x')
select now() at time zone 'nope'
select chr(0)
select encode('a', 'nope')
select decode('a', 'hex')
select substring('abc' from 1 for -1)
select overlay('abc' placing 'x' from 0)
select split_part('a', 'b', 0)
select factorial(-1)
select gcd(1, 'x')
select jsonb_set('1', '{a}', '2')
select '1'::jsonb - 'a'
select jsonb_array_length('{}')
select * from jsonb_to_recordset('[]')
select array_length(1, 1)
select array_append(array[1], 'x')
select unnest(1)
select 1 = any(2)
select 1 = any('{x}')
select 1 = any(array['a'])
select 1 = all(select 'a')
select exists(select nope)
select row(1,2) = row(1)
select row(1,2) = row(1,'a')
select (1,2) in ((1,2,3))
select 1::int4range
insert into typed(b) values (1)
insert into typed(b) values ('x')
insert into typed(i2) values (99999)
insert into typed(i2) values ('99999')
insert into typed(i4) values (3000000000)
insert into typed(i4) values ('a')
insert into typed(i4) values (true)
insert into typed(i8) values ('99999999999999999999')
insert into typed(i8) values (99999999999999999999)
insert into typed(f4) values ('1e50')
insert into typed(f4) values (1e50)
insert into typed(d) values ('x')
insert into typed(d) values (1)
insert into typed(ts) values ('x')
insert into typed(tz) values (1)
insert into typed(t) values ('x')
insert into typed(u) values ('x')
insert into typed(u) values (1)
insert into typed(by) values ('\x1')
insert into typed(iv) values ('x')
insert into typed(arr) values ('x')
insert into typed(arr) values (array['a'])
insert into typed(ch) values ('abcd')
insert into typed(vc) values ('abcd')
insert into typed(vc) values ('abc   ')
insert into typed(vc) select 'abcd'
insert into typed(num) values ('x')
update typed set i4 = 'x'
update typed set i4 = 3000000000
update typed set vc = 'abcdef'
insert into typed(i4) select 3000000000
insert into typed(i4) select 'a'
insert into typed(i4) select name from parent
insert into typed(i4) values (default, 1)
insert into typed select * from typed, typed
insert into parent values (1,'z') on conflict (code) do nothing
insert into parent values (1,'z') on conflict (id) do update set nope = 'x'
insert into parent values (1,'z') on conflict (id) do update set name = nope
insert into parent values (1,'z') on conflict on constraint nope do nothing
insert into parent values (5,'z'),(5,'y') on conflict (id) do update set name = 'x'
insert into parent values (1,'z') returning nope
update parent set name = 'x' from parent
update parent set (id, name) = (1)
update parent set id = 1, id = 2
delete from parent using nope
delete from parent returning nope
select count(*) from parent for update
select distinct id from parent for update
select id from parent union select 1 for update
create table gg(id int generated always as identity primary key, a int, b int generated always as (a*2) stored)
insert into gg(id) values (1)
insert into gg(b) values (1)
update gg set b = 1
update gg set id = 1
insert into gg(a) values (1) returning *
alter table gg alter column a add generated always as identity
alter table gg alter column id drop identity if exists
alter table gg alter column a drop identity
select currval('gg_id_seq')
drop table c2
drop sequence child_id_seq
select * from pg_nope
select * from pg_catalog.pg_nope
select * from information_schema.nope
begin; set constraints all deferred; commit
set session authorization nobody
set local work_mem = '1MB'
set transaction isolation level serializable
begin isolation level nope
abort
