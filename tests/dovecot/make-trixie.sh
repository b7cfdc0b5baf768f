#!/bin/sh
# Makes the Debian 13 root in which the tests run Dovecot 2.4: Debian 12 has no such package.
#
#   tests/dovecot/make-trixie.sh [ROOT]      default: target/trixie
#
# Owns ROOT alone. Idempotent: a finished root is left as it is. Atomic: it is made under a temporary name and renamed
# once complete, so that an interrupted run never leaves a half-made root that looks finished. Any failure is an error:
# tests that need this root fail without it, they are not skipped.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=${1:-$here/../../target/trixie}
parent=$(dirname "$root")
mkdir -p "$parent"
root=$(cd "$parent" && pwd)/$(basename "$root")

# Two test runs at once wait for one another instead of making the root twice.
exec 9>"$root.lock"
flock 9
[ -e "$root/usr/sbin/dovecot" ] && exit 0

[ "$(id -u)" -eq 0 ] || { echo "make-trixie.sh: must run as root (debootstrap, chroot)" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "make-trixie.sh: install the package debootstrap" >&2; exit 1; }

# The first mirror in the host's own sources whose address ends in the given path, in either of apt's two formats.
mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        grep -v '^[[:space:]]*#' |
        grep -oE '(https?|mirror\+[a-z]+)://[^] []*/'"$1"'/?([[:space:]]|$)' |
        head -n 1 | tr -d '[:space:]'
}
debian=$(mirror debian)
security=$(mirror debian-security)
[ -n "$debian" ] && [ -n "$security" ] || {
    echo "make-trixie.sh: apt's sources name no Debian mirror (an address that ends in /debian and one in /debian-security)" >&2
    exit 1
}

new=$(mktemp -d "$root.new.XXXXXX")
trap 'umount "$new/proc" 2>/dev/null || true; rm -rf --one-file-system "$new"' EXIT
trap 'exit 1' HUP INT TERM

debootstrap --variant=minbase trixie "$new" "$debian"

# Nothing that is installed here may start: the tests start their own servers, with their own configuration.
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
chmod 755 "$new/usr/sbin/policy-rc.d"
# How this host reaches its mirrors (proxy, time-outs) holds inside as well.
cp -a /etc/apt/apt.conf.d/. "$new/etc/apt/apt.conf.d/"
[ ! -e /etc/apt/apt.conf ] || cp -a /etc/apt/apt.conf "$new/etc/apt/"
cp -L /etc/resolv.conf /etc/hosts "$new/etc/"
cat >"$new/etc/apt/sources.list" <<SOURCES
deb $debian trixie main
deb $debian trixie-updates main
deb $security trixie-security main
SOURCES
chroot "$new" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C sh -eu -c '
    apt-get -q update
    apt-get -q -y --no-install-recommends install dovecot-imapd
    apt-get -q clean
    rm -rf /var/lib/apt/lists/*
    dovecot --version
'
# Without this the package would have left a server that only looks installed.
chroot "$new" test -x /usr/lib/dovecot/imap-login
chmod 755 "$new"
mv -T "$new" "$root"
trap - EXIT
