package milter

import (
	"bytes"
	"strings"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/message"
)

// Macros of STARTTLS. {verify} is sendmail's alone; Postfix gives the names in
// the certificate only if it trusts it.
const (
	macroTLSVersion = "tls_version"
	macroCipher     = "cipher"
	macroCipherBits = "cipher_bits"
	macroVerify     = "verify"
	macroSubject    = "cert_subject"
	macroIssuer     = "cert_issuer"
)

const (
	macroQueueID    = "i"
	macroVersion    = "v"
	macroClientName = "client_name"
	macroLogin      = "auth_authen"
)

// symList is the macros that we ask the MTA for, so that the postmaster need
// not. Postfix cannot give TLS macros at the end of the message, so they are
// asked for at HELO and MAIL. sendmail 8.17.1.9 uses the list for the end of the
// message only if there is one for the end of the header too (milter_data
// tests SMFIM_EOH for both).
func symList() map[milterlib.Stage][]string {
	tls := []string{"{tls_version}", "{cipher}", "{cipher_bits}", "{verify}", "{cert_subject}", "{cert_issuer}"}
	return map[milterlib.Stage][]string{
		milterlib.StageConnect:  {"j", "_", "v", "{daemon_name}", "{client_addr}", "{client_name}"},
		milterlib.StageHelo:     tls,
		milterlib.StageMailFrom: append([]string{"i", "{auth_type}", "{auth_authen}", "{mail_addr}"}, tls...),
		milterlib.StageRcptTo:   {"i", "{rcpt_addr}", "{rcpt_mailer}"},
		milterlib.StageEOH:      {"i"},
		milterlib.StageEOM:      {"i", "{msg_id}"},
	}
}

// Bounds of what is kept of macros, whatever the MTA sends.
const (
	maxMacros     = 50 // of a stage; sendmail's MAXFILTERMACROS
	maxMacroValue = 8 << 10
)

// A stageMacros is the macros that came with the latest command of a stage.
type stageMacros struct {
	values map[string]string
	fresh  bool // the command they belong to has not come yet
}

// macros keeps what the MTA said, by the command that it said it for. A set
// lasts until the next command of the same kind, so the TLS macros of HELO are
// still there at MAIL, and those of a mail do not outlive it. The zero value is
// ready.
type macros struct {
	connect, helo, mail, rcpt stageMacros
}

func (m *macros) stage(code byte) *stageMacros {
	switch code {
	case cmdConnect:
		return &m.connect
	case cmdHelo:
		return &m.helo
	case cmdMail:
		return &m.mail
	case cmdRcpt:
		return &m.rcpt
	}
	return nil
}

// set takes a macro packet: the code of the command that follows, then names
// and values. The library keeps the latest packet only. Of a command that is
// not a stage here nothing is kept.
func (m *macros) set(code byte, data []byte) error {
	s := m.stage(code)
	if s == nil {
		if len(data) > 0 && data[len(data)-1] != 0 {
			return errNoNUL
		}
		return nil
	}
	values, err := parseMacros(data)
	if err != nil {
		return err
	}
	*s = stageMacros{values: values, fresh: true}
	return nil
}

// arrived says that the command itself has come. Without a packet of its own
// it has no macros: those of the command before it are not its.
func (m *macros) arrived(code byte) {
	s := m.stage(code)
	if !s.fresh {
		s.values = nil
	}
	s.fresh = false
}

// lookUp finds a macro of one letter among names and values. Postfix repeats its
// macros before every header field: parsing them all would be most of the work.
func lookUp(b []byte, name string) []byte {
	for len(b) > 0 {
		key, rest, _ := bytes.Cut(b, []byte{0})
		value, rest, _ := bytes.Cut(rest, []byte{0})
		if string(key) == name && len(value) <= maxMacroValue {
			return value
		}
		b = rest
	}
	return nil
}

// aborted says that whatever was said for a mail has come to nothing.
func (m *macros) aborted() { m.mail, m.rcpt = stageMacros{}, stageMacros{} }

// parseMacros reads names and values. Names come with braces when they are
// longer than a letter and are kept without. An odd last name has no value.
func parseMacros(b []byte) (map[string]string, error) {
	all, err := cstrings(b)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, min(len(all)/2, maxMacros))
	for i := 0; i+1 < len(all) && len(values) < maxMacros; i += 2 {
		name := strings.TrimSuffix(strings.TrimPrefix(all[i], "{"), "}")
		if len(all[i+1]) <= maxMacroValue {
			values[name] = all[i+1]
		}
	}
	return values, nil
}

// sendmail reports whether the MTA is sendmail, whose $v is "8.17.1.9"; that of
// Postfix is "Postfix 3.7.11".
func (m *macros) sendmail() bool {
	return strings.HasPrefix(m.connect.values[macroVersion], "8.")
}

// text undoes sendmail's xtext coding (xtextify, RFC 3461 section 4), which it
// gives logins and names of certificates in. Postfix gives them plain.
func (m *macros) text(value string) string {
	if !m.sendmail() || !strings.Contains(value, "+") {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '+' && i+2 < len(value) {
			hi, lo := unhex(value[i+1]), unhex(value[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

func unhex(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }

// login returns the name that the client proved for this mail, "" if none. Only
// what came with MAIL counts: RFC 3207 section 4.2 takes back an AUTH from
// before STARTTLS.
func (m *macros) login() string { return m.text(m.mail.values[macroLogin]) }

// tls returns the session's TLS as told with MAIL or else with HELO: all of one
// of them, never a mixture.
func (m *macros) tls() message.TLS {
	values := m.mail.values
	if values[macroTLSVersion] == "" {
		values = m.helo.values
	}
	if values[macroTLSVersion] == "" {
		return message.TLS{}
	}
	return message.TLS{
		Version: values[macroTLSVersion],
		Cipher:  values[macroCipher],
		Bits:    values[macroCipherBits],
		Verify:  values[macroVerify],
		Subject: m.text(values[macroSubject]),
		Issuer:  m.text(values[macroIssuer]),
	}
}
