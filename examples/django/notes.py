"""Notes, an application in one file: python notes.py setup | visit | serve [PORT]

DATABASE_URL says where its data is: sqlite:///notes.db, or postgres://USER@HOST:PORT/NAME.
"""
import datetime
import decimal
import json
import os
import sys
from urllib.parse import urlsplit

import django
from django.conf import settings


def database(url):
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path[1:]}
    return {"ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "HOST": parts.hostname,
            "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password or ""}


settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": database(os.environ.get("DATABASE_URL", "sqlite:///notes.db"))},
    DEBUG=False,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ROOT_URLCONF=__name__,
    SECRET_KEY="only an example",
    USE_TZ=True,
)
django.setup()

from django.db import connection, models, transaction  # noqa: E402
from django.db.models import Count, F, Q, Sum  # noqa: E402
from django.db.models.functions import TruncMonth  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Author(models.Model):
    name = models.CharField(max_length=80, unique=True)

    class Meta:
        app_label = "notes"


class Note(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, related_name="notes")
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    created = models.DateTimeField()
    published = models.BooleanField(default=False)
    tags = models.JSONField(default=list)
    reads = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "notes"
        indexes = [models.Index(fields=["created"], name="notes_by_time")]


def listing(request):
    found = Note.objects.select_related("author").order_by("-created", "id")
    word = request.GET.get("q")
    if word:
        found = found.filter(Q(title__icontains=word) | Q(body__icontains=word))
    page = int(request.GET.get("page", 0))
    rows = [{"id": n.id, "title": n.title, "author": n.author.name, "price": str(n.price),
             "created": n.created.isoformat(), "published": n.published, "tags": n.tags}
            for n in found[page * 20:page * 20 + 20]]
    return JsonResponse({"count": found.count(), "notes": rows})


def detail(request, number):
    Note.objects.filter(id=number).update(reads=F("reads") + 1)
    note = Note.objects.get(id=number)
    return JsonResponse({"id": note.id, "body": note.body, "reads": note.reads})


def add(request):
    given = json.loads(request.body)
    with transaction.atomic():
        author, _ = Author.objects.get_or_create(name=given["author"])
        note = Note.objects.create(
            author=author, title=given["title"], body=given.get("body", ""),
            price=decimal.Decimal(given.get("price", "0")), created=datetime.datetime.now(datetime.timezone.utc),
            tags=given.get("tags", []))
        note.refresh_from_db()
    return JsonResponse({"id": note.id, "price": str(note.price)}, status=201)


def remove(request, number):
    gone, _ = Note.objects.filter(id=number).delete()
    return JsonResponse({"gone": gone})


def statistics(request):
    months = (Note.objects.annotate(month=TruncMonth("created")).values("month")
              .annotate(notes=Count("id"), sum=Sum("price")).order_by("month"))
    authors = (Note.objects.values(name=F("author__name"))
               .annotate(written=Count("id"), out=Count("id", filter=Q(published=True))).order_by("-written", "name"))
    return JsonResponse({
        "months": [{"month": m["month"].date().isoformat(), "notes": m["notes"], "sum": f"{m['sum']:.2f}"} for m in months],
        "authors": list(authors[:5])})


urlpatterns = [
    path("", listing), path("add", add), path("statistics", statistics),
    path("<int:number>", detail), path("<int:number>/remove", remove),
]


def setup():
    with connection.schema_editor() as editor:
        for model in (Author, Note):
            editor.create_model(model)
    start = datetime.datetime(2024, 1, 31, 12, 30, tzinfo=datetime.timezone.utc)
    for number in range(60):
        author, _ = Author.objects.get_or_create(name=f"Author {number % 7}")
        Note.objects.create(
            author=author, title=f"Note {number}", body="Grüße an alle" if number % 5 else "",
            price=decimal.Decimal((number + 1) * 5) / 4, created=start + datetime.timedelta(days=number, microseconds=number),
            published=number % 3 == 0, tags=["odd"] if number % 2 else [])


def visit():
    """Every view once; what it shows, so that two visits can be compared."""
    from django.test import Client
    client = Client()
    seen = {"statistics": client.get("/statistics").json()}
    seen["first"] = client.get("/").json()
    seen["third"] = client.get("/?page=2").json()
    seen["search"] = client.get("/?q=ALLE").json()["count"]
    made = client.post("/add", json.dumps({"author": "Visitor", "title": "New", "price": "12.5", "tags": ["a", {"b": 1}]}),
                       content_type="application/json").json()
    assert made["price"] == "12.50", made
    assert client.get(f"/{made['id']}").json()["reads"] == 1
    assert client.get(f"/{made['id']}").json()["reads"] == 2
    assert client.get("/?q=new").json()["notes"][0]["tags"] == ["a", {"b": 1}]
    assert client.get(f"/{made['id']}/remove").json() == {"gone": 1}
    print(json.dumps(seen, sort_keys=True))


def serve(port="8000"):
    from wsgiref.simple_server import make_server
    from django.core.wsgi import get_wsgi_application
    with make_server("127.0.0.1", int(port), get_wsgi_application()) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    verb, *rest = sys.argv[1:] or ["serve"]
    {"setup": setup, "visit": visit, "serve": serve}[verb](*rest)
