package guide_test

import "mailseal/internal/mtarig"

// A mailHost is what a guide presupposes: an MTA as Debian's package sets it up,
// and what any host that serves the guides' domain has besides.
type mailHost struct {
	guide string                     // its name in doc
	tools func(t mtarig.Tools) error // what is missing, nil when it can run
	setup string                     // shell commands; $hostname is set
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
`}
