set datestyle = 'ISO, DMY'
select '01/02/2024'::date
show datestyle
set datestyle = 'SQL, MDY'
select '2024-01-02'::date, '2024-01-02 03:04:05.6'::timestamp, '2024-01-02 03:04:05+00'::timestamptz
set datestyle = 'SQL, DMY'
select '2024-01-02'::date, '2024-01-02 03:04:05.6'::timestamp, '2024-01-02 03:04:05+00'::timestamptz
set datestyle = 'German'
show datestyle
select '2024-01-02'::date, '2024-01-02 03:04:05.6'::timestamp, '2024-01-02 03:04:05+00'::timestamptz
set datestyle = 'Postgres, MDY'
select '2024-01-02'::date, '2024-01-02 03:04:05.6'::timestamp, '2024-01-02 03:04:05+00'::timestamptz
set datestyle = 'Postgres, DMY'
select '2024-01-02'::date, '2024-01-02 03:04:05.6'::timestamp, '2024-01-02 03:04:05+00'::timestamptz, '2024-01-02 03:04:05+00'::timestamptz::text, '{2024-01-02}'::date[]
select 'infinity'::date, to_json('2024-01-02'::date), to_json('2024-01-02 03:04:05'::timestamp)
set datestyle = 'ISO, MDY'
set intervalstyle = 'iso_8601'
select '1 year 2 mons 3 days 04:05:06'::interval, '-1 day'::interval::text
set intervalstyle = 'sql_standard'
select '1 year 2 mons 3 days 04:05:06'::interval, '-1 day'::interval::text
set intervalstyle = 'postgres_verbose'
select '1 year 2 mons 3 days 04:05:06'::interval, '-1 day'::interval::text
set intervalstyle = 'postgres'
set timezone = 'America/New_York'
select '2024-01-02 03:04:05+00'::timestamptz, '2024-07-02 03:04:05'::timestamptz, '2024-07-02 03:04:05+00'::timestamptz::text
set timezone = 'UTC'
set bytea_output = 'escape'
select '\xdead00'::bytea, 'a\\b'::bytea, '\xdead00'::bytea::text
set bytea_output = 'hex'
set extra_float_digits = 0
select 0.1::float8 + 0.2::float8, 1::float8/3, 1::float4/3, (0.1::float8+0.2::float8)::text
set extra_float_digits = -5
select 1::float8/3, 1::float4/3
set extra_float_digits = 3
select 0.1::float8 + 0.2::float8, 1::float4/3
