//go:build linux

package guide_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"

	"mailseal/internal/mtarig"
)

// standIns are the commands of the guides that cannot run here.
func standIns() map[string]standIn {
	return map[string]standIn{
		"packages": {
			why: "the packages are unpacked already, and there is no network to fetch others by; hosts_test.go does what their scripts do",
			do:  func(*runner, block) (string, error) { return "", nil },
		},
		"build": {
			why: "the binary is built before, in the same way; a build here would write into the source folder",
			do:  install,
		},
		"systemd": {
			why: "there is no systemd; units_test.go reads the units that the guide has installed, and does what they say of user, folders and sockets",
			do:  systemctl,
		},
		"restart": {
			why: "there is no systemd; sendmail starts itself anew on HUP, and the program that waits for it is ours",
			do:  restartSendmail,
		},
		"postfix": {
			why: "the host of this guide runs sendmail; Postfix reads the lines, and nothing reloads",
			do:  setPostfix,
		},
		"freebsd": {
			why: "this is Linux; what rc.d/mailseal_milter does is tested by itself",
			do:  func(*runner, block) (string, error) { return "", nil },
		},
		"mail-program": {
			why: "the test needs no swaks and no passwords: XCLIENT tells Postfix who has logged in",
			do:  loggedIn,
		},
		"other-host": {
			why: "the other host is another address of this one",
			do:  fromOutside,
		},
	}
}

// install runs make without its rule that builds.
func install(r *runner, _ block) (string, error) {
	return r.shell("make --no-print-directory -s -o build install BINARY=" + os.Getenv(binaryVariable))
}

// restartSendmail returns when the new daemon listens: the submission program
// would find none and try again in ten minutes.
func restartSendmail(r *runner, _ block) (string, error) {
	return r.shell(`
pid=$(head -1 /run/sendmail/mta/sendmail.pid)
kill -HUP $pid
n=0
while [ $(head -1 /run/sendmail/mta/sendmail.pid) = $pid ] || ! grep -q ':0019 .* 0A ' /proc/net/tcp; do
	n=$((n + 1))
	[ $n -lt 600 ]
	sleep 0.1
done`)
}

// setPostfix does what a guide does to Postfix but for the reload, on a Postfix
// that does not run, and looks at the file that it would take.
func setPostfix(r *runner, b block) (string, error) {
	return r.shell("cp -n /usr/share/postfix/main.cf.debian /etc/postfix/main.cf\n" +
		strings.ReplaceAll(b.text, "postfix reload\n", "") + `
file=$(postconf -xh smtp_tls_chain_files)
[ "$(openssl x509 -in $file -noout -pubkey)" = "$(openssl pkey -in $file -pubout)" ]
`)
}

func loggedIn(*runner, block) (string, error) {
	c, err := mtarig.DialFrom(outsideAddress, net.JoinHostPort(hostAddress, "587"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.Hello("laptop.example.jp"); err != nil {
		return "", err
	}
	if err := c.XClient("ADDR=203.0.113.9", "NAME=laptop.example.jp", "LOGIN=anna"); err != nil {
		return "", err
	}
	if err := c.Hello("laptop.example.jp"); err != nil {
		return "", err
	}
	mail := "From: anna@example.jp\r\nTo: bob@example.jp\r\nSubject: Hello again\r\n\r\nThis is a test mailing\r\n"
	return "", c.Send(mtarig.Mail{From: "anna@example.jp", To: []string{"bob@example.jp"}, Data: []byte(mail)})
}

func fromOutside(*runner, block) (string, error) {
	mail, err := os.ReadFile("/root/from-eva.eml")
	if err != nil {
		return "", err
	}
	mail = bytes.ReplaceAll(bytes.ReplaceAll(mail, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	c, err := mtarig.DialFrom(outsideAddress, net.JoinHostPort(hostAddress, "25"))
	if err != nil {
		return "", fmt.Errorf("from outside: %w", err)
	}
	defer c.Close()
	if err := c.Hello("mail.partner.example"); err != nil {
		return "", err
	}
	return "", c.Send(mtarig.Mail{From: "eva@partner.example", To: []string{"bob@example.jp"}, Data: mail})
}
