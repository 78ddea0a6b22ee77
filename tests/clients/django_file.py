"""A file made by Django on SQLite, read and written by the same models through PostgreSQL's protocol.

make FILE | read FILE URL | write URL | written FILE: the models are the same, the engine is not.
"""
import datetime as dt, decimal, sys, uuid
from urllib.parse import urlsplit

import django
from django.conf import settings

what, place = sys.argv[1], sys.argv[2]


def engine(place):
    if not place.startswith("postgres"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": place}
    u = urlsplit(place)
    return {"ENGINE": "django.db.backends.postgresql", "NAME": u.path[1:], "USER": u.username,
            "HOST": u.hostname, "PORT": u.port}


databases = {"default": engine(sys.argv[3] if what == "read" else place)}
if what == "read":
    databases["file"] = engine(place)
settings.configure(DATABASES=databases, USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
django.setup()
from django.db import connection, models  # noqa: E402


class Owner(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=40, unique=True)

    class Meta:
        app_label = "shop"


class Thing(models.Model):
    owner = models.ForeignKey(Owner, models.CASCADE)
    token = models.UUIDField(null=True)
    price = models.DecimalField(max_digits=12, decimal_places=3)
    made = models.DateTimeField()
    day = models.DateField(null=True)
    at = models.TimeField(null=True)
    duration = models.DurationField(null=True)
    data = models.JSONField(null=True)
    flag = models.BooleanField(default=True)
    raw = models.BinaryField(null=True)
    ratio = models.FloatField(null=True)
    count = models.PositiveBigIntegerField(default=0)
    small = models.PositiveSmallIntegerField(default=0)
    big = models.BigIntegerField(default=0)
    address = models.GenericIPAddressField(null=True)
    text = models.TextField(default="")

    class Meta:
        app_label = "shop"


class Empty(models.Model):
    """Never written on SQLite: only declarations and habits say its types."""
    token = models.UUIDField()
    at = models.DateTimeField()
    duration = models.DurationField()
    data = models.JSONField()
    address = models.GenericIPAddressField()

    class Meta:
        app_label = "shop"


UTC = dt.timezone.utc
ROWS = [
    dict(token=uuid.UUID(int=7), price=decimal.Decimal("9.990"),
         made=dt.datetime(2024, 1, 2, 3, 4, 5, 120000, UTC), day=dt.date(2024, 2, 29),
         at=dt.time(5, 6, 7, 8), duration=dt.timedelta(days=3, hours=2, microseconds=5),
         data={"b": [1, 2.5, None], "a": {"x": "é"}}, flag=False, raw=b"\x00\xff", ratio=0.1,
         count=2**62, small=3, big=-2**63, address="10.0.0.1", text="plain"),
    dict(token=uuid.UUID("550e8400-e29b-41d4-a716-446655440000"), price=decimal.Decimal("-0.001"),
         made=dt.datetime(1969, 12, 31, 23, 59, 59, 0, UTC), day=None, at=dt.time(0, 0),
         duration=-dt.timedelta(hours=1), data=[], flag=True, raw=b"", ratio=-1e300,
         count=0, small=0, big=5, address="2001:db8::1", text="it's"),
    dict(token=None, price=decimal.Decimal("123456789"), made=dt.datetime(2038, 1, 19, 3, 14, 8, 1, UTC),
         day=dt.date(1, 1, 1), at=None, duration=None, data=None, raw=None, ratio=None, address=None),
]


def fields(row):
    out = {}
    for f in row._meta.concrete_fields:
        value = getattr(row, f.attname)
        out[f.attname] = bytes(value) if isinstance(value, memoryview) else value
    return out


def all_of(using="default"):
    return [[fields(r) for r in m.objects.using(using).order_by("pk")] for m in (Owner, Thing, Empty)]


if what == "make":
    with connection.schema_editor() as editor:
        for model in (Owner, Thing, Empty):
            editor.create_model(model)
    owner = Owner.objects.create(id=uuid.UUID(int=1), name="A")
    for row in ROWS:
        Thing.objects.create(owner=owner, **row)
elif what == "read":
    want, got = all_of("file"), all_of()
    assert len(want[1]) >= len(ROWS)
    for wanted, found in zip(want, got):
        assert len(wanted) == len(found), (wanted, found)
        for w, f in zip(wanted, found):
            for name in w:
                assert w[name] == f[name] and type(w[name]) is type(f[name]), (name, w[name], f[name])
    first = Thing.objects.order_by("pk").first()
    assert Thing.objects.get(token=first.token).pk == first.pk
    assert Thing.objects.filter(made=first.made).count() == 1
    assert Thing.objects.filter(made__lt=dt.datetime(2000, 1, 1, tzinfo=UTC)).count() >= 1
    assert Thing.objects.filter(duration__gt=dt.timedelta(days=1)).count() >= 1
    assert Thing.objects.filter(data__a__x="é").get().pk == first.pk
    assert Thing.objects.filter(address="10.0.0.1").count() >= 1
    assert Owner.objects.get(pk=uuid.UUID(int=1)).thing_set.count() >= len(ROWS)
elif what == "write":
    owner = Owner.objects.create(name="B")
    for row in ROWS:
        Thing.objects.create(owner=owner, **{**row, "made": row["made"] + dt.timedelta(days=1),
                                             "token": uuid.uuid4(), "data": {"n": 1}})
    Empty.objects.create(token=uuid.UUID(int=9), at=ROWS[0]["made"], duration=dt.timedelta(minutes=5),
                         data={"k": 1}, address="10.9.8.7")
    first = Thing.objects.order_by("pk").first()
    first.duration = dt.timedelta(days=40)
    first.raw = b"new"
    first.save()
else:
    things = list(Thing.objects.order_by("pk"))
    assert len(things) == 2 * len(ROWS)
    assert things[0].duration == dt.timedelta(days=40) and bytes(things[0].raw) == b"new"
    for old, new in zip(ROWS, things[len(ROWS):]):
        for name in old:
            if name not in ("made", "token", "data"):
                got = getattr(new, name)
                assert (bytes(got) if isinstance(got, memoryview) else got) == old[name], (name, got)
        assert new.made == old["made"] + dt.timedelta(days=1) and new.data == {"n": 1}
    empty = Empty.objects.get()
    assert (empty.token, empty.duration, empty.data, empty.address) == (
        uuid.UUID(int=9), dt.timedelta(minutes=5), {"k": 1}, "10.9.8.7"), fields(empty)
    assert empty.at == ROWS[0]["made"]
print("django", what, "ok")
