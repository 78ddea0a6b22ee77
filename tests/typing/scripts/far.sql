select '10000-01-01'::date, '4713-01-01 BC'::date, '5874897-12-31'::date, '0001-12-31 BC'::date
select '294276-12-31 23:59:59.5'::timestamp, '4713-01-01 00:00:00 BC'::timestamp, '10000-01-01 00:00:00+00'::timestamptz, '0044-03-15 12:00:00+00 BC'::timestamptz
select '10000-01-01'::date::text, '0044-03-15 BC'::date::text || '!', '12345-06-07 08:09:10'::timestamp::text, '12345-06-07 08:09:10+00'::timestamptz::text
select '10000-01-01'::date + 1, '9999-12-31'::date + 1, '0001-01-01'::date - 1, '10000-01-01'::date - '9999-01-01'::date, '9999-12-31'::timestamp + interval '1 year'
select extract(year from '10000-01-01'::date), extract(year from '0044-03-15 BC'::date), date_trunc('year', '12345-06-07'::timestamp), to_char('12345-06-07'::timestamp, 'YYYY-MM-DD')
select '10000-01-01'::date > '9999-12-31'::date, '0001-01-01'::date > '0001-12-31 BC'::date, 'infinity'::date > '5874897-12-31'::date, '-infinity'::timestamp < '4713-01-01 BC'::timestamp, '10000-01-01'::date = '10000-01-01'::timestamp
select d from (values ('10000-01-01'::date), ('2020-01-01'), ('0044-03-15 BC'), ('infinity'), ('-infinity'), ('20000-01-01'), ('0045-01-01 BC'), (null)) v(d) order by d
select min(d), max(d) from (values ('10000-01-01'::timestamp), ('2020-01-01'), ('0044-03-15 BC')) v(d)
select array['10000-01-01'::date, '0044-03-15 BC'], row('10000-01-01'::date), to_json('12345-06-07 08:09:10'::timestamp), json_build_object('d', '0044-03-15 BC'::date), to_jsonb('10000-01-01'::date)
select greatest('10000-01-01'::date, '2020-01-01'), least('0044-03-15 BC'::timestamp, '2020-01-01')
set datestyle = 'German'
select '10000-01-01'::date, '0044-03-15 BC'::date, '12345-06-07 08:09:10'::timestamp::text
reset datestyle
create table far_away (d date primary key, t timestamp, z timestamptz default '10000-01-01 00:00:00+00')
insert into far_away values ('10000-01-01', '12345-06-07 08:09:10', '12345-06-07 08:09:10+00'), ('0044-03-15 BC', '0044-03-15 12:00 BC', default), ('2020-01-01', '2020-01-01', '2020-01-01 00:00+00')
insert into far_away values ('10000-01-01')
select * from far_away order by d
select d from far_away where t > '9999-01-01' or d < '0001-01-01' order by t desc
select d from far_away where d between '0050-01-01 BC' and '11000-01-01' order by z, d
select '294277-01-01'::timestamp
select '5874898-01-01'::date
select '4714-01-01 BC'::date
