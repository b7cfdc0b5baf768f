# One message through Python's smtplib, as standard input says. Exits 0 if the server took it.
import json
import smtplib
import ssl
import sys

asked = json.load(sys.stdin)
server = smtplib.SMTP("localhost", asked["port"], timeout=60)
server.starttls(context=ssl.create_default_context(cafile=asked["authority"]))
server.ehlo()


def authobject(challenge=None):
    # Asked without a challenge for the initial response, with an empty one where the server wants the first word, and with
    # one that says why it refuses.
    return asked["dismissal"] if challenge else asked["response"]


try:
    server.auth(asked["mechanism"], authobject, initial_response_ok=asked["initial_response"])
    server.sendmail(asked["from"], [asked["to"]], asked["text"])
except smtplib.SMTPResponseException as refused:
    print(refused.smtp_code, refused.smtp_error.decode())
    sys.exit(1)
except smtplib.SMTPRecipientsRefused as refused:
    print(refused.recipients)
    sys.exit(1)
server.quit()
