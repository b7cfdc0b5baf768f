# Runs one Postfix in the foreground: $1 its configuration folder. Without a control program between, so that whoever ends
# this process ends the server.
set -eu
export MAIL_CONFIG="$1"
# What Debian's service does before: the files that a confined smtpd needs.
/usr/lib/postfix/configure-instance.sh
postfix check
exec /usr/lib/postfix/sbin/master -c "$MAIL_CONFIG" -s
