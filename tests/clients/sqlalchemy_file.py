"""A file made by SQLAlchemy on SQLite, read and written by the same models through PostgreSQL's
protocol: make FILE | read FILE URL | write URL | written FILE."""
import datetime as dt, decimal, sys, uuid

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

what, place = sys.argv[1], sys.argv[2]


def engine(place):
    if place.startswith("postgres"):
        return sa.create_engine(place.replace("postgres://", "postgresql+psycopg://"))
    return sa.create_engine("sqlite:///" + place)


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    price: Mapped[decimal.Decimal | None] = mapped_column(sa.Numeric(10, 2))
    made: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    day: Mapped[dt.date | None]
    at: Mapped[dt.time | None]
    duration: Mapped[dt.timedelta | None] = mapped_column(sa.Interval)
    data: Mapped[dict | None] = mapped_column(sa.JSON)
    flag: Mapped[bool]
    raw: Mapped[bytes | None]
    ratio: Mapped[float | None]
    big: Mapped[int] = mapped_column(sa.BigInteger)


class Empty(Base):
    __tablename__ = "empty"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[uuid.UUID]
    made: Mapped[dt.datetime] = mapped_column(sa.DateTime)


ROWS = [
    dict(id=uuid.UUID("550e8400-e29b-41d4-a716-446655440000"), name="a", price=decimal.Decimal("9.90"),
         made=dt.datetime(2024, 1, 2, 3, 4, 5, 6), day=dt.date(2024, 2, 29), at=dt.time(5, 6, 7, 8),
         duration=dt.timedelta(days=3, microseconds=5), data={"b": [1, None], "a": "é"}, flag=True,
         raw=b"\x00\xff", ratio=0.1, big=-2**63),
    dict(id=uuid.UUID("650e8400-e29b-41d4-a716-446655440000"), name="it's", price=decimal.Decimal("-0.05"),
         made=dt.datetime(1999, 12, 31), day=None, at=None, duration=-dt.timedelta(hours=1), data={},
         flag=False, raw=b"", ratio=None, big=2**63 - 1),
]


def fields(row):
    return {c.key: getattr(row, c.key) for c in sa.inspect(type(row)).column_attrs}


def things(engine):
    with Session(engine) as s:
        return [fields(t) for t in s.scalars(sa.select(Thing).order_by(Thing.name, Thing.id))]


e = engine(place)
if what == "make":
    Base.metadata.create_all(e)
    with Session(e) as s:
        s.add_all(Thing(**r) for r in ROWS)
        s.commit()
elif what == "read":
    other = engine(sys.argv[3])
    want, got = things(e), things(other)
    assert len(want) == len(got) >= len(ROWS), (want, got)
    for w, f in zip(want, got):
        for name in w:
            assert w[name] == f[name] and type(w[name]) is type(f[name]), (name, w[name], f[name])
    with Session(other) as s:
        assert s.get(Thing, ROWS[0]["id"]).name == "a"
        long = sa.select(Thing.name).where(Thing.duration > dt.timedelta(days=1)).where(Thing.name == "a")
        assert s.scalars(long).all() == ["a"]
elif what == "write":
    with Session(e) as s:
        s.add_all(Thing(**{**r, "id": uuid.uuid4(), "name": "new " + r["name"]}) for r in ROWS)
        s.add(Empty(token=uuid.UUID("750e8400-e29b-41d4-a716-446655440000"), made=ROWS[0]["made"]))
        s.commit()
else:
    with Session(e) as s:
        for r in ROWS:
            t = s.scalars(sa.select(Thing).where(Thing.name == "new " + r["name"])).one()
            for name in r:
                if name not in ("id", "name"):
                    assert getattr(t, name) == r[name], (name, getattr(t, name), r[name])
        one = s.scalars(sa.select(Empty)).one()
        assert (one.id, one.token.hex, one.made) == (1, "750e8400e29b41d4a716446655440000", ROWS[0]["made"])
print("sqlalchemy", what, "ok")
