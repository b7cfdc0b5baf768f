"""One login by Python's imaplib. What to do comes as JSON on standard input, what happened goes out the same way."""
import imaplib
import json
import ssl
import sys

asked = json.load(sys.stdin)
challenges = []


def answer(challenge):
    if challenge == b"" and not challenges:
        challenges.append("")
        return asked["response"].encode()
    challenges.append(challenge.decode())
    return asked["dismissal"].encode()


context = ssl.create_default_context(cafile=asked["authority"])
if "certificate" in asked:
    context.load_cert_chain(asked["certificate"], asked["key"])
    # The server's certificate names another of its addresses.
    context.check_hostname = False
client = imaplib.IMAP4_SSL(asked["address"], asked["port"], ssl_context=context, timeout=30)
result = {"status": "OK", "text": "", "subject": ""}
try:
    client.authenticate(asked["mechanism"], answer)
    client.select("INBOX", readonly=True)
    header = client.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1].decode()
    result["subject"] = header.partition("Subject: ")[2].strip()
    client.logout()
except imaplib.IMAP4.abort as error:
    result.update(status="closed", text=str(error))
except imaplib.IMAP4.error as error:
    result.update(status="NO", text=str(error))
result["challenge"] = "".join(challenges)
json.dump(result, sys.stdout)
