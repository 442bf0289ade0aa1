#!/usr/bin/env bash
# Installs the Debian packages and builds the two libraries that Debian 12 does not carry (OpenSSL 3.5, Botan 3.12)
# from Debian 13's source packages. Everything comes through apt with its signature checks on; nothing else is fetched.
#
# Built libraries live once per machine in a cache keyed by version and build flags:
#   ${XDG_CACHE_HOME:-~/.cache}/qanat/<library>-<version>-<flags hash>
# and the checkout sees them as .deps/openssl and .deps/botan (headers, libraries, and vectors/ with the test vectors
# that the source packages carry).
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PACKAGES=(
  clang-19 lld-19 libclang-rt-19-dev clang-tidy-19 clang-tools-19 cmake ninja-build ccache pkg-config make git python3
  softhsm2 libp11-kit-dev
  libboost1.81-dev libboost-json1.81-dev libspdlog-dev libfmt-dev libcli11-dev libtomlplusplus-dev libsqlite3-dev libgtest-dev libsrtp2-dev
  libgf2x-dev curl libldap2-dev slapd ldap-utils libpq-dev postgresql
  certbot lego dehydrated uacme
  strongswan-pki libstrongswan-standard-plugins libstrongswan-extra-plugins scep
  strongswan-charon strongswan-libcharon strongswan-swanctl libcharon-extra-plugins wireguard-go wireguard-tools iproute2 iptables iputils-ping tcpdump
  dpkg-dev perl xz-utils ca-certificates debian-archive-keyring
)
readonly OPENSSL_MIN=3.5.7
readonly BOTAN_MIN='3.12.0'
readonly BOTAN_MODULES=sm2,sm3,sm4,sm4_gfni,pcurves_sm2p256v1,pcurves_secp384r1,ecdsa,ecdh,ml_dsa,ml_kem,gcm,ctr,hkdf,hmac,system_rng,auto_rng,hmac_drbg,ghash_cpu,aes_vaes,aes_ni,sha2_32_x86,sha2_64,shake,kmac,locking_allocator,poly1305
readonly BOTAN_FLAGS=(--minimized-build --amalgamation --disable-shared-library --build-targets=static --enable-modules="$BOTAN_MODULES")
# What nothing here speaks is left out: less to build and less to trust.
readonly OPENSSL_FLAGS=(shared no-docs no-legacy no-engine no-module no-async no-zlib no-comp no-tests enable-ec_nistp_64_gcc_128
  no-quic no-dtls no-srp no-slh-dsa no-aria no-bf no-camellia no-cast no-idea no-md4 no-mdc2 no-rc2 no-rc4 no-seed no-whirlpool)

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else die "needs root: run it as root, or install sudo"; fi; }

install_packages() {
  local missing=()
  for p in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  as_root apt-get update -q
  # The tests start a slapd of their own: none is to be configured, or to run, because the package was installed.
  printf 'slapd slapd/no_configuration boolean true\n' | as_root debconf-set-selections
  # The same of PostgreSQL: the package would make a cluster, start it and open a port.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common
    printf 'create_main_cluster = false\n' | as_root tee /etc/postgresql-common/createcluster.conf > /dev/null
  fi
  # And of strongSwan, whose package would start a daemon on the ports of IKE (to have it: systemctl unmask strongswan-starter).
  local starter=/etc/systemd/system/strongswan-starter.service
  if ! dpkg-query -W -f='${Status}' strongswan-starter 2>/dev/null | grep -q 'install ok installed' && [ ! -e $starter ] && [ ! -L $starter ]; then
    as_root mkdir -p "${starter%/*}"
    as_root ln -s /dev/null $starter
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy -o Dpkg::Options::=--force-confold --no-install-recommends "${missing[@]}"
}

