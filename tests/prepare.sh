#!/bin/sh
# Installs what the demo and the tests need beside rustup, gcc and apt; with the argument `bench`, what the benchmarks
# compare with as well; with `fuzz`, a C++ compiler. Says so first. It starts no service and leaves none of them enabled:
# the tests start their own servers, with their own configuration, in folders of their own.
set -eu
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

wanted='debootstrap procps curl python3 isync libsasl2-modules-kdexoauth2 ca-certificates minisign
docker-registry apache2-utils'
[ "${1:-}" != bench ] || wanted="$wanted haproxy postfwd"
[ "${1:-}" != fuzz ] || wanted="$wanted g++"
missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "Octroi's demo, tests and benchmarks install these Debian packages:$missing"
    as_root apt-get -q update
    # Debian starts what it installs unless this says no (invoke-rc.d(8)).
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing
    for service in haproxy postfwd docker-registry; do
        case $missing in
            *" $service"*) as_root systemctl disable "$service" 2>/dev/null || true ;;
        esac
    done
fi
rustup target list --installed | grep -q '^wasm32-unknown-unknown$' || rustup target add wasm32-unknown-unknown
