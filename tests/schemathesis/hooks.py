"""What schemathesis needs to know beside the description: something to work on, and where calls may go.

The activities, notifications and reminders that it makes are really sent, so every URL that it gives leads to a port
of this machine on which nothing listens: no name is looked up, and no address elsewhere is called.
"""

import json
import os
import re
import urllib.request

import schemathesis
from hypothesis import strategies

API = os.environ["PUNCTUAL_URL"]
ADMIN_KEY = os.environ["PUNCTUAL_ADMIN_KEY"]
# Discard: refused at once.
NOWHERE = "http://127.0.0.1:9"
CLEAN = re.compile(re.escape(NOWHERE) + r"(?:[/?][!-~]*)?")
SCHEME = re.compile(r"h\s*t\s*t\s*p", re.IGNORECASE)

PATHS = ("", "/", "/inbox", "/a/b?c=d")
schemathesis.openapi.format("uri", strategies.sampled_from([NOWHERE + path for path in PATHS]))
schemathesis.openapi.format(
    "uri-template",
    strategies.sampled_from([NOWHERE + path for path in (*PATHS, "/song/{SongId}", "/song?id={a.b}")]),
)


@schemathesis.hook
def before_call(context, case, kwargs):
    case.body = at_home(case.body)


def at_home(value):
    """The value; a URL that leads elsewhere is none any more."""
    if isinstance(value, dict):
        return {at_home(name): at_home(member) for name, member in value.items()}
    if isinstance(value, list):
        return [at_home(item) for item in value]
    if isinstance(value, str):
        # What the description shows as an example is as good here.
        value = re.sub(r"https://[a-z.]*example(\.com)?(?=[/\"]|$)", NOWHERE, value)
        return value if CLEAN.fullmatch(value) else SCHEME.sub("nowhere", value)
    if isinstance(value, bytes):
        return re.sub(rb"(?i)http", b"nowhere", value)
    return value


def seed():
    """What the fixed names in schemathesis.toml name, made of the description's own examples."""
    with urllib.request.urlopen(f"{API}/openapi.json") as answer:
        document = json.load(answer)
    wanted = (
        "putCompany",
        "putSolution",
        "putActivityType",
        "putNotificationType",
        "putDispatchConfig",
        "putReminderConfiguration",
        "createApiKey",
        "createActivity",
        "publishNotification",
        "putReminder",
        "putRecurringActivity",
    )
    operations = {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    for name in wanted:
        method, path, operation = operations[name]
        for parameter in operation["parameters"]:
            if "$ref" in parameter:
                parameter = document["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], parameter["example"])
        content = operation["requestBody"]["content"]["application/json"]
        examples = [example["value"] for example in content.get("examples", {}).values()]
        for example in examples or [content["example"]]:
            send(method, path, example)
            if name in ("putSolution", "putReminderConfiguration"):
                send(method, path.replace("/music", "/spare"), example)


def send(method, path, body):
    request = urllib.request.Request(
        API + path,
        method=method,
        data=json.dumps(at_home(body)).encode(),
        headers={"x-api-key": ADMIN_KEY, "content-type": "application/json"},
    )
    urllib.request.urlopen(request).close()


seed()
