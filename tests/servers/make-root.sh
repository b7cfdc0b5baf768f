#!/bin/sh
# Makes the Debian root in which the tests run mail servers: no server of the host is installed, replaced or touched.
#
#   tests/servers/make-root.sh bookworm|trixie [ROOT]      default: target/SUITE
#
# Owns ROOT alone. Idempotent: a finished root is left as it is, and one that lacks packages of a list that has grown gets
# them. Atomic: it is made under a temporary name and renamed once complete, so that an interrupted run never leaves a
# half-made root that looks finished. Any failure is an error: tests that need this root fail without it, they are not
# skipped.
set -eu

# What each root holds, and the programs without which a package would have left a server that only looks installed.
# Postfix and Exim exclude one another as Debian packages.
case ${1:-} in
    bookworm)
        packages='dovecot-imapd dovecot-submissiond postfix msmtp'
        programs='/usr/lib/dovecot/imap-login /usr/lib/dovecot/submission-login /usr/lib/postfix/sbin/smtpd /usr/bin/msmtp'
        ;;
    trixie)
        packages='dovecot-imapd dovecot-submissiond exim4-daemon-heavy msmtp'
        programs='/usr/lib/dovecot/imap-login /usr/lib/dovecot/submission-login /usr/sbin/exim4 /usr/bin/msmtp'
        ;;
    *)
        echo "make-root.sh: which suite, bookworm or trixie?" >&2
        exit 2
        ;;
esac
suite=$1

here=$(cd "$(dirname "$0")" && pwd)
root=${2:-$here/../../target/$suite}
parent=$(dirname "$root")
mkdir -p "$parent"
root=$(cd "$parent" && pwd)/$(basename "$root")

# Two test runs at once wait for one another instead of making the root twice.
exec 9>"$root.lock"
flock 9

# The last thing to be written: the list of a finished root.
finished() { [ "$(cat "$1/octroi-packages" 2>/dev/null)" = "$packages" ]; }
finished "$root" && exit 0

[ "$(id -u)" -eq 0 ] || { echo "make-root.sh: must run as root (debootstrap, chroot)" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "make-root.sh: install the package debootstrap" >&2; exit 1; }

inside() {
    inside_root=$1
    shift
    chroot "$inside_root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
}

install_packages() {
    # How this host reaches its mirrors (proxy, time-outs) holds inside as well.
    cp -a /etc/apt/apt.conf.d/. "$1/etc/apt/apt.conf.d/"
    [ ! -e /etc/apt/apt.conf ] || cp -a /etc/apt/apt.conf "$1/etc/apt/"
    cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
    # Postfix's package asks what kind of site this is: none, the tests bring their own configuration.
    inside "$1" sh -euc '
        echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
        apt-get -q update
        apt-get -q -y --no-install-recommends install "$@"
        apt-get -q clean
        rm -rf /var/lib/apt/lists/*
    ' install $packages
    for program in $programs; do
        chroot "$1" test -x "$program" || { echo "make-root.sh: $program is not there" >&2; exit 1; }
    done
    echo "$packages" >"$1/octroi-packages"
}

# A root of an earlier version of these lists.
if [ -e "$root" ]; then
    rm -f "$root/octroi-packages"
    install_packages "$root"
    exit 0
fi

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
    echo "make-root.sh: apt's sources name no Debian mirror (an address that ends in /debian and one in /debian-security)" >&2
    exit 1
}

new=$(mktemp -d "$root.new.XXXXXX")
trap 'umount "$new/proc" 2>/dev/null || true; rm -rf --one-file-system "$new"' EXIT
trap 'exit 1' HUP INT TERM
# mktemp's mode keeps everybody but root out: Exim looks up its users as one of them while it is installed.
chmod 755 "$new"

debootstrap --variant=minbase "$suite" "$new" "$debian"

# Nothing that is installed here may start: the tests start their own servers, with their own configuration.
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
chmod 755 "$new/usr/sbin/policy-rc.d"
cat >"$new/etc/apt/sources.list" <<SOURCES
deb $debian $suite main
deb $debian $suite-updates main
deb $security $suite-security main
SOURCES
install_packages "$new"
mv -T "$new" "$root"
trap - EXIT
