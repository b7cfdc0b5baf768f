#!/bin/sh
# Installs what the tests need beside rustup, gcc and apt; with the argument `demo`, what the demo needs of it; with `bench`,
# what the benchmarks compare with as well; with `fuzz`, a C++ compiler. Says so first. It starts no service and leaves none
# of them enabled: the tests start their own servers, with their own configuration, in folders of their own.
set -eu
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

wanted='debootstrap procps curl python3 isync libsasl2-modules-kdexoauth2 ca-certificates minisign'
if [ "${1:-}" != demo ]; then
    wanted="$wanted python3-venv patch docker-registry apache2-utils"
    # Whoever has Node from elsewhere keeps it: Debian's npm would want Debian's Node.
    command -v npm >/dev/null || wanted="$wanted nodejs npm"
fi
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

# Hosts of the policy in other languages, from PyPI and npm, in folders of their own: fetched once for each version that
# integrations/embed-* names.
if [ -z "${1:-}" ]; then
    embed="${CARGO_TARGET_DIR:-target}/embed"
    pinned=integrations/embed-python/requirements.txt
    if ! cmp -s "$pinned" "$embed/python/requirements.txt"; then
        echo "Octroi's tests install into $embed/python: $(cat "$pinned")"
        rm -rf "$embed/python"
        python3 -m venv "$embed/python"
        "$embed/python/bin/pip" -q --disable-pip-version-check install -r "$pinned"
        cp "$pinned" "$embed/python/requirements.txt"
    fi
    pinned=integrations/embed-node/package.json
    if ! cmp -s "$pinned" "$embed/node/installed.json"; then
        echo "Octroi's tests install into $embed/node what $pinned names"
        rm -rf "$embed/node"
        mkdir -p "$embed/node"
        cp "$pinned" "$embed/node/"
        (cd "$embed/node" && npm --silent install --no-audit --no-fund --ignore-scripts)
        cp "$pinned" "$embed/node/installed.json"
    fi
fi
