package install

import "errors"

// publicLink leads to the system's public CAs, with a hash link of each, as
// FreeBSD's users make them by hand.
const publicLink = "public-cas.pem"

// sendmail has its files as FreeBSD's sendmail.cf and Debian's sendmailconfig name
// them: the folder of the files is CACertPath and CRLPath too. They are root's:
// what belongs to another user sendmail refuses, unless it is its RunAsUser.
//
// The public CAs are in the folder alone. Of those in CACertFile sendmail sends
// every name to every client, some 12 KB with a system's 144; those in CACertPath
// it looks up when one is needed, and both are verify=OK. All hash links of public
// CAs lead to one link to the system's own file: nothing is copied, and what the
// system withdraws is not trusted from that moment on, whether or not certmgr runs.
// A look-up reads all of that file, which takes 20 ms of a connection with such a
// peer; a file for each would take less, and would have to be kept.
var sendmail = server{
	dir: map[string]string{"": "/etc/mail/certs"},
	files: func(bool) map[Role]File {
		return map[Role]File{
			Key:         usual(Key, "host.key"),
			Certificate: usual(Certificate, "host.cert"),
			CA:          usual(CA, "cacert.pem"),
			CRL:         usual(CRL, "crl.pem"),
			DH:          usual(DH, "dh.param"),
		}
	},
	dh: true,
	arrange: func(l *Layout, dir string, c Choices) error {
		if c.Group != "" {
			return errors.New("group: sendmail refuses a key that a group may read; leave it out, or say the owner that RunAsUser names")
		}
		l.Dir, l.SafePath = dir, true
		l.Links = map[string]string{publicLink: ""}
		if c.Public {
			l.Links[publicLink] = l.Bundle
		}
		l.Reload = hangUp(c.GOOS)
		l.Probes = []string{"smtp://127.0.0.1:25"}
		return nil
	},
}

// hangUp has sendmail start itself again (SIGHUP), if it runs: which of the two
// files has its process is seen when it is needed, as neither is there while a
// system starts.
func hangUp(goos string) string {
	if goos != "linux" {
		return "test ! -s /var/run/sendmail.pid || " + HangUp("/var/run/sendmail.pid")
	}
	return "for f in /var/run/sendmail/mta/sendmail.pid /var/run/sendmail.pid; do if test -s $f; then " + HangUp("$f") + "; exit; fi; done"
}

// HangUp sends SIGHUP to the process of a pid file, a word for /bin/sh. Where the
// file says -1, or several, it is somebody who wants others killed: on Debian its
// folder is not root's. Postfix writes blanks before the number.
func HangUp(pidFile string) string {
	return "kill -HUP `head -n 1 " + pidFile + " | grep -x ' *[1-9][0-9]*'`"
}
