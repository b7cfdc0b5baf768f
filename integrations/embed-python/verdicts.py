"""What a policy answers to vectors, in Python: python3 verdicts.py policy.wasm vectors.json (needs wasmtime==48.0.0)"""

import base64
import json
import sys

from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Record, Variant

engine = Engine()
component = Component.from_file(engine, sys.argv[1])


def instance():
    """One for each login: its memory is never given back."""
    store = Store(engine)
    made = Linker(engine).instantiate(store, component)

    def call(interface, function, *values):
        within = made.get_export_index(store, f"octroi:policy/{interface}@0.2.0")
        return made.get_func(store, made.get_export_index(store, function, within))(store, *values)

    return call


def record(**fields):
    made = Record()
    vars(made).update({name.replace("_", "-"): value for name, value in fields.items()})
    return made


def attempt(vector):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    token = vector.get("token")
    if "header" in vector:
        token = f"{part(vector['header'])}.{part(vector['payload'])}.{'A' * 342}"
    response = vector.get("response", "").encode()
    if "message" in vector:
        response = base64.b64encode(vector["message"].replace("{token}", token or "").encode())
    sasl = "mechanism" in vector and record(mechanism=vector["mechanism"], response=response)
    credentials = sasl or token.encode()
    return record(credentials=credentials, mailbox=vector.get("mailbox"), protocol=vector.get("protocol", "imap"))


def evidence(asked, vector):
    told = vector.get("introspection", "unavailable")
    if isinstance(told, dict):
        names = ("subject", "session", "authorized_party", "expires_at")
        told = Variant("active", record(**{name: told["active"].get(name) for name in names}))
    else:
        told = Variant(told)
    mailboxes = [record(**{"persons": 1, **mailbox}) for mailbox in vector.get("mailboxes", [])]
    return record(introspection=Variant("not-asked") if asked == "never" else told, mailboxes=mailboxes)


def login(settings, vector):
    call = instance()
    opened = call("login", "open", settings, attempt(vector), vector["now"])
    if opened.tag == "err":
        return f"deny {opened.payload.reason}"
    # Here a real host verifies the signature with the issuer's key, and gives up where it does not hold.
    inquiry = opened.payload
    proven = evidence(inquiry.introspect, vector)
    verdict = call("login", "decide", settings, inquiry, proven, vector["now"])
    return f"{verdict.tag} {' '.join(sorted(verdict.payload.mailboxes)) if verdict.tag == 'allow' else verdict.payload}"


def message(settings, vector):
    given = {"sender": "", "recipient": None, "recipient_in_trust_space": None, "recipients": 0, "size": 0}
    given |= {"encryption": "tls13", **vector}
    given["mailboxes"] = [record(**{"aliases": [], **mailbox}) for mailbox in vector.get("mailboxes", [])]
    verdict = instance()("submission", "judge", settings, record(**given))
    return verdict.tag if verdict.payload is None else f"{verdict.tag} {verdict.payload}"


def certificate(settings, vector):
    told = ("common_name", "issuer", "fingerprint", "not_before", "not_after")
    facts = {name: None for name in told} | {"units": [], "chain": "production", "mailbox_domains": []}
    facts |= {"revocation": "good", **vector["certificate"]}
    lists = {name: [] for name in ("structures", "common_names", "issuers", "fingerprints")}
    wanted = record(**{**lists, **vector["mailbox"]}) if "mailbox" in vector else None
    request = record(certificate=record(**facts), mailbox=wanted)
    verdict = instance()("certificate", "judge", settings, request, vector["now"])
    return verdict.tag if verdict.payload is None else f"{verdict.tag} {verdict.payload}"


with open(sys.argv[2], encoding="utf-8") as file:
    vectors = json.load(file)
settings = instance()("manifest", "configure", json.dumps(vectors["settings"]))
for kind, answer in (("logins", login), ("submissions", message), ("certificates", certificate)):
    for vector in vectors.get(kind, []):
        print(f"{vector['name']}\t{answer(settings, vector)}")
