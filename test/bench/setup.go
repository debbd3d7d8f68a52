package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A command makes the command line of a milter that listens on a socket, and in
// dir what that needs.
type command func(m *material, dir, network, socket string) (*exec.Cmd, error)

// A setup is a milter, or none, and the mail that is sent through it.
type setup struct {
	name   string
	signed bool // the mail is: for who verifies
	// milter makes the command that runs it; nil is no milter at all.
	milter command
	// logs is what its log has once for each mail; "" where it cannot be told.
	logs string
	// check says whether a mail that came through it is what it should be.
	check func(m *material, mail []byte) error
}

// from is who sends.
func (s setup) from() string {
	if s.signed {
		return partner
	}
	return sender
}

// Names of set-ups that others are compared with.
const (
	noMilter    = "no milter"
	replaces    = "body replaced, no crypto"
	signsRSA    = "mailseal signs, RSA-2048"
	signsP256   = "mailseal signs, P-256"
	openDKIMRSA = "OpenDKIM signs, RSA-2048"
)

var setups = []setup{
	{name: noMilter, check: untouched},
	{name: "do-nothing milter", milter: ownFilter("nothing"), logs: filterLine, check: untouched},
	{name: replaces, milter: ownFilter("replace"), logs: filterLine, check: replaced},
	{name: signsRSA, milter: mailseal("rsa"), logs: ": signed ", check: sealed},
	{name: signsP256, milter: mailseal("p256"), logs: ": signed ", check: sealed},
	{name: "mailseal verifies, RSA-2048", milter: mailseal(""), logs: " smime=pass ", signed: true, check: verified},
	{name: openDKIMRSA, milter: openDKIM, check: dkimSigned},
}

// mailseal is the daemon as a postmaster has it. With an identity all mail is
// ours and signed; without, all mail comes from outside.
func mailseal(identity string) command {
	return func(m *material, dir, network, socket string) (*exec.Cmd, error) {
		inside := "127.0.0.1"
		if identity == "" {
			inside = "192.0.2.1"
		}
		conf := fmt.Sprintf(`authserv_id = %q
local_domains = [%q]
internal_hosts = [%q]
state = "state"
[milter]
socket = %q
%s
[smime]
identities = %q
trust = [%q]
`, authservID, domain, inside, socketSpec(network, socket), modeFor(network), m.identities(identity), m.ca)
		file := filepath.Join(dir, "mailseal.toml")
		return exec.Command(m.mailseal, "milter", "-config", file), os.WriteFile(file, []byte(conf), 0o600)
	}
}

// modeFor lets Postfix's own user connect; a file's mode means nothing to TCP.
func modeFor(network string) string {
	if network == "unix" {
		return `socket_mode = "0666"`
	}
	return ""
}

// openDKIM is OpenDKIM as Debian configures it for signing, with the key that
// mailseal's RSA set-up has.
func openDKIM(m *material, dir, network, socket string) (*exec.Cmd, error) {
	conf := fmt.Sprintf(`Syslog no
UMask 000
Mode s
Domain %s
Selector bench
KeyFile %s
Canonicalization relaxed/simple
OversignHeaders From
RequireSafeKeys no
Socket %s
`, domain, m.rsaKey, socketSpec(network, socket))
	file := filepath.Join(dir, "opendkim.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return m.tools.OpenDKIMProgram("-f", "-x", file)
}

// ownFilter is this program again, as one of its own milters.
func ownFilter(kind string) command {
	return func(m *material, _, network, socket string) (*exec.Cmd, error) {
		return exec.Command(m.self, kind, network+":"+socket), nil
	}
}

// socketSpec writes a socket as libmilter's programs and mailseal have it.
func socketSpec(network, socket string) string {
	if network == "unix" {
		return "local:" + socket
	}
	host, port, _ := net.SplitHostPort(socket)
	return "inet:" + port + "@" + host
}

func untouched(m *material, mail []byte) error {
	if !bytes.HasSuffix(mail, m.body(small)) {
		return fmt.Errorf("mail was changed")
	}
	return nil
}

func replaced(m *material, mail []byte) error {
	if !bytes.Contains(mail, []byte(replacedField+": yes\r\n")) {
		return fmt.Errorf("mail lacks the field %s", replacedField)
	}
	return untouched(m, mail)
}

// sealed has the product itself say what the signature is worth: smime=pass is
// status 0.
func sealed(m *material, mail []byte) error {
	out, err := m.run(mail, "verify", "-ca", m.ca)
	if err != nil {
		return fmt.Errorf("not validly signed: %w: %s", err, out)
	}
	return nil
}

func verified(_ *material, mail []byte) error {
	if want := "Authentication-Results: " + authservID + "; smime=pass"; !bytes.Contains(mail, []byte(want)) {
		return fmt.Errorf("mail lacks %q", want)
	}
	return nil
}

// dkimSigned looks for a signature of the key's length: 256 bytes are 344
// characters. Whether it is right is OpenDKIM's own affair.
func dkimSigned(_ *material, mail []byte) error {
	_, field, ok := bytes.Cut(mail, []byte("DKIM-Signature:"))
	field, _, _ = bytes.Cut(field, []byte("\r\nFrom:"))
	text := strings.Join(strings.Fields(string(field)), "")
	_, signature, found := strings.Cut(text, "; b=")
	if !found {
		_, signature, found = strings.Cut(text, ";b=")
	}
	if !ok || !found || len(signature) < 344 {
		return fmt.Errorf("mail has no DKIM signature by a key of 2048 bits")
	}
	return nil
}
