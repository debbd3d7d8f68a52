#!/bin/sh
# Installs what `make demo` and `make test` need on a Debian machine (12 or
# later), and says so. Does nothing when all is there.
#
#   test/tools.sh demo|test      install what is missing (root)
#   test/tools.sh -n demo|test   only say what is missing; status 1 if anything is
#
# Postfix, sendmail and Exim are never installed: they exclude each other and any
# other MTA; nor are OpenDKIM and Dovecot, which would start with the system.
# Their packages are downloaded and unpacked into build/mta, from where
# internal/mtarig runs private instances of them on loopback ports. So is Bouncy Castle, for the Java
# that is there; without Java it is no peer.
# What is installed is compilers, libraries and command-line tools; apt-get
# gets --no-remove, so nothing can go for them, and while it runs policy-rc.d
# forbids every package to start a daemon.
set -eu

dry=
if [ "${1:-}" = -n ]; then dry=yes; shift; fi
want=${1:-test}
case $want in demo | test) ;; *) echo "usage: $0 [-n] demo|test" >&2; exit 64 ;; esac

here=$(cd "$(dirname "$0")/.." && pwd)
tree=${MAILSEAL_MTA:-$here/build/mta}
PATH=$PATH:/usr/sbin:/sbin
say() { echo "tools: $*"; }
die() { echo "tools: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

need() { case " $packages " in *" $1 "*) ;; *) packages="$packages $1" ;; esac; }

# A daemon is there when its program is and finds its libraries: after an
# upgrade of the system it may not.
runs() {
	[ -x "$1" ] || return 1
	for lib in "$tree"/usr/lib/postfix "$tree"/usr/lib/dovecot "$tree"/usr/lib/*-linux-*; do
		[ -d "$lib" ] && path=${path:-}${path:+:}$lib
	done
	! LD_LIBRARY_PATH=${path:-} ldd "$1" 2>/dev/null | grep -q 'not found'
}

missing_tools() {
	packages= mtas= users= jars=
	[ -s /etc/ssl/certs/ca-certificates.crt ] || need ca-certificates
	has hostname || need hostname
	runs "$tree/usr/lib/postfix/sbin/smtpd" || mtas="$mtas postfix"
	getent passwd postfix >/dev/null || users="$users postfix"
	getent group postdrop >/dev/null || users="$users postdrop"
	[ "$want" = test ] || return 0
	has gcc || need gcc
	[ -e /usr/include/stdlib.h ] || need libc6-dev
	has m4 || need m4
	has unshare || need util-linux
	for p in systemd-analyze systemd-sysusers systemd-tmpfiles; do has $p || need systemd; done
	has strace || need strace
	has shellcheck || need shellcheck
	has openssl || need openssl
	for p in certtool ocsptool; do has $p || need gnutls-bin; done
	has gpgsm || need gpgsm
	has gpg-agent || need gpg-agent
	for p in certutil cmsutil crlutil pk12util; do has $p || need libnss3-tools; done
	{ runs "$tree/usr/libexec/sendmail/sendmail" && [ -e "$tree/usr/share/sendmail/cf/m4/cf.m4" ]; } ||
		mtas="$mtas sendmail-bin sendmail-cf libwrap0"
	runs "$tree/usr/sbin/opendkim" || mtas="$mtas opendkim"
	for p in dovecot-core:sbin/dovecot dovecot-imapd:lib/dovecot/imap-login dovecot-pop3d:lib/dovecot/pop3-login exim4-daemon-light:sbin/exim4; do
		runs "$tree/usr/${p#*:}" || mtas="$mtas ${p%:*}"
	done
	# A peer where Java is at hand, which is not asked of anybody.
	{ ! has java || [ -e "$tree/usr/share/java/bcpkix.jar" ]; } || jars=" libbcpkix-java libbcprov-java libbcutil-java"
}

# While packages are installed, policy-rc.d answers 101: no daemon starts. What
# stood in its place comes back, whatever happens; a run that was killed before
# it could do that is made up for here.
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d} # elsewhere only in the test of this script
kept=$policy.kept-by-mailseal
restore_policy() {
	if [ -e "$kept" ] || [ -L "$kept" ]; then
		mv -f "$kept" "$policy"
	elif grep -qs 'placed by mailseal' "$policy"; then
		rm -f "$policy"
	fi
}
forbid_daemons() {
	restore_policy
	if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$kept"; fi
	printf '#!/bin/sh\n# placed by mailseal test/tools.sh while it installs packages\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}
trap restore_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@"; }

# Only libraries are taken from what a daemon's package depends on: the rest is
# set-up for an installed one.
libraries() {
	for deb in "$@"; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' |
		sed -n 's/^ *\(lib[^ |(:]*\).*/\1/p' | sort -u |
		while read -r lib; do
			[ "$(dpkg-query -W -f '${db:Status-Status}' "$lib" 2>/dev/null)" = installed ] || echo "$lib"
		done
}

