select '[1,5]'::int4range, '(1,5)'::int4range, ' ( 1 , 5 ] '::int8range, 'empty'::numrange, '(,)'::int4range, '[,5]'::int4range, '[1.50,2.00]'::numrange
select '[1,2147483647]'::int4range
select '[1,9223372036854775807]'::int8range
select '[5,1]'::int4range
select '[1'::int4range
select '[a,2)'::int4range
select 'empty x'::int4range
select '[1,2,3)'::int4range
select '1,2)'::int4range
select '[1,2)x'::int4range
select '["1","2")'::int4range, E'[\\1,"2"]'::int4range
select '[2020-01-01,2020-02-01]'::daterange, '(2020-01-01,infinity]'::daterange, '[-infinity,2020-01-01)'::daterange
select '[2020-01-01,2020-01-02 03:04:05.5)'::tsrange, '[,2020-01-02]'::tsrange
select '[2020-01-01 00:00+00,2020-07-01 00:00+00)'::tstzrange, '[2020-01-01,2020-07-01)'::tstzrange
set timezone = 'America/New_York'
select '[2020-01-01 00:00+00,2020-07-01 00:00+00)'::tstzrange, '["2020-01-01 12:00",]'::tstzrange::text
set datestyle = 'German'
select '[2020-01-01,2020-02-01)'::daterange, '[1.2.2020,2.3.2020)'::daterange, '[2020-01-01 00:00+00,)'::tstzrange
reset datestyle
set timezone = 'Europe/Berlin'
select int4range(1, 5), int4range(1, 5, '[]'), int4range(null, 5), int4range(1, null, '()'), numrange(1.0, 2.50), daterange('2020-01-01', '2020-02-01', '(]'), int8range(1, 1), int8range(1, 1, '[]')
select int4range(1, 5, 'x')
select int4range(1, 5, null)
select int4range(5, 1)
select tsrange('2020-01-01', '2020-01-02'), tstzrange('2020-01-01 00:00+00', null)
select lower('[1,5]'::int4range), upper('[1,5]'::int4range), isempty('(1,1)'::numrange), lower_inc('[1,5)'::int4range), upper_inc('[1.0,5]'::numrange), lower_inf('(,5)'::int4range), upper_inf('[1,)'::int4range)
select lower('empty'::int4range), upper('(,)'::int4range), lower_inf('empty'::int4range), lower('[2020-01-01,2020-02-01)'::daterange), lower('[2020-01-01 00:00+00,)'::tstzrange)
select '[1,5)'::int4range @> 3, '[1,5)'::int4range @> 5, 3 <@ '[1,5)'::int4range, '[1,5)'::int4range @> '[2,3)', '[2,3)'::int4range <@ '[1,5)', '[1,5)'::int4range @> 'empty', 'empty'::int4range @> '[1,2)'
select '[1,5)'::int4range && '[4,6)', '[1,5)'::int4range && '[5,6)', '[1,5)'::int4range << '[5,6)', '[6,7)'::int4range >> '[1,5)', '[1,5)'::int4range &< '[1,6)', '[2,5)'::int4range &> '[1,6)', '[1,5)'::int4range -|- '[5,6)', '[1.0,2.0]'::numrange -|- '(2,3)'::numrange
select 'empty'::int4range && '[4,6)', 'empty'::int4range << '[5,6)', 'empty'::int4range -|- '[5,6)', 'empty'::int4range &< '[1,2)'
select '[1,5)'::int4range + '[3,7)', '[1,5)'::int4range * '[3,7)', '[1,5)'::int4range - '[3,7)', '[1,5)'::int4range * '[6,7)', '[1,5)'::int4range + 'empty', '[1,5)'::int4range - 'empty', '[1.5,3]'::numrange - '(2,4)'
select '[1,2)'::int4range + '[5,6)'
select '[1,9)'::int4range - '[5,6)'
select range_merge('[1,2)'::int4range, '[5,6)'), range_merge('{[1,2),[8,9)}'::int4multirange), range_merge('{}'::int4multirange)
select '[1,5)'::int4range = '[1,4]', '[1.0,2)'::numrange = '[1,2)', '[1,5)'::int4range <> '(0,5)', '[1,5)'::int4range < '[1,6)', 'empty'::int4range < '(,)', '(,5)'::int4range < '[1,5)', '[1,)'::int4range > '[1,5)', '[1,5]'::numrange > '[1,5)'
select r from (values ('[1,5)'::int4range), ('empty'), ('(,3)'), ('[1,)'), ('(,)'), ('[1,3)'), (null), ('[-5,-2)')) v(r) order by r
select r from (values ('[1,5)'::numrange), ('[1.0,5.00)'), ('(1,5)'), ('[1,5]'), ('(,5)'), ('[,5]')) v(r) order by r desc, r::text
select count(*) from (values ('[1,5)'::numrange), ('[1.0,5.00)'), ('[1,6)')) v(r) group by r order by r
select distinct r from (values ('[1,5)'::int4range), ('[1,4]'), ('[1,6)')) v(r) order by r
select '{[1,3),[5,7)}'::int4multirange, '{ [5,7), [1,3),empty,[3,4] }'::int4multirange, '{}'::nummultirange, '{[1.5,2],(2,3)}'::nummultirange, '{["2020-01-01",2020-02-01)}'::tsmultirange
select '{[1,2)'::int4multirange
select '[1,2)'::int4multirange
select '{[1,2),}'::int4multirange
select '{[1,2)} x'::int4multirange
select '{[1,2) [3,4)}'::int4multirange
select int4multirange(), int4multirange('[1,3)'), int4multirange('[1,3)', '[2,5)', '[7,8)'), multirange('[1,3)'::int4range), '[1,3)'::int4range::int4multirange, 'empty'::int4range::int4multirange
select '{[1,3),[5,7)}'::int4multirange + '{[3,5)}', '{[1,9)}'::int4multirange - '{[2,3),[5,6)}', '{[1,4),[6,9)}'::int4multirange * '{[3,7)}'
select '{[1,3),[5,7)}'::int4multirange @> 2, '{[1,3),[5,7)}'::int4multirange @> 4, 5 <@ '{[1,3),[5,7)}'::int4multirange, '{[1,3),[5,7)}'::int4multirange @> '[5,6)'::int4range, '[1,3)'::int4range <@ '{[1,3),[5,7)}'::int4multirange, '{[1,3),[5,7)}'::int4multirange && '[3,5)'::int4range, '{[1,3),[5,7)}'::int4multirange -|- '[7,8)'::int4range, '{[1,3),[5,7)}'::int4multirange << '[7,8)'::int4range
select lower('{[1,3),[5,7)}'::int4multirange), upper('{[1,3),[5,7)}'::int4multirange), isempty('{}'::int4multirange), lower_inc('{[1,3)}'::int4multirange), upper_inf('{[1,)}'::int4multirange)
select '{[1,3)}'::int4multirange = '{[1,2]}', '{[1,3)}'::int4multirange < '{[1,3),[5,6)}', '{}'::int4multirange < '{[1,3)}'
select unnest('{[1,3),[5,7)}'::int4multirange)
select * from unnest('{[1,3),[5,7)}'::int4multirange) u(r) where r @> 6
select range_agg(r), range_intersect_agg(r) from (values ('[1,5)'::int4range), ('[4,9)'), (null), ('[4,20)')) v(r)
select range_agg(r), range_intersect_agg(r) from (values ('[1,5)'::int4range)) v(r) where false
select array['[1,2)'::int4range, '[3,4)'], '{"[1,2)","(,)",NULL,empty}'::int4range[], '{"{[1,2),[3,4)}"}'::int4multirange[]
select (array['[1,2)'::int4range, '[3,4)'])[2], '[3,4)'::int4range = any(array['[1,2)'::int4range, '[3,4)']), array['[1.0,2)'::numrange] = array['[1,2.0)'::numrange]
select '[1,5)'::int4range::text, '[1,5)'::text::int4range, '[2020-01-01,2020-01-02)'::daterange::text || '!', cast('[1,3]' as int4range)::varchar
select '[1,5)'::int4range::int8range
select coalesce(null::int4range, '[1,2)'), nullif('[1,2)'::int4range, '[1,1]'), case when true then '[1,2)'::int4range else 'empty' end
select to_json('[1,2)'::int4range), to_jsonb('{[1,2)}'::int4multirange), row('[1,2)'::int4range, 1), format('%s', '[1,2)'::int4range)
select pg_typeof('[1,2)'::int4range), pg_typeof('{}'::tstzmultirange), pg_typeof(array['[1,2)'::int4range])
create table spans (id int primary key, i int4range, n numrange, d daterange, t tstzrange default '[2020-01-01 00:00+00,)', m int4multirange, l int8range[])
create index spans_d on spans using gist (d)
insert into spans values (1, '[1,5]', '[1.0,2.50]', '[2020-01-01,2020-01-31]', '[2020-06-01 00:00+02,2020-07-01 00:00+02)', '{[1,2),[5,6)}', '{"[1,2]",NULL}'), (2, 'empty', '(,)', null, null, '{}', '{}'), (3, int4range(3, 9), numrange(1, 2.5, '[]'), daterange('2020-02-01', null), default, int4multirange('[1,3)', '[3,4)'), null)
select * from spans order by id
select id from spans where i @> 4 order by id
select id from spans where d && daterange('2020-01-15', '2020-02-15') order by id
select id, lower(t), upper(t) from spans where t @> '2020-06-15 00:00+00'::timestamptz order by id
select a.id, b.id from spans a join spans b on a.i && b.i and a.id < b.id order by 1, 2
select id from spans order by i, id
select id from spans order by n desc, id
select n, count(*) from spans group by n order by n
update spans set i = i * '[2,4)', n = n + '[2,3]'::numrange where id = 1 returning i, n
insert into spans (id, i) values (4, '[9,1]')
insert into spans (id, i) values (4, 'x')
delete from spans where i = '[2,3]' returning id, d
create table booked (room int, during int4range unique)
insert into booked values (1, '[1,5)')
insert into booked values (2, '[1,4]')
insert into booked values (2, '[1,6)') on conflict (during) do nothing
select * from booked order by during
select column_name, data_type, udt_name from information_schema.columns where table_name = 'spans' order by ordinal_position
select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'spans'::regclass and attnum > 0 order by attnum
select rngtypid::regtype, rngsubtype::regtype, rngmultitypid::regtype from pg_range where rngtypid < 4000 order by 1::text
select pg_typeof(1), pg_typeof('x'), pg_typeof(null)
create table priced (n numrange primary key, m nummultirange unique)
insert into priced values ('[1.0,2)', '{[1,2)}'), ('[1,3)', null), ('(,)', null)
insert into priced values ('[1,2.00)', null)
insert into priced values ('[1.0,2)', null)
insert into priced values ('[5,6)', '{[1.00,2)}')
insert into priced values ('[1,3.0]', null), ('empty', '{}')
insert into priced values (null, null)
update priced set n = '[1.00,2.0)' where n = '[1,3)'
update priced set n = '[1.00,2.0)' where n = '[1,2)' returning n
delete from priced where n = '[1,3]' returning n
select * from priced order by n
~ insert into priced values ('[1,2)', null) on conflict do nothing
~ insert into priced values ('[1,2)', null) on conflict (n) do nothing
