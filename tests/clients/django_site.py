"""A Django site with its usual applications, migrated on SQLite and on PostgreSQL by Django itself.

migrate PLACE | fill FILE | same FILE URL | edit URL | edited FILE
"""
import datetime as dt, sys, uuid
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


databases = {"default": engine(place)}
if what == "same":
    databases["other"] = engine(sys.argv[3])
settings.configure(
    DATABASES=databases, USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    SECRET_KEY="x", PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
                    "django.contrib.admin", "django.contrib.messages"])
django.setup()
from django.apps import apps  # noqa: E402
from django.contrib.admin.models import ADDITION, LogEntry  # noqa: E402
from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402

UTC = dt.timezone.utc


def everything(using):
    return {m._meta.db_table: sorted(tuple(sorted((f.attname, getattr(o, f.attname))
                                                  for f in m._meta.concrete_fields))
                                     for o in m.objects.using(using).all())
            for m in (ContentType, Permission, Group, User, Session, LogEntry)}


if what == "migrate":
    call_command("migrate", verbosity=0)
elif what == "fill":
    group = Group.objects.create(name="staff")
    group.permissions.set(Permission.objects.all()[:5])
    for n in range(20):
        user = User.objects.create_user(f"user{n}", f"u{n}@example.org", "x", is_staff=n % 2 == 0)
        user.groups.add(group)
        LogEntry.objects.create(user=user, content_type=ContentType.objects.get_for_model(User),
                                object_id=str(user.pk), object_repr="é", action_flag=ADDITION)
        Session.objects.create(session_key=uuid.UUID(int=n).hex, session_data="d",
                               expire_date=dt.datetime(2030, 1, 1, 2, 3, 4, n, UTC))
elif what == "same":
    here, there = everything("default"), everything("other")
    assert here == there, [t for t in here if here[t] != there[t]]
    assert len(here["auth_user"]) >= 20
    assert User.objects.using("other").get(username="user3").groups.get().name == "staff"
elif what == "edit":
    user = User.objects.get(username="user1")
    user.is_staff = True
    user.email = "new@example.org"
    user.save()
    User.objects.create_user("later", "l@example.org", "x").groups.add(Group.objects.get())
    Session.objects.filter(session_key=uuid.UUID(int=4).hex).delete()
else:
    assert User.objects.get(username="user1").email == "new@example.org"
    assert User.objects.get(username="later").groups.get().name == "staff"
    assert not Session.objects.filter(session_key=uuid.UUID(int=4).hex).exists()
print("django site", what, "ok")