install_packages() {
	[ $# -gt 0 ] || return 0
	say "installing: $*"
	forbid_daemons
	apt install --no-remove --no-install-recommends "$@" ||
		die "apt-get could not install $* without removing anything; see above"
	restore_policy
}

# What is for running needs its libraries installed, jars do not.
unpack() {
	what=$1
	shift
	[ $# -gt 0 ] || return 0
	say "downloading and unpacking into $tree, not installing: $*"
	new=$tree.new
	rm -rf "$new"
	mkdir -p "$new/deb"
	(cd "$new/deb" && apt download "$@") || die "apt-get could not download $*; see above"
	for deb in "$new"/deb/*.deb; do
		dpkg -x "$deb" "$new"
		# Its sendmail, mailq and the like would lie over Postfix's.
		case $deb in */exim4-*) find "$new" -lname '*exim*' -exec rm {} + ;; esac
	done
	# shellcheck disable=SC2046
	[ "$what" = jars ] || install_packages $(libraries "$new"/deb/*.deb)
	rm -rf "$new/deb"
	# Set-user-id and set-group-id programs would not take LD_LIBRARY_PATH.
	find "$new" -type f -perm /6000 -exec chmod ug-s {} +
	chmod -R go+rX "$new"
	mkdir -p "$tree"
	cp -a "$new/." "$tree/"
	rm -rf "$new"
}

make_users() {
	for u in "$@"; do
		case $u in
		postfix)
			say "creating the system user postfix, which every Postfix runs as"
			group=--user-group
			if getent group postfix >/dev/null; then group="--gid postfix"; fi
			# shellcheck disable=SC2086
			useradd --system $group --no-create-home --home-dir /var/spool/postfix --shell /usr/sbin/nologin postfix
			;;
		postdrop)
			say "creating the system group postdrop, which every Postfix has"
			groupadd --system postdrop
			;;
		esac
	done
}

# What is missing, in words.
list() {
	[ -z "$packages" ] || printf ' packages%s;' "$packages"
	[ -z "$mtas" ] || printf ' packages to unpack%s;' "$mtas"
	[ -z "$jars" ] || printf ' Java libraries to unpack%s;' "$jars"
	[ -z "$users" ] || printf ' users and groups%s;' "$users"
}

missing_tools
all=$(list)
all=${all%;}
[ -n "$all" ] || exit 0
if [ -n "$dry" ]; then
	say "missing:$all"
	exit 1
fi
has apt-get || die "no apt-get here, and these are missing:$all (on a system other than Debian install what corresponds to them)"
[ "$(id -u)" = 0 ] || die "run this as root once to install what is missing:$all"

say "missing:$all"
apt update || say "the package lists could not be renewed; going on with those that are here"
# shellcheck disable=SC2086
install_packages $packages
# shellcheck disable=SC2086
unpack mtas $mtas
# shellcheck disable=SC2086
unpack jars $jars
# shellcheck disable=SC2086
make_users $users

missing_tools
[ -z "$(list)" ] || die "still missing after all that:$(list)"
say "all there"
