create type mood as enum ('sad','ok','happy')
create type mood as enum ('a')
create type mood2 as enum ('a','a')
create type empty as enum ()
create table person(id int primary key, m mood default 'ok', ms mood[])
insert into person values (1,'happy','{sad,ok}'),(2,default,null),(3,'sad','{}'),(4,null,array['ok','happy']::mood[])
insert into person values (5,'bad',null)
insert into person values (5,'ok','{ok,bad}')
insert into person values (5,'ok'::text,null)
select * from person order by m, id
select * from person order by m desc, id
select * from person where m > 'sad' order by id
select * from person where m >= 'ok'::mood order by id
select * from person where m = 'nope'
select m, count(*) from person group by m order by m
select max(m), min(m), count(distinct m) from person
select enum_range(null::mood), enum_first(null::mood), enum_last(null::mood), enum_range('ok'::mood, null), enum_range(null,'ok'::mood)
select 'ok'::mood, 'ok'::text::mood, 'ok'::mood::text, 'ok'::mood::varchar
select 'no'::mood
select 'no'::text::mood
select 'ok'::mood = 'ok', 'ok'::mood < 'happy'::mood, 'sad'::mood > 'happy'::mood
select 'ok'::mood = 'ok'::text
select m || '!' from person where id=1
select concat(m), upper(m::text), length(m::text) from person order by id
select upper(m) from person
select ms[1], ms[2], array_length(ms,1), 'ok' = any(ms), ms @> '{ok}' from person order by id
select id from person where m = any('{sad,happy}'::mood[]) order by 1
select id from person where m in ('sad','happy') order by 1
select array_agg(m order by m) from person
select unnest(enum_range(null::mood))
select * from person order by ms, id
select greatest(m,'ok'), least(m,'ok'), coalesce(m,'sad') from person order by id
select case when id=1 then m else 'sad' end from person order by id
select pg_typeof(m), pg_typeof(ms) from person where id=1
~ select to_json(m), to_json(ms), row_to_json(person) from person where id=1
alter type mood add value 'meh' before 'ok'
alter type mood add value if not exists 'meh'
alter type mood add value 'meh'
alter type mood add value 'ecstatic' after 'happy'
alter type mood add value 'x' after 'nope'
insert into person values (6,'meh','{meh,ecstatic}')
select id,m from person order by m,id
select enumlabel, enumsortorder from pg_enum e join pg_type t on t.oid=e.enumtypid where typname='mood' order by enumsortorder
select typname, typtype, typcategory, typlen, typbyval, typalign, typstorage, typdelim from pg_type where typname in ('mood','_mood') order by 1
select t.typname, a.typname from pg_type t join pg_type a on t.typarray=a.oid where t.typname='mood'
select format_type(atttypid, atttypmod), attname from pg_attribute where attrelid='person'::regclass and attnum>0 order by attnum
select column_name, data_type, udt_schema, udt_name, column_default from information_schema.columns where table_name='person' order by 1
select 'mood'::regtype, 'mood[]'::regtype, to_regtype('nope')
alter type mood rename value 'meh' to 'soso'
alter type mood rename value 'meh' to 'soso2'
alter type mood rename value 'soso' to 'happy'
select id,m,ms from person order by m,id
alter type mood rename to feeling
select 'ok'::mood
select 'ok'::feeling
insert into person(id) values (7)
select id,m from person where id=7
drop type feeling
create type mood as enum ('ok','sad','happy','soso','ecstatic')
alter table person alter column m drop default
alter table person alter column m type mood using m::text::mood
select id,m from person order by m,id
alter table person drop column ms
drop type feeling
create table tm(m mood primary key, n int)
insert into tm values ('ok',1),('sad',2)
insert into tm values ('ok',3)
insert into tm values ('ok',3) on conflict (m) do update set n = excluded.n
select * from tm order by m
select p.id from person p join tm on p.m=tm.m order by 1
create index on person(m)
select id from person where m='sad' order by id
create view pv as select id, m from person where m > 'ok'
select * from pv order by id
drop type mood
~ create domain d as mood
create table arr(a mood[] default '{ok}')
insert into arr default values
select * from arr
alter table arr add column b mood not null default 'sad'
select * from arr
alter table arr add constraint ck check (b <> 'happy')
insert into arr(b) values ('happy')
insert into arr(b) values ('soso')
insert into arr(b) select 'sad'
insert into arr(b) select m from person where m is not null and m <> 'happy'
select b, count(*) from arr group by 1 order by 1
select m from person union select 'sad' order by 1
select m from person except select 'sad'::mood order by 1
prepare q(mood) as select $1, $1 > 'ok'
execute q('sad')
execute q('zzz')
begin
alter type mood add value 'zen'
select 'zen'::mood
rollback
select 'zen'::mood
begin
create type fresh as enum ('b', 'a')
select 'b'::fresh, enum_range(null::fresh)
commit
select 'b'::fresh < 'a'::fresh
create temp table tt(m mood, fs fresh[])
insert into tt values ('sad', '{a,b}'), ('ok', null)
select * from tt order by m
create table made as select m, array[m] as ms from tt
select * from made order by m desc
insert into made select 'soso', array['ok','sad']::mood[]
select m, ms from made order by ms, m
select distinct m from made order by m limit 2
select m, rank() over (order by m) from made order by m
select string_agg(m::text, ',' order by m) from made
select count(*) filter (where m > 'ok') from made
select m from made where m between 'ok' and 'sad' order by m
select m from made where m is distinct from 'sad' order by m
select m, case m when 'sad' then 1 else 2 end from made order by m
select 'sad'::mood::"char"
select 1::mood
select 'sad'::mood::int
select m::text = 'sad' from made order by m
select lower(m::text) from made order by 1
delete from made where m = 'soso'
update made set m = 'ecstatic' where m = 'ok'
select * from made order by m
