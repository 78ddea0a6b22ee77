"""asyncpg: binary parameters and results, prepared statements, pool reset."""
import asyncio
import datetime as dt
import decimal
import sys

import asyncpg


async def main():
    pool = await asyncpg.create_pool(sys.argv[1], min_size=2, max_size=4)
    async with pool.acquire() as c:
        await c.execute("CREATE TABLE m (id int PRIMARY KEY, v text, n numeric, at timestamptz)")
        now = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.timezone.utc)
        await c.executemany(
            "INSERT INTO m VALUES ($1, $2, $3, $4)",
            [(i, f"v{i}", decimal.Decimal(i) / 4, now) for i in range(100)],
        )
        rows = await c.fetch("SELECT id, v, n, at FROM m WHERE id < $1 ORDER BY id", 3)
        assert rows[2]["n"] == decimal.Decimal("0.5") and rows[1]["at"] == now, rows
        assert await c.fetchval("SELECT $1::int + 1", 41) == 42
        async with c.transaction():
            await c.execute("DELETE FROM m WHERE id = $1", 5)
    async with pool.acquire() as c:
        assert await c.fetchval("SELECT count(*) FROM m") == 99
        try:
            await c.execute("INSERT INTO m (id) VALUES (1)")
        except asyncpg.UniqueViolationError as e:
            assert e.constraint_name == "m_pkey"
        else:
            raise AssertionError("UniqueViolationError expected")
    await pool.close()
    print("asyncpg ok")


asyncio.run(main())
