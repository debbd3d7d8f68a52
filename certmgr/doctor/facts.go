package doctor

import (
	"crypto"
	"crypto/x509"
	"io/fs"
	"strings"
	"time"

	"mailseal/certmgr/dh"
	"mailseal/certmgr/hashdir"
)

// Facts are what was seen.
type Facts struct {
	Now time.Time
	// System has the CAs that this host believes; nil where there are none.
	System *x509.CertPool
	CA     Authority
	// Servers are those of the configuration, then others that are installed.
	Servers []Server
	// Once is the command by which certmgr puts its targets right.
	Once string
}

// An Authority is the private CA.
type Authority struct {
	// Dir is its folder, "" where none is configured.
	Dir string
	// Chain is its present certificate and those above, the root last. Empty: there
	// is no CA, or it could not be read.
	Chain []*x509.Certificate
	// File is cacert.pem, Key private/cakey.pem, whose content is not read, and CRL
	// its present list.
	File, Key, CRL File
	// Silent says why certmgr does not answer at its socket; "" where it does, or
	// nobody asked it.
	Silent string
}

// A Kind of server.
type Kind string

// The kinds, as [[target]] has them.
const (
	Sendmail Kind = "sendmail"
	Postfix  Kind = "postfix"
	Dovecot  Kind = "dovecot"
	Exim     Kind = "exim"
	XMail    Kind = "xmail"
	Files    Kind = "files" // of any other server
)

// String is the server's own spelling of its name.
func (k Kind) String() string {
	switch k {
	case Postfix, Dovecot, Exim:
		return strings.ToUpper(string(k[:1])) + string(k[1:])
	case XMail:
		return "XMail"
	case Files:
		return "the server"
	}
	return string(k)
}

// A Server is one mail server: its settings, its files and what it offers.
type Server struct {
	Name string
	Kind Kind
	// Kept: a [[target]] has it. Issuer and Hosts are that's.
	Kept   bool
	Issuer string
	Hosts  []string
	// Conf is the file of its settings, "" where there is none. Unread says why they
	// could not be read.
	Conf   string
	Unread string
	// Settings are by the server's own names; those of sendmail in lower case.
	Settings map[string]string
	// ConfFile is Conf; MC is sendmail.mc where it is newer than that.
	ConfFile File
	MC       string
	// Chroot: Postfix's smtpd works in the queue's folder; CApathInside: there is the
	// folder smtpd_tls_CApath there too.
	Chroot, CApathInside bool
	// Complaints are what the server's own tools say of the settings.
	Complaints []string
	// Hostname is what it calls itself.
	Hostname string
	// Off is the setting that switches TLS off, "" where it is on or unknown; On are
	// the commands that switch it on.
	Off string
	On  []string
	// Pairs are its keys and certificates, those for clients last.
	Pairs []Pair
	// CAs, Lists: files of CAs and of CRLs.
	CAs, Lists []File
	// Dirs are folders of hash links.
	Dirs []Dir
	// DH is the file of Diffie-Hellman parameters; nil where none is set.
	DH *File
	// Started is when the running server read its files, zero where that is unknown.
	Started time.Time
	// Tables are Postfix's tables of keys and certificates by name.
	Tables []File
	// KeptFiles are those that certmgr writes, by what they are for.
	KeptFiles map[string]string
	// Reload is the command by which the server reads its files again, "" where none
	// is needed. Postconf is the command by which Postfix's settings are changed.
	Reload   string
	Postconf string
	// Expected: the configuration says where it answers, and settings do not have to
	// be guessed from.
	Expected bool
	Live     []Live
}

// A Pair is a key with its certificate, in one file or two.
type Pair struct {
	// Client: it is shown to other servers when this one sends.
	Client bool
	Key    File
	Cert   File
}

// A State is what became of reading a file.
type State int

// The states.
const (
	Missing State = iota
	Denied        // it is there, or its folder is, and who asks may not look
	Broken        // it is there and cannot be used; File.Err says why
	Read
)

// A File is a file as it was found.
type File struct {
	Path  string
	State State
	Err   string
	Mode  fs.FileMode
	UID   int
	Time  time.Time
	// Open are folders on the way that others than their owner may write to.
	Open []Folder

	// What was found in it. Of a private key it is the public half.
	Certificates []*x509.Certificate
	Key          crypto.PublicKey
	Encrypted    bool // the key
	CRLs         []*x509.RevocationList
	DH           *dh.Judgement
}

// Leaf is the first certificate.
func (f File) Leaf() *x509.Certificate {
	if len(f.Certificates) == 0 {
		return nil
	}
	return f.Certificates[0]
}

// A Folder is one on the way to a file.
type Folder struct {
	Path string
	Mode fs.FileMode
}

// A Dir is a folder of hash links.
type Dir struct {
	Path string
	// For is the setting that names it.
	For   string
	State State
	Err   string
	// Links are those that are missing, or lead nowhere.
	Links []hashdir.Change
}

// Live is what a server that runs offers at one port.
type Live struct {
	URL string
	// Expected: the configuration or the server's settings name it.
	Expected bool
	Answered bool
	Offered  bool // STARTTLS, STLS, or TLS from the start
	Banner   string
	Version  string
	Cipher   string
	Chain    []*x509.Certificate
	// Verify is OK, FAIL, NO or TEMP, and Err why.
	Verify string
	Err    string
	// Old are versions before TLS 1.2 that it takes.
	Old []string
}

// setting is the value of a setting, trimmed.
func (s *Server) setting(name string) string { return strings.TrimSpace(s.Settings[name]) }

// takeSettings takes what postconf and exim -bP print: name = value.
func (s *Server) takeSettings(printed []byte) {
	for line := range strings.Lines(string(printed)) {
		if name, value, ok := strings.Cut(line, " ="); ok {
			s.Settings[name] = strings.TrimSpace(value)
		}
	}
}

// isSet reports whether a setting has a value.
func (s *Server) isSet(name string) bool { return s.setting(name) != "" }
