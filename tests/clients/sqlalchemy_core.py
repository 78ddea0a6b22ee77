"""SQLAlchemy Core: create_all, insert, query, update, transaction, savepoint, rollback, reflect."""
import sys

import sqlalchemy as sa

engine = sa.create_engine(sys.argv[1].replace("postgres://", "postgresql+psycopg://"))
meta = sa.MetaData()
author = sa.Table(
    "author", meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False, unique=True),
)
book = sa.Table(
    "book", meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("author_id", sa.ForeignKey("author.id", ondelete="CASCADE"), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("made", sa.DateTime(timezone=True), server_default=sa.func.now()),
    sa.Index("book_title", "title"),
)
meta.create_all(engine)
meta.create_all(engine)  # a second time finds them

with engine.begin() as c:
    ids = c.execute(author.insert().returning(author.c.id), [{"name": "A"}, {"name": "B"}]).scalars().all()
    assert ids == [1, 2], ids
    c.execute(book.insert(), [{"author_id": 1, "title": f"t{i}", "price": i} for i in range(10)])
with engine.connect() as c:
    rows = c.execute(
        sa.select(author.c.name, sa.func.count(book.c.id), sa.func.sum(book.c.price))
        .select_from(author.outerjoin(book)).group_by(author.c.name).order_by(author.c.name)
    ).all()
    assert [tuple(map(str, r)) for r in rows] == [("A", "10", "45.00"), ("B", "0", "None")], rows
    assert c.execute(sa.select(book.c.title).where(book.c.title.in_(["t1", "t2"]))).scalars().all()
with engine.begin() as c:
    c.execute(book.update().where(book.c.title == "t1").values(price=book.c.price * 2))
    nested = c.begin_nested()
    c.execute(book.delete())
    nested.rollback()
    assert c.scalar(sa.select(sa.func.count()).select_from(book)) == 10
try:
    with engine.begin() as c:
        c.execute(author.insert(), {"name": "A"})
except sa.exc.IntegrityError:
    pass
else:
    raise AssertionError("IntegrityError expected")
with engine.connect() as c:
    t = c.begin()
    c.execute(book.delete())
    t.rollback()
    assert c.scalar(sa.select(sa.func.count()).select_from(book)) == 10

reflected = sa.MetaData()
reflected.reflect(engine)
found = reflected.tables["book"]
assert [c.name for c in found.columns] == ["id", "author_id", "title", "price", "made"]
assert isinstance(found.c.price.type, sa.Numeric) and found.c.price.type.scale == 2
assert [fk.column.table.name for fk in found.foreign_keys] == ["author"]
assert {i.name for i in found.indexes} == {"book_title"}
assert [c.name for c in found.primary_key] == ["id"]
with engine.begin() as c:
    c.execute(author.delete().where(author.c.id == 1))
    assert c.scalar(sa.select(sa.func.count()).select_from(book)) == 0
meta.drop_all(engine)
print("sqlalchemy ok")
