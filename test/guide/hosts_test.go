//go:build linux

package guide_test

import "mailseal/internal/mtarig"

// A mailHost is what a guide presupposes: an MTA as Debian's package sets it up,
// and what any host that serves the guides' domain has besides.
type mailHost struct {
	guide string                     // its name in doc
	tools func(t mtarig.Tools) error // what is missing, nil when it can run
	setup string                     // shell commands; $hostname is set
	after string                     // what is tried with contrib when the guide is done
}

const hostname = "mx.example.jp"

// What an installed Debian has, and users with mailboxes.
const common = `
printf 'hosts: files\npasswd: files\ngroup: files\nservices: files\n' > /etc/nsswitch.conf
mkdir -p /var/mail
chgrp mail /var/mail
chmod 2775 /var/mail
useradd --no-create-home anna
useradd --no-create-home bob
`

var postfixHost = mailHost{guide: "postfix.md", tools: mtarig.Tools.Postfix, setup: common + `
cd /etc/postfix
cp /usr/share/postfix/main.cf.debian main.cf
cp /usr/share/postfix/master.cf.dist master.cf
cp /usr/share/postfix/dynamicmaps.cf .
chown root:postdrop /usr/sbin/postdrop /usr/sbin/postqueue
chmod g+s /usr/sbin/postdrop /usr/sbin/postqueue
install -d -o postfix -g postfix /var/lib/postfix
postconf -e "myhostname = $hostname" 'myorigin = /etc/mailname' 'mydestination = $myhostname, example.jp, localhost' \
	'mynetworks = 127.0.0.0/8 [::1]/128' 'inet_protocols = ipv4' 'setgid_group = postdrop' \
	'alias_maps =' 'alias_database ='
# There is no DNS here, and nothing to log in with.
postconf -e 'smtpd_peername_lookup = no' 'smtp_host_lookup = native' 'smtpd_authorized_xclient_hosts = 198.51.100.7'
postconf -M 'submission/inet=submission inet n - y - - smtpd -o syslog_name=postfix/submission -o smtpd_sasl_auth_enable=yes'
install -d /var/spool/postfix/etc
cp /etc/hosts /etc/services /etc/nsswitch.conf /etc/host.conf /var/spool/postfix/etc/ 2>/dev/null || :
# Postfix waits before it reads a file that has only just changed.
touch -d '1 hour ago' main.cf master.cf dynamicmaps.cf
postfix start
`, after: `
# The files of contrib in the place of what the guide has set.
postconf -X mailseal smtpd_milters mua_milters non_smtpd_milters milter_default_action
postconf -MX smtp/inet submission/inet
cat contrib/postfix/main.cf >> /etc/postfix/main.cf
cat contrib/postfix/master.cf >> /etc/postfix/master.cf
accepted() {
	{ postconf -n; postconf -M; postfix check; } 2>&1 | tee /tmp/accepted | grep -v -e warning: -e fatal: >/dev/null
	! grep -e warning: -e fatal: /tmp/accepted
}
accepted
[ "$(postconf -xh mua_milters)" = "$(postconf -xh non_smtpd_milters)" ]
[ "$(postconf -Ph submissions/inet/smtpd_milters)" = '$mua_milters' ]
postfix reload
sendmail -i -f anna@example.jp bob@example.jp < /root/hello.txt
n=0
until [ "$(grep -c ': signed .*from=anna@example.jp .*client=localhost' /var/log/mail.log)" = 2 ]; do
	n=$((n + 1))
	[ $n -lt 600 ]
	sleep 0.1
done
# And those for OpenDKIM.
sed -i -e '/^smtpd_milters/d' -e '/^mua_milters/d' /etc/postfix/main.cf
sed -i -E 's/^#(before|opendkim|smtpd_milters|mua_milters)( =)/\1\2/' /etc/postfix/main.cf
accepted
postconf -xh smtpd_milters | grep 'before.sock.*opendkim.sock.*milter.sock'
postconf -xh non_smtpd_milters | grep 'before.sock.*milter.sock.*opendkim.sock'
`}

