"""asyncpg: binary protocol, type introspection, transactions, pool reset."""
import asyncio
import datetime as dt
import decimal
import sys
import uuid

import asyncpg

url = sys.argv[1]


async def main():
    conn = await asyncpg.connect(url)
    await conn.execute("create table t(id serial primary key, i int, n numeric, s text, b bool, y bytea, u uuid, tz timestamptz, d date)")
    values = (5, decimal.Decimal("1.50"), "x", True, b"\x00\xff", uuid.uuid4(),
              dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc), dt.date(2024, 2, 29))
    row = await conn.fetchrow("insert into t(i,n,s,b,y,u,tz,d) values ($1,$2,$3,$4,$5,$6,$7,$8) returning *", *values)
    assert tuple(row)[1:] == values, row
    assert await conn.fetchval("select count(*) from t where i = any($1::int[])", [5, 6]) == 1
    try:
        async with conn.transaction():
            await conn.execute("insert into t(s) values ('gone')")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert await conn.fetchval("select count(*) from t") == 1
    async with conn.transaction():
        got = [r["g"] async for r in conn.cursor("select g from generate_series(1, 120) g", prefetch=50)]
    assert got == list(range(1, 121))
    try:
        await conn.execute("insert into t(id) values (1)")
        raise AssertionError("no error")
    except asyncpg.UniqueViolationError as e:
        assert e.constraint_name == "t_pkey"
    await conn.close()
    async with asyncpg.create_pool(url, min_size=2, max_size=4) as pool:
        async def one(i):
            async with pool.acquire() as c:
                return await c.fetchval("select $1::int * 2", i)
        assert await asyncio.gather(*[one(i) for i in range(40)]) == [i * 2 for i in range(40)]


asyncio.run(main())
print("ok")