# Writes a source-only sources list for Debian 13 made from this machine's own Debian entries (deb822 and one-line form).
trixie_sources() {
  local uris=() security=()
  while read -r uri suite; do
    case "$suite" in
      *-security*) security+=("$uri") ;;
      *) uris+=("$uri") ;;
    esac
  done < <(
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -n 's/^deb\(-src\)\? \+\(\[[^]]*\] \+\)\?\(http[^ ]*\) \+\(bookworm[^ ]*\) .*/\3 \4/p' || true
    for f in /etc/apt/sources.list.d/*.sources; do
      [ -e "$f" ] || continue
      awk -v RS= '{ u=""; s=""; n=split($0, l, "\n"); for (i=1;i<=n;i++) { if (l[i] ~ /^URIs:/) {u=l[i]; sub(/^URIs: */,"",u)} if (l[i] ~ /^Suites:/) {s=l[i]; sub(/^Suites: */,"",s)} }
                  m=split(s, ss, " "); split(u, uu, " "); for (j=1;j<=m;j++) if (ss[j] ~ /^bookworm/) print uu[1], ss[j] }' "$f"
    done)
  [ ${#uris[@]} -gt 0 ] || die "no Debian 12 (bookworm) entry found in /etc/apt: cannot derive the Debian 13 source entry"
  local key=/usr/share/keyrings/debian-archive-keyring.gpg
  printf 'deb-src [signed-by=%s] %s trixie main\n' "$key" "${uris[0]}"
  if [ ${#security[@]} -gt 0 ]; then printf 'deb-src [signed-by=%s] %s trixie-security main\n' "$key" "${security[0]}"; fi
}

APT=()
prepare_sources() {
  [ ${#APT[@]} = 0 ] || return 0
  local dir=$1
  mkdir -p "$dir/lists/partial" "$dir/parts" "$dir/cache/archives/partial"
  trixie_sources > "$dir/sources.list"
  APT=(apt-get -q -o "Dir::Etc::sourcelist=$dir/sources.list" -o "Dir::Etc::sourceparts=$dir/parts" -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache")
  [ "$(id -u)" = 0 ] && APT+=(-o APT::Sandbox::User=root)
  "${APT[@]}" update >&2
}

# Downloads and unpacks into ./src the newest version of source package $1, at least $2, that the mirror really serves: an index can
# name a version whose files the pool no longer (or not yet) has, so the next lower one is tried. Prints the version.
unpack_newest() {
  local package=$1 min=$2 version
  for version in $(apt-cache "${APT[@]:2}" showsrc --only-source "$package" | sed -n 's/^Version: //p' | sort -urV); do
    if dpkg --compare-versions "$version" lt "$min"; then break; fi
    if "${APT[@]}" source --download-only "$package=$version" >&2; then
      dpkg-source --no-check -x "$package"_*.dsc src > unpack.log   # apt has checked every file against the signed index
      printf '%s\n' "$version"
      return
    fi
    say "the mirror lists $package $version but does not serve it; trying the next lower version"
    rm -f "$package"_*
  done
  die "no source package $package of version $min or later could be had from the Debian 13 entries"
}

build_openssl() {
  local prefix=$1
  ./Configure linux-x86_64 --prefix="$prefix" --libdir=lib --openssldir="$prefix/ssl" -Wl,-rpath,"$prefix/lib" "${OPENSSL_FLAGS[@]}" > configure.log
  # The shared libraries and the program alone: build_libs would compile every file a second time, for static ones that nothing here links. So the
  # installation is done here too, since install_sw asks for all.
  local targets=(libcrypto.so libssl.so apps/openssl)
  make build_generated > build.log 2>&1 && make -j"$(nproc)" "${targets[@]}" >> build.log 2>&1 ||
    { grep -m5 -B5 -E '\*\*\*|error:' build.log >&2; return 1; }
  mkdir -p "$prefix"/{bin,include,lib,ssl,vectors}
  cp -r include/openssl "$prefix/include/"
  cp -P libcrypto.so* libssl.so* "$prefix/lib/"
  cp apps/openssl "$prefix/bin/"
  cp apps/openssl.cnf "$prefix/ssl/"
  cp -r test/recipes/30-test_evp_data/. "$prefix/vectors/"
  cp test/sm2_internal_test.c LICENSE.txt "$prefix/vectors/"
}

build_botan() {
  local prefix=$1
  python3 configure.py --cc=clang --cc-bin=clang++-19 "${BOTAN_FLAGS[@]}" --without-documentation \
    --prefix="$prefix" --libdir=lib > configure.log
  make -j"$(nproc)" > build.log 2>&1 || { grep -m5 -B5 -E '\*\*\*|error:' build.log >&2; return 1; }
  make install > install.log 2>&1 || { tail -30 install.log >&2; return 1; }
  cp -r src/tests/data "$prefix/vectors"
  cp license.txt "$prefix/vectors/"
}

# provide <library> <source package> <minimum version> <flags that key the cache>
provide() {
  local library=$1 package=$2 min=$3 flags=$4 cache=${XDG_CACHE_HOME:-$HOME/.cache}/qanat
  local hash; hash=$(printf '%s' "$flags $(clang-19 --version | head -1)" | sha256sum | cut -c1-10)
  mkdir -p "$cache" .deps
  (
    flock 9   # two checkouts may set up at once
    local have; have=$(find "$cache" -maxdepth 1 -type d -name "$library-*-$hash" -exec test -e {}/.complete \; -print | sort -V | tail -1)
    if [ -z "$have" ]; then
      local work; work=$(mktemp -d "$cache/work-$library.XXXXXX")
      trap 'rm -rf "$work"' EXIT
      prepare_sources "$work/apt"
      local version; version=$(cd "$work" && unpack_newest "$package" "$min")
      say "building $library $version (once per machine)"
      have="$cache/$library-$version-$hash"
      # Installed straight into its final place (the run-time path is absolute); removed again if the build fails, and touched .complete when whole.
      if ! (cd "$work/src" && "build_$library" "$have"); then rm -rf "$have"; die "building $library failed"; fi
      touch "$have/.complete"
    fi
    ln -sfn "$have" ".deps/$library"
  ) 9> "$cache/.lock-$library"
}

install_packages
# Side by side: Botan is one large file, which leaves a processor free.
provide openssl openssl "$OPENSSL_MIN" "${OPENSSL_FLAGS[*]}" &
openssl=$!
provide botan botan3 "$BOTAN_MIN" "${BOTAN_FLAGS[*]}" &
failed=0
wait $! || failed=1
wait "$openssl" || failed=1
exit "$failed"
