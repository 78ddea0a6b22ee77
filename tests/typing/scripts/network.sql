select '10.0.0.1'::inet, '10.0.0.1/8'::inet, '10.1/16'::inet
select '10.1'::inet
select '10.1'::cidr, '192.168.1'::cidr, '10'::cidr, '224'::cidr, '128.1'::cidr
select '192.168.1.1/24'::cidr
select '::1'::inet, '2001:db8::/32'::cidr, '::ffff:1.2.3.4'::inet, '1:0:0:2:0:0:0:3'::inet
select 'x'::inet
select '10.0.0.1'::inet::text, '10.0.0.0/8'::cidr::text
select '10.0.0.1'::inet = '10.0.0.1/32'::inet, '10.0.0.1'::inet < '10.0.0.2', '10.0.0.0/8'::cidr < '10.0.0.0/9'::inet
select '10.0.0.0/8'::inet >> '10.1.1.1', '10.0.0.0/8'::inet >>= '10.0.0.0/8', '10.1.1.1'::inet << '10.0.0.0/8', '10.1.1.1'::inet && '10.0.0.0/8'
select host('10.0.0.1/8'::inet), family('::1'), masklen('10.0.0.0/8'), set_masklen('10.1.2.3/32'::inet, 16), set_masklen('10.1.2.0/24'::cidr, 16)
select network('10.1.2.3/8'), netmask('10.1.2.3/8'), hostmask('10.1.2.3/8'), broadcast('10.1.2.3/8'), abbrev('10.0.0.0/8'::cidr), abbrev('10.0.0.1/32'::inet), text('10.0.0.1'::inet)
select inet_merge('10.0.0.1','10.0.5.1'), inet_same_family('10.0.0.1','::1')
select '10.0.0.1'::inet + 5, '10.0.0.10'::inet - 3, '10.0.0.10'::inet - '10.0.0.1', ~ '10.0.0.1'::inet, '10.0.0.3'::inet & '10.0.0.6', '10.0.0.3'::inet | '10.0.0.4'
select '10.0.0.0/8'::cidr::inet, '10.1.2.3/8'::inet::cidr
select '08:00:2b:01:02:03'::macaddr, '08002b:010203'::macaddr, '0800.2b01.0203'::macaddr, '08002b010203'::macaddr, '8-0-2B-1-2-3'::macaddr
select '08:00:2b:01:02'::macaddr
select '08:00:2b:01:02:1234'::macaddr
select trunc('08:00:2b:01:02:03'::macaddr), ~'08:00:2b:01:02:03'::macaddr, '08:00:2b:01:02:03'::macaddr < '08:00:2b:01:02:04'
select array['10.0.0.1'::inet, '10.0.0.2'], '{10.0.0.1,10.0.0.0/8}'::cidr[]
select '{10.0.0.1,10.0.0.2/8}'::inet[]
~ select '(1,2)'::point
~ select '<a/>'::xml
~ select '12'::money
~ select 'a b'::tsvector
~ select '0/1'::pg_lsn
~ select '08:00:2b:01:02:03:04:05'::macaddr8
~ select '$.a'::jsonpath
select B'101', X'1F', '101'::bit(5), '10101'::bit(3), '101'::varbit, '10101'::varbit(3), B'101'::varbit
select B'101' & B'110', B'101' | B'010', B'101' # B'110', ~B'101', B'101' << 1, B'101' >> 1, B'10' || B'01'
select length(B'101'), octet_length(B'101'), get_bit(B'101',1), set_bit(B'101',1,1), bit_count(B'1011')
select 5::bit(4), (-5)::bit(8), 300::bit(8), 5::bit, 5::int8::bit(70), B'101'::int, B'1011'::bigint, X'FFFFFFFF'::int
select B'102'
select '102'::bit(3)
select B'101' & B'1'
select get_bit(B'101',5)
select B'101' < B'11', B'101' = B'101', '01'::varbit < '0100'::varbit
select '12:30:00+02'::timetz = '11:30:00+01'::timetz, '12:30:00+02'::timetz < '11:30:00+01'::timetz, '12:00+00'::timetz > '12:00+01'::timetz
select '12:30:00.1234567+02'::timetz, '12:30:00.1234567+02'::timetz(2), '12:30:00+02'::timetz::time, '12:30:00+02'::timetz::text
select '12:30:00 America/New_York'::timetz
select '2024-07-01 12:30:00 America/New_York'::timetz
select '2024-07-01 12:30:00+03'::timestamptz::timetz
select 'x'::timetz
create table net(id int primary key, i inet, c cidr, m macaddr, b bit(4), vb bit varying(6), t timetz, unique(i))
insert into net values (1,'10.0.0.1','10.0.0.0/8','08:00:2b:01:02:03','1010','101','12:00+02')
insert into net values (2,'10.0.0.1/32',null,null,null,null,null)
insert into net values (2,'10.0.0.0/8','10.1','8:0:2b:1:2:4','0101','1','12:00+01')
insert into net values (3,'9.0.0.0/8','::/0','8:0:2b:1:2:4','01','1','12:00+01')
insert into net values (3,'9.0.0.0/8','::/0','8:0:2b:1:2:4','0101','1234567','12:00+01')
insert into net values (3,'9.0.0.0/8','::/0','8:0:2b:1:2:4','0101','1111111','12:00+01')
insert into net values (3,'9.0.0.0/8','::/0','8:0:2b:1:2:4','1100','000','11:00+01'), (4,null,null,null,null,null,null),(5,'::1','1:2::/32','8:0:2b:1:2:2','0000','111111','00:00+00')
select * from net order by id
select id from net order by i, id
select id from net order by c desc nulls last, id
select id from net order by t, id
select id from net order by m, b, vb, id
select max(i), min(i), max(t), min(t), max(b) from net
select max(m), min(m) from net
select id from net where i in ('10.0.0.1','::1') order by 1
select id from net where t = '12:00+02'
select count(distinct i), count(distinct t) from net
select i, count(*) from net group by i order by i
select a.id, b.id from net a join net b on a.t > b.t order by 1,2
update net set i = '11.0.0.1', c='1.2.3.4' where id=1
select i,c,host(i) from net where id=1
select to_json(i), to_json(t), to_json(b), to_jsonb(m) from net where id=1
select i||'', concat(i,c,m), format('%s %s', i, t) from net where id=1
select greatest(i,'11.0.0.2'), least(t,'01:00+00') from net where id=1
select array_agg(i order by id), array_agg(t order by id) from net
select i from net union select '1.1.1.1' order by 1
select i from net intersect select i from net order by 1
select c::inet from net union all select i from net order by 1
select i = c from net order by id
select * from net where i = c
