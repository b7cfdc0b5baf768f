"""One message by Python's smtplib. What to do comes as JSON on standard input, what happened goes out the same way."""
import json
import smtplib
import ssl
import sys

asked = json.load(sys.stdin)
context = ssl.create_default_context(cafile=asked["authority"])
if "certificate" in asked:
    context.load_cert_chain(asked["certificate"], asked["key"])
if asked["implicit"]:
    client = smtplib.SMTP_SSL("localhost", asked["port"], context=context, timeout=60)
else:
    client = smtplib.SMTP("localhost", asked["port"], timeout=60)
    client.starttls(context=context)
client.ehlo()


def answer(challenge=None):
    # Asked without a challenge for the initial response, with an empty one where the server wants the first word, and with
    # one that says why it refuses.
    return asked["dismissal"] if challenge else asked["response"]


result = {"sent": False, "shown": ""}
try:
    code, text = client.auth(asked["mechanism"], answer, initial_response_ok=asked["initial_response"])
    result["login"] = f"{code} {text.decode()}"
    client.sendmail(asked["sender"], [asked["recipient"]], asked["message"])
    result["sent"] = True
except smtplib.SMTPAuthenticationError as error:
    result["login"] = f"{error.smtp_code} {error.smtp_error.decode()}"
except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
    result["shown"] = str(error)
client.quit()
json.dump(result, sys.stdout)
