"""Accounts and transfers, a command line application: python ledger.py setup | visit | book FROM TO AMOUNT

DATABASE_URL says where its data is: sqlite:///ledger.db, or postgres://USER@HOST:PORT/NAME.
"""
import datetime
import decimal
import json
import os
import sys

from sqlalchemy import (JSON, Boolean, CheckConstraint, DateTime, ForeignKey, Index, Numeric, String, create_engine,
                        func, select)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

URL = os.environ.get("DATABASE_URL", "sqlite:///ledger.db").replace("postgres://", "postgresql+psycopg://")
engine = create_engine(URL)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    balance: Mapped[decimal.Decimal] = mapped_column(Numeric(12, 2), default=0)
    open: Mapped[bool] = mapped_column(Boolean, default=True)
    notes: Mapped[dict] = mapped_column(JSON, default=dict)
    __table_args__ = (CheckConstraint("balance >= 0", name="never_below_zero"),)


class Transfer(Base):
    __tablename__ = "transfers"
    id: Mapped[int] = mapped_column(primary_key=True)
    payer_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    payee_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    amount: Mapped[decimal.Decimal] = mapped_column(Numeric(12, 2))
    at: Mapped[datetime.datetime] = mapped_column(DateTime)
    payer: Mapped[Account] = relationship(foreign_keys=payer_id)
    payee: Mapped[Account] = relationship(foreign_keys=payee_id)
    __table_args__ = (Index("transfers_by_time", "at"),)


def book(session, payer, payee, amount, at):
    """Moves an amount; both accounts are held in the order of their ids."""
    held = session.scalars(select(Account).where(Account.name.in_([payer, payee])).order_by(Account.id).with_for_update())
    accounts = {account.name: account for account in held}
    accounts[payer].balance -= amount
    accounts[payee].balance += amount
    transfer = Transfer(payer=accounts[payer], payee=accounts[payee], amount=amount, at=at)
    session.add(transfer)
    session.flush()
    return transfer


def setup():
    Base.metadata.create_all(engine)
    start = datetime.datetime(2024, 2, 28, 23, 30)
    with Session(engine) as session, session.begin():
        for number in range(12):
            notes = {"tags": ["old", "größer"], "rank": number} if number % 3 else {}
            session.add(Account(name=f"account {number}", balance=decimal.Decimal("1000.10"), notes=notes))
        session.flush()
        for number in range(80):
            payer, payee = f"account {number % 12}", f"account {(number * 5 + 1) % 12}"
            if payer != payee:
                book(session, payer, payee, decimal.Decimal(number) / 4, start + datetime.timedelta(hours=number))


def visit():
    """Every query once; what it shows, so that two visits can be compared."""
    seen = {}
    with Session(engine) as session, session.begin():
        seen["balances"] = [[a.name, str(a.balance), a.notes] for a in session.scalars(select(Account).order_by(Account.name))]
        last = select(Transfer).options(selectinload(Transfer.payer), selectinload(Transfer.payee)).order_by(Transfer.at.desc(), Transfer.id).limit(5)
        seen["last"] = [[t.payer.name, t.payee.name, str(t.amount), t.at.isoformat()] for t in session.scalars(last)]
        paid = (select(Account.name, func.count(Transfer.id), func.sum(Transfer.amount)).join(Transfer, Transfer.payer_id == Account.id)
                .group_by(Account.name).having(func.count(Transfer.id) > 1).order_by(Account.name))
        seen["paid"] = [[name, count, f"{total:.2f}"] for name, count, total in session.execute(paid)]
        total = session.scalar(select(func.sum(Account.balance)))
        seen["total"] = f"{total:.2f}"
    with Session(engine) as session:
        # Too much is refused by the table itself, and nothing of it stays.
        try:
            book(session, "account 1", "account 2", decimal.Decimal(1000000), datetime.datetime(2025, 1, 1))
            raise SystemExit("the check was not kept")
        except IntegrityError:
            session.rollback()
        # There and back.
        first = book(session, "account 1", "account 2", decimal.Decimal("12.5"), datetime.datetime(2025, 1, 1))
        second = book(session, "account 2", "account 1", decimal.Decimal("12.5"), datetime.datetime(2025, 1, 1))
        session.commit()
        session.delete(first)
        session.delete(second)
        session.commit()
    print(json.dumps(seen, ensure_ascii=False))


if __name__ == "__main__":
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "setup":
        setup()
    elif verb == "visit":
        visit()
    elif verb == "book" and len(sys.argv) == 5:
        with Session(engine) as session, session.begin():
            book(session, sys.argv[2], sys.argv[3], decimal.Decimal(sys.argv[4]), datetime.datetime.now())
    else:
        sys.exit(__doc__)
