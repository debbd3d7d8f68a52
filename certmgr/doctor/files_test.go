package doctor

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca/namehash"
)

// TestPostfixFiles: which files smtpd and smtp read, by chain files and by the
// settings that they replace.
func TestPostfixFiles(t *testing.T) {
	root := mailRoot(t)
	key, cert, both := filepath.Join(root, "server.key"), filepath.Join(root, "server.cert"), filepath.Join(root, "both.pem")
	var content []byte
	for _, name := range []string{key, cert} {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, part...)
	}
	if err := os.WriteFile(both, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		settings map[string]string
		want     []string // key+cert, client: of clients alone
	}{
		{"none", nil, nil},
		{"older ones", map[string]string{"smtpd_tls_cert_file": cert, "smtpd_tls_key_file": key, "smtpd_tls_eccert_file": both}, []string{key + "+" + cert, both + "+" + both}},
		{"none by name", map[string]string{"smtpd_tls_cert_file": "none"}, nil},
		{"one chain file", map[string]string{"smtpd_tls_chain_files": both, "smtpd_tls_cert_file": cert}, []string{both + "+" + both}},
		{"key and certificate in two", map[string]string{"smtpd_tls_chain_files": key + ", " + cert}, []string{key + "+" + cert}},
		{"the same for sending", map[string]string{"smtpd_tls_chain_files": both, "smtp_tls_chain_files": both}, []string{both + "+" + both}},
		{"another for sending", map[string]string{"smtpd_tls_chain_files": both, "smtp_tls_cert_file": cert, "smtp_tls_key_file": key}, []string{both + "+" + both, "client:" + key + "+" + cert}},
	} {
		s := Server{Kind: Postfix, Settings: tt.settings}
		s.postfixFiles()
		var got []string
		for _, p := range s.Pairs {
			name := p.Key.Path + "+" + p.Cert.Path
			if p.Client {
				name = "client:" + name
			}
			if p.Key.Key == nil || p.Cert.Leaf() == nil {
				t.Errorf("%s: %s was not read: %s%s", tt.name, name, p.Key.Err, p.Cert.Err)
			}
			got = append(got, name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	s := Server{Kind: Postfix, Settings: map[string]string{
		"smtpd_tls_CAfile": cert, "smtp_tls_CAfile": cert, "smtp_tls_CApath": root, "smtpd_tls_dh1024_param_file": "auto", "tls_server_sni_maps": "hash:" + both + ", inline:{x=y}",
	}}
	s.postfixFiles()
	if len(s.CAs) != 1 || len(s.Dirs) != 1 || s.DH != nil || len(s.Tables) != 2 || s.Tables[1].Path != both+".db" {
		t.Errorf("%+v", s)
	}
}

// TestSendmailSettings: sendmail.cf names the files, and what is missing in it
// switches TLS off.
func TestSendmailSettings(t *testing.T) {
	root := mailRoot(t)
	right := strings.ReplaceAll("Djmail.example.jp\nO PidFile=DIR/pid\nO CACertPath=DIR\nO CACertFile=DIR/CERTS.PEM\nO ServerCertFile=DIR/server.cert\nO ServerKeyFile=DIR/server.key\n"+
		"O ClientCertFile=DIR/server.cert\nO ClientKeyFile=DIR/server.key\nO CRLFile=DIR/crl.pem\nO DHParameters=DIR/dh.param\nO DaemonPortOptions=Port=2525\n", "DIR", root)
	for _, tt := range []struct {
		name, from, to string
		off            string
		pairs          int
	}{
		{"right", "", "", "", 1},
		{"no CA path", "O CACertPath", "#O CACertPath", "CACertPath (confCACERT_PATH) is not set", 1},
		{"no key", "O ServerKeyFile", "#", "ServerKeyFile (confSERVER_KEY) is not set", 1},
		{"a client's own", "O ClientCertFile=" + root + "/server.cert", "O ClientCertFile=" + root + "/client.cert", "", 2},
		{"two", "server.cert\nO ServerKeyFile=" + root + "/server.key", "server.cert," + root + "/ec.cert\nO ServerKeyFile=" + root + "/server.key," + root + "/ec.key", "", 2},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "sendmail.cf"), []byte(strings.Replace(right, tt.from, tt.to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		mc := filepath.Join(dir, "sendmail.mc")
		if err := os.WriteFile(mc, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(mc, later, later); err != nil {
			t.Fatal(err)
		}
		f := Gather(t.Context(), Options{Servers: []Instance{{Name: "sendmail", Kind: Sendmail, Conf: dir}}, Offline: true})
		s := f.Servers[0]
		if s.Off != tt.off || len(s.Pairs) != tt.pairs || s.Unread != "" {
			t.Errorf("%s: off %q, %d pairs, unread %q", tt.name, s.Off, len(s.Pairs), s.Unread)
		}
		if s.Hostname != "mail.example.jp" || s.MC != mc || s.Reload != "kill -HUP `head -1 "+root+"/pid`" || len(s.CAs) != 1 || len(s.Lists) != 1 || s.DH == nil {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
	f := Gather(t.Context(), Options{Servers: []Instance{{Name: "sendmail", Kind: Sendmail, Conf: t.TempDir()}}, Offline: true})
	if f.Servers[0].Unread == "" {
		t.Error("no word of the missing sendmail.cf")
	}
}

// TestLinks: links by hand to a file of several CAs are right; others that openssl
// rehash would not make are not.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	var bundle []byte
	var names []string
	for _, name := range []string{"One", "Two"} {
		root := newWorld(t, name, nil).root
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
		hash, err := namehash.Of(root.RawSubject)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, hash)
	}
	if err := os.WriteFile(filepath.Join(dir, "public.pem"), bundle, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{names[0] + ".0": "public.pem", names[1] + ".0": "public.pem", "12345678.0": "public.pem", "87654321.0": "gone.pem"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, c := range lookInto(dir, "CACertPath").Links {
		got = append(got, c.Name+">"+c.Target)
	}
	slices.Sort(got)
	if want := []string{"12345678.0>", "87654321.0>"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if d := lookInto(filepath.Join(dir, "absent"), "CACertPath"); d.State != Missing {
		t.Errorf("%+v", d)
	}
	if d := lookInto(filepath.Join(dir, "public.pem"), "CACertPath"); d.State == Read {
		t.Errorf("%+v", d)
	}
}
