"""Models whose types differ by dialect, as teams write them: schema URL | fill FILE | same FILE URL |
edit URL | edited FILE."""
import datetime as dt, decimal, enum, sys, uuid

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

what, place = sys.argv[1], sys.argv[2]


def engine(place):
    if place.startswith("postgres"):
        return sa.create_engine(place.replace("postgres://", "postgresql+psycopg://"))
    return sa.create_engine("sqlite:///" + place)


class Base(DeclarativeBase):
    pass


class State(enum.Enum):
    new = "new"
    paid = "paid"


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(200).with_variant(pg.CITEXT(), "postgresql"), unique=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    tags: Mapped[list | None] = mapped_column(sa.JSON().with_variant(pg.ARRAY(sa.Text), "postgresql"))
    address: Mapped[str | None] = mapped_column(sa.String(45).with_variant(pg.INET(), "postgresql"))
    active: Mapped[bool] = mapped_column(server_default=sa.true())
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")


class Order(Base):
    __tablename__ = "order"
    __table_args__ = (
        sa.CheckConstraint("quantity > 0", name="some"),
        sa.UniqueConstraint("customer_id", "number", name="order_number"),
        sa.Index("open_orders", "customer_id", sqlite_where=sa.text("state = 'new'"),
                 postgresql_where=sa.text("state = 'new'")),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(sa.SmallInteger)
    quantity: Mapped[int]
    state: Mapped[State] = mapped_column(sa.Enum(State), default=State.new)
    price: Mapped[decimal.Decimal] = mapped_column(sa.Numeric(10, 2))
    doc: Mapped[dict | None] = mapped_column(sa.JSON(none_as_null=True).with_variant(pg.JSONB(none_as_null=True), "postgresql"))
    made: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True).with_variant(pg.TIMESTAMP(timezone=False), "postgresql"))
    day: Mapped[dt.date | None]
    raw: Mapped[bytes | None]
    customer: Mapped[Customer] = relationship(back_populates="orders")


def fields(row):
    return {c.key: getattr(row, c.key) for c in sa.inspect(type(row)).column_attrs}


def everything(e):
    with Session(e) as s:
        return ([fields(c) for c in s.scalars(sa.select(Customer).order_by(Customer.id))],
                [fields(o) for o in s.scalars(sa.select(Order).order_by(Order.customer_id, Order.number))])


def plain(value):
    return str(value) if not isinstance(value, (str, int, list, dict, bytes, type(None))) else value


e = engine(place)
if what == "schema":
    with e.begin() as c:
        c.execute(sa.text("CREATE EXTENSION IF NOT EXISTS citext"))
    Base.metadata.create_all(e)
elif what == "fill":
    Base.metadata.create_all(e)
    with Session(e) as s:
        for n in range(1, 11):
            c = Customer(email=f"C{n}@example.org", name=f"c{n}", tags=["a", f"t {n}"] if n % 2 else None,
                         address=f"10.0.0.{n}" if n % 3 else None)
            for k in range(1, 4):
                c.orders.append(Order(id=uuid.UUID(int=n * 10 + k), number=k, quantity=n,
                                      state=State.paid if k == 2 else State.new, price=decimal.Decimal("9.90") * n,
                                      doc={"n": n, "a": [1, None]} if k != 3 else None,
                                      made=dt.datetime(2024, 1, n, 3, 4, 5, k), day=dt.date(2024, 2, n), raw=bytes([n, 0])))
            s.add(c)
        s.commit()
elif what == "same":
    here, there = everything(e), everything(engine(sys.argv[3]))
    assert len(here[1]) >= 28
    for a, b in zip(here, there):
        assert len(a) == len(b), (len(a), len(b))
        for x, y in zip(a, b):
            for name in x:
                assert plain(x[name]) == plain(y[name]), (name, x[name], y[name])
elif what == "edit":
    with Session(e) as s:
        c = s.get(Customer, 1)
        c.name, c.active = "changed", False
        c.tags = ["x"]
        o = s.get(Order, uuid.UUID(int=11))
        o.state, o.doc, o.quantity = State.paid, {"z": 1}, 5
        s.delete(s.get(Order, uuid.UUID(int=23)))
        s.add(Customer(email="later@example.org", name="later", tags=[], address="::1"))
        s.commit()
else:
    with Session(e) as s:
        c = s.get(Customer, 1)
        assert (c.name, c.active, c.tags) == ("changed", False, ["x"]), fields(c)
        o = s.get(Order, uuid.UUID(int=11))
        assert (o.state, o.doc, o.quantity) == (State.paid, {"z": 1}, 5), fields(o)
        assert s.get(Order, uuid.UUID(int=23)) is None
        assert s.scalars(sa.select(Customer).where(Customer.name == "later")).one().tags == []
print("sqlalchemy own", what, "ok")
