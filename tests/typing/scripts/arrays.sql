select '{1,2,3}'::int[], array[1,2,3], array[[1,2],[3,4]], '{{1,2},{3,4}}'::int[]
select '{1,2,3}'::text[], '{"a b",NULL,"null",""}'::text[], '{a,"b\"c",d\\e}'::text[]
select ('{1,2,3}'::int[])[1], ('{1,2,3}'::int[])[4], ('{1,2,3}'::int[])[0]
select ('{1,2,3}'::int[])[1:2], ('{1,2,3}'::int[])[2:], ('{1,2,3}'::int[])[:2], ('{1,2,3}'::int[])[5:6]
~ select ('{{1,2},{3,4}}'::int[])[1][2], ('{{1,2},{3,4}}'::int[])[1:1], ('{{1,2},{3,4}}'::int[])[1]
~ select '[0:2]={1,2,3}'::int[], ('[0:2]={1,2,3}'::int[])[0]
~ select '[2:3]={1,2}'::int[]
select array_dims('{{1,2},{3,4}}'::int[]), array_length('{{1,2},{3,4}}'::int[],2), array_ndims('{{1,2},{3,4}}'::int[]), cardinality('{{1,2},{3,4}}'::int[])
select '{}'::int[], array[]::int[], array_length('{}'::int[],1), cardinality('{}'::int[]), array_ndims('{}'::int[])
select '{{1,2},{3}}'::int[]
select '{1,2'::int[]
select '{1,x}'::int[]
select '{1.5,2}'::numeric[], '{2024-01-01,infinity}'::date[], '{"2024-01-01 10:00+00"}'::timestamptz[], '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'::uuid[], '{"{\"a\":1}"}'::jsonb[], '{"\\xdead"}'::bytea[], '{t,f}'::bool[], '{1.5,Infinity}'::float8[], '{1 day}'::interval[]
create table a(id int primary key, i int[], t text[], n numeric(5,2)[], tz timestamptz[], u uuid[], j jsonb[], by bytea[], b bool[], f float8[], v varchar(3)[], d date[], iv interval[], i2 int[][])
insert into a values (1,'{1,2,3}','{a,"b c",NULL}','{1.005,2}','{"2024-01-01 10:00+02"}','{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}','{"{\"a\": 1}",null}','{"\\xdead"}','{t,f,NULL}','{1.5,NaN}','{abc}','{2024-01-01}','{1 day}','{{1,2},{3,4}}')
insert into a values (1,'{1,2,3}','{a,"b c",NULL}','{1.005,2}','{"2024-01-01 10:00+02"}','{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}','{"{\"a\": 1}",null}','{"\\xdead"}','{t,f,NULL}','{1.5,2}','{abc}','{2024-01-01}','{1 day}')
insert into a(id,v) values (2,'{abcd}')
insert into a(id,i) values (2,'{4}'),(3,null),(4,'{}'),(5,'{1,2}'),(6,'{1,NULL}')
select * from a order by id
select id, i from a order by i, id
select id from a where i = '{1,2,3}'
select id from a where i > '{1,2}' order by id
select id from a where 2 = any(i) order by id
select id from a where i && '{4,2}' order by id
select id from a where i @> '{1}' order by id
select i || 9, 0 || i, i || '{7,8}', array_append(i,5), array_prepend(0,i) from a where id in (1,4,5) order by id
update a set i[2] = 20 where id = 1
update a set i[6] = 20 where id = 1
update a set i = array_remove(i, 7) where id=1
select i from a where id=1
select array_position('{a,b,c}'::text[],'b'), array_positions('{1,2,1}'::int[],1), array_replace('{1,2,1}'::int[],1,9), array_to_string('{1,NULL,3}'::int[],',','*'), string_to_array('a,b,c',',')
select unnest('{1,2,3}'::int[])
select * from unnest('{1,2}'::int[], '{a,b,c}'::text[])
select array(select id from a order by id)
~ select array_agg(i) from a where id in (1)
select array_fill(7, array[3])
select trim_array('{1,2,3}'::int[],1)
select array_cat('{1}'::int[],'{2}'), array_upper('{1,2}'::int[],1), array_lower('{1,2}'::int[],1)
select '{1,2}'::int[] = array[1,2], '{1,2}'::int[] < '{1,3}'::int[], '{1,2}'::int[] <> '{2,1}'
select '{1,2}'::int[]::text, '{1,2}'::int[]::text[], '{a,b}'::text[]::varchar[]
select array[1,2,3] @> array[2], array[1,2] <@ array[1,2,3]
select array[1,2.5,3], array['a',null], array[null]::int[]
select array[1,'x']
select (array['a','b','c'])[2]
select (array[1,2,3])[2:3]
select (string_to_array('a.b.c','.'))[2]
select id, generate_subscripts(i,1) from a where id=5
select max(i), min(i) from a
select count(distinct i) from a
select i, count(*) from a group by i order by i
select distinct i from a order by i
select coalesce(i,'{}') from a order by id
~ select '{1,2,3}'::int2vector, '1 2 3'::int2vector
select array_length(i, 1), cardinality(i) from a order by id
select id from a where id = any('{1,2}') order by 1
select id from a where id <> all('{1,2}') order by 1
~ select array[row(1,2)]
~ select '{"(1,2)"}'::point[]
select array_to_json('{1,2}'::int[]), to_json('{{1,2},{3,4}}'::int[]), to_jsonb(array['a','b'])
select array_sort('{3,1}'::int[])
select array_ndims(array[[1],[2]]), array[array[1,2],array[3,4]]
~ select array_agg(x) from (values (array[1,2]),(array[3,4])) v(x)
create table sliced (id int primary key, a int[], t text[])
insert into sliced values (1, '{1,2,3,4}', '{a,b}'), (2, null, '{}'), (3, '{}', null)
update sliced set a[2:3] = '{8,9}' where id = 1 returning a
update sliced set a[:2] = array[5,6], t[2:] = '{z}' where id = 1 returning a, t
update sliced set a[4:6] = '{1,1,1,7}' where id = 1 returning a
update sliced set a[9:10] = '{2,2}' where id = 1 returning a
update sliced set a[1:2] = '{1}' where id = 1
update sliced set a[3:1] = '{1}' where id = 1
update sliced set a[2:1] = '{}' where id = 1 returning a
update sliced set a[1:2] = null where id in (1, 2) returning id, a
update sliced set a[1:2] = '{4,5}' where id in (2, 3) returning id, a
update sliced set t[:2] = '{x,y}' where id = 3
update sliced set t[1:2] = '{x,y}' where id = 3 returning t
update sliced set a[null:2] = '{4,5}' where id = 2
update sliced set a[1] = 7, a[2:2] = '{8}' where id = 3 returning a
update sliced set a[1:2] = 5 where id = 3
