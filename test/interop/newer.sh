#!/bin/sh
# Unpacks newer Debian releases below build/peers, for their S/MIME programs:
# trixie (OpenSSL 3.5, gpgsm 2.4, NSS, Bouncy Castle 1.80) and forky (OpenSSL
# 3.6). Nothing is installed. `make interop-new` calls it (root); where the
# folders are there already it does nothing.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
peers=$here/build/peers
mirror=${MIRROR:-http://deb.debian.org/debian}

# Programs are called with the loader and the libraries of their own system.
programs() {
	root=$1
	shift
	mkdir -p "$root/bin-here"
	loader=$(find "$root/lib64/" "$root/lib/" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
	libraries=$(find "$root/usr/lib" -maxdepth 1 -name '*-linux-gnu*' | head -n 1)
	for p in "$@"; do
		cat >"$root/bin-here/$p" <<END
#!/bin/sh
export OPENSSL_CONF='$root/etc/ssl/openssl.cnf' OPENSSL_MODULES='$libraries/ossl-modules'
exec '$loader' --library-path '$libraries' '$root/usr/bin/$p' "\$@"
END
		chmod 755 "$root/bin-here/$p"
	done
}

# release NAME PACKAGES [SCRIPT] makes a folder, or none after a failure.
release() {
	root=$peers/$1
	[ ! -d "$root" ] || return 0
	command -v debootstrap >/dev/null || { echo "newer.sh: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
	[ "$(id -u)" = 0 ] || { echo "newer.sh: run this as root once" >&2; exit 1; }
	mkdir -p "$peers"
	rm -rf "$root.new"
	debootstrap --variant=minbase --include="$2" "$1" "$root.new" "$mirror" ${3:+"$3"} || { rm -rf "$root.new"; exit 1; }
	mv "$root.new" "$root"
}

release trixie openssl,gpgsm,gnupg,libnss3-tools,libbcpkix-java
programs "$peers/trixie" openssl gpgsm gpg-agent gpgconf certutil cmsutil pk12util
release forky openssl /usr/share/debootstrap/scripts/sid # which debootstrap of bookworm does not know by its name
programs "$peers/forky" openssl
