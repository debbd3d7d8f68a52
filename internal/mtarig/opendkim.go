package mtarig

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// OpenDKIMMode is what an OpenDKIM does with mail.
type OpenDKIMMode string

const (
	DKIMSign   OpenDKIMMode = "s" // mail from 127.0.0.1, unless Extra says otherwise
	DKIMVerify OpenDKIMMode = "v" // mail from everybody else
)

// OpenDKIMConfig is how an OpenDKIM is set up. Mode, Domain, Selector and Key
// are needed.
type OpenDKIMConfig struct {
	Tools Tools
	Mode  OpenDKIMMode

	// Domain and Selector are those of the signatures. Key makes them, or they
	// are held against its public half, which is not looked for in the DNS.
	Domain, Selector string
	Key              *rsa.PrivateKey

	AuthservID string // "" is the MTA's name

	// Network is "unix" (the default) or "tcp"; Address a path or host:port that
	// the MTA reaches, "" for one of its own.
	Network, Address string

	Extra  []string // lines of opendkim.conf(5)
	Parent string   // folder that its own folder is made in, "" is /tmp
}

// OpenDKIM is a private OpenDKIM: the milter that ours stands beside. It ends as
// an MTA's instance does, with the process that started it.
type OpenDKIM struct {
	cfg OpenDKIMConfig
	i   *instance
}

// OpenDKIM returns nil when an OpenDKIM can be run, and otherwise what is
// missing for it.
func (t Tools) OpenDKIM() error {
	if t.opendkim == "" {
		return fmt.Errorf("%w: no OpenDKIM, neither unpacked nor installed; run test/tools.sh as root", ErrMissing)
	}
	return nil
}

// NewOpenDKIM prepares an OpenDKIM: its socket is known from here on. Close
// removes its folder, started or not.
func NewOpenDKIM(cfg OpenDKIMConfig) (*OpenDKIM, error) {
	if err := cfg.Tools.OpenDKIM(); err != nil {
		return nil, err
	}
	if cfg.Mode == "" || cfg.Domain == "" || cfg.Selector == "" || cfg.Key == nil {
		return nil, errors.New("opendkim: mode, domain, selector and key are needed")
	}
	i, err := makeInstance("opendkim", Config{Parent: cfg.Parent})
	if err != nil {
		return nil, err
	}
	i.env = unpackedLibraries(cfg.Tools.opendkim)
	switch cfg.Network = cmp.Or(cfg.Network, "unix"); cfg.Network {
	case "unix":
		cfg.Address = cmp.Or(cfg.Address, i.path("opendkim.sock"))
	case "tcp":
		cfg.Address = cmp.Or(cfg.Address, i.Addr())
	default:
		return nil, errors.Join(fmt.Errorf("opendkim on network %q; want unix or tcp", cfg.Network), i.Close())
	}
	return &OpenDKIM{cfg, i}, nil
}

// Milter is the OpenDKIM as an MTA is told of it.
func (o *OpenDKIM) Milter() Milter {
	return Milter{Name: "opendkim", Network: o.cfg.Network, Address: o.cfg.Address}
}

// Socket returns where it listens: a path, or host:port.
func (o *OpenDKIM) Socket() string { return o.cfg.Address }

// Start starts it and returns when an MTA can connect to it.
func (o *OpenDKIM) Start() error {
	if err := o.configure(); err != nil {
		return fmt.Errorf("configure opendkim: %w", err)
	}
	o.i.release()
	program := filepath.Join(o.cfg.Tools.opendkim, "usr/sbin/opendkim")
	err := o.i.launch(exec.Command(program, "-f", "-x", o.i.path("opendkim.conf")))
	if err == nil {
		err = o.await()
	}
	if err != nil {
		output, _ := os.ReadFile(o.i.path("output"))
		return errors.Join(fmt.Errorf("start opendkim: %w\n%s", err, output), o.Stop())
	}
	return nil
}

// Stop ends it. Start starts it again. It has nothing to lose, and libmilter
// looks only every five seconds whether it has been told to end.
func (o *OpenDKIM) Stop() error {
	if o.i.daemon != nil {
		syscall.Kill(-o.i.daemon.Process.Pid, syscall.SIGKILL)
	}
	return o.i.Stop()
}

// Close ends it and removes its folder.
func (o *OpenDKIM) Close() error {
	err := o.Stop()
	if o.cfg.Network == "unix" { // it may be in somebody else's folder
		if e := os.Remove(o.cfg.Address); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, o.i.Close())
}

func (o *OpenDKIM) await() error {
	deadline := time.Now().Add(startTimeout)
	for {
		c, err := net.Dial(o.cfg.Network, o.cfg.Address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-o.i.exited:
			return errEnded
		case <-time.After(pollInterval):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no connection within %v: %w", startTimeout, err)
		}
	}
}

// configure writes opendkim.conf and the keys.
func (o *OpenDKIM) configure() error {
	private, err := x509.MarshalPKCS8PrivateKey(o.cfg.Key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(o.cfg.Key.Public())
	if err != nil {
		return err
	}
	name := o.cfg.Selector + "._domainkey." + o.cfg.Domain
	record := name + " v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public) + "\n"
	for file, content := range map[string][]byte{
		"opendkim.conf": []byte(o.conf()),
		"private.pem":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"public":        []byte(record),
	} {
		if err := os.WriteFile(o.i.path(file), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (o *OpenDKIM) conf() string {
	var b strings.Builder
	set := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s %s\n", name, value)
		}
	}
	socket := "local:" + o.cfg.Address
	if host, port, err := net.SplitHostPort(o.cfg.Address); o.cfg.Network == "tcp" && err == nil {
		socket = "inet:" + port + "@[" + host + "]"
	}
	set("Socket", socket)
	set("UMask", "000") // Postfix's own user must be able to write to it
	set("Background", "no")
	set("Syslog", "no")
	set("RequireSafeKeys", "no") // anybody may write to /tmp
	set("Mode", string(o.cfg.Mode))
	set("TestPublicKeys", o.i.path("public"))
	set("AuthservID", o.cfg.AuthservID)
	if o.cfg.Mode == DKIMSign {
		set("Domain", o.cfg.Domain)
		set("Selector", o.cfg.Selector)
		set("KeyFile", o.i.path("private.pem"))
	}
	for _, line := range o.cfg.Extra {
		b.WriteString(line + "\n")
	}
	return b.String()
}