var sendmailHost = mailHost{guide: "sendmail.md", tools: mtarig.Tools.Sendmail, setup: common + `
for u in smmta smmsp; do
	groupadd --system $u
	useradd --system --gid $u --home-dir /var/lib/sendmail --shell /usr/sbin/nologin $u
done
ln -sf /usr/libexec/sendmail/sendmail /usr/sbin/sendmail
chgrp smmsp /usr/libexec/sendmail/sendmail
chmod 2755 /usr/libexec/sendmail/sendmail
install -d -o smmta -g smmsp -m 2750 /var/spool/mqueue
install -d -o smmsp -g smmsp -m 2770 /var/spool/mqueue-client
install -d -o smmta -g smmta /run/sendmail /run/sendmail/mta /var/lib/sendmail /var/lib/sendmail/host_status
install -d -o smmsp -g smmsp /run/sendmail/msp
# The package sensible-mda calls a program that delivers to mailboxes. So does this.
printf '#!/bin/sh\n{ echo "From $1 $(date)"; cat; echo; } >> "/var/mail/$2"\n' > /usr/sbin/sensible-mda
chmod 755 /usr/sbin/sensible-mda
mkdir -p /etc/mail/m4
cd /etc/mail
cp /usr/share/sendmail/cf/debian/sendmail.mc /usr/share/sendmail/cf/debian/submit.mc .
printf 'postmaster: root\n' > aliases
touch m4/dialup.m4 m4/provider.m4 relay-domains trusted-users
printf '%s\n' example.jp $hostname > local-host-names
printf 'Connect:127.0.0.1\tRELAY\n' > access
# As it comes it listens on 127.0.0.1 alone.
sed -i 's/Port=smtp, Addr=127.0.0.1/Port=smtp/' sendmail.mc
# There is no DNS here.
printf 'hosts files\naliases files\npasswd files\n' > service.switch
printf '198.51.100.7 mail.partner.example partner.example\n192.0.2.25 example.jp\n' >> /etc/hosts
m4 sendmail.mc > sendmail.cf
m4 submit.mc > submit.cf
makemap hash access < access
newaliases
/usr/sbin/sendmail -bd -q10m
/usr/sbin/sendmail -Ac -q10m
`, after: "cat > /tmp/opendkim.m4 <<'E'\nINPUT_MAIL_FILTER(`opendkim', `S=local:/run/opendkim.sock, F=T')dnl\nE\n" + `
# The lines for OpenDKIM, as the guide shows them.
mkdir /tmp/beside
sed -n '/^define(.MAILSEAL_BEFORE_SOCKET/,/Name=local/p' doc/sendmail.md | sed 's,/etc/mail/m4/opendkim.m4,/tmp/opendkim.m4,' > /tmp/beside/lines
[ $(wc -l < /tmp/beside/lines) = 6 ]
sed -e '/^DAEMON_OPTIONS/d' -e '/mailseal.m4/d' -e '/^MAILER_DEFINITIONS/{
r /tmp/beside/lines
N
}' /etc/mail/sendmail.mc > /tmp/beside/sendmail.mc
m4 /tmp/beside/sendmail.mc > /tmp/beside/sendmail.cf
grep -e '^Xmailseal-before, S=local:/run/mailseal/before.sock, F=T' /tmp/beside/sendmail.cf
grep -e '^O DaemonPortOptions=.*InputMailFilters=mailseal-before;opendkim;mailseal' /tmp/beside/sendmail.cf
grep -e '^O InputMailFilters=mailseal, opendkim' /tmp/beside/sendmail.cf
/usr/sbin/sendmail -C /tmp/beside/sendmail.cf -bv bob 2>&1 | tee /tmp/beside/out | grep deliverable
! grep -i -e error -e warning /tmp/beside/out
`}

// The CA's host is a host with sendmail, and one on which somebody has worked
// with openssl ca before.
var caHost = mailHost{guide: "ca.md", tools: mtarig.Tools.Sendmail, setup: sendmailHost.setup + `
install -d /etc/mail/old /etc/mail/old/newcerts
cd /etc/mail/old
cat > openssl.cnf <<'E'
[ ca ]
default_ca = CA_default
[ CA_default ]
dir = /etc/mail/old
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir/newcerts
certificate = $dir/cacert.pem
private_key = $dir/cakey.pem
default_days = 365
default_md = sha256
policy = policy_anything
[ policy_anything ]
commonName = supplied
E
umask 077
echo 'some passphrase' > /root/old.pass
openssl req -x509 -newkey rsa:2048 -passout file:/root/old.pass -keyout cakey.pem -out cacert.pem -days 3650 -subj '/C=JP/O=Example/CN=Old CA'
echo 01 > serial
: > index.txt
openssl req -newkey rsa:2048 -nodes -keyout pop.key -out pop.csr -subj /CN=pop.example.jp
openssl ca -config openssl.cnf -batch -notext -passin file:/root/old.pass -in pop.csr -out pop.crt
`, after: `
# What the guide says of a CRL that has ended: nobody is believed any more, and
# the next CRL mends it without a restart.
ask() {
	n=0
	until
		openssl s_client -connect mx.example.jp:25 -starttls smtp -cert /etc/mail/certs/mx.crt -key /etc/mail/certs/mx.key < /dev/null > /dev/null 2>&1
		grep STARTTLS=server /var/log/mail.log | tail -n 1 | grep "verify=$1"
	do
		n=$((n + 1))
		[ $n -lt 20 ]
		sleep 0.1
	done
}
ask OK
openssl ca -config /etc/mail/CA/openssl.cnf -passin file:/etc/mailseal/ca.pass -gencrl -crlsec 1 -out /etc/mail/CA/crl.pem
ask FAIL
mailseal ca crl
ask OK
# cron's line runs as it stands.
sh -e -c "$(cut -d' ' -f7- /etc/cron.d/mailseal-crl)"
mailseal ca list -dir /root/root-ca -profile sub-ca | grep 'Example Issuing CA'
`}
