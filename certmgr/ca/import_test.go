package ca

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/certmgr/ca/index"
)

// articleConf is the openssl.cnf that FreeBSD's /etc/rc.d/sendmail writes, by
// which people make /etc/mail/CA by hand: dir is relative, the key lies beside
// the certificate, and there is neither crlnumber nor a private folder.
const articleConf = `
[ ca ]
default_ca = CA_default
[ CA_default ]
dir             = .
certs           = $dir/certs
crl_dir         = $dir/crl
database        = $dir/index.txt
new_certs_dir   = $dir/newcerts
certificate     = $dir/cacert.pem
serial          = $dir/serial
crlnumber       = $dir/crlnumber
crl             = $dir/crl.pem
private_key     = $dir/cakey.pem
x509_extensions = usr_cert
name_opt        = ca_default
cert_opt        = ca_default
default_days    = 365
default_crl_days= 30
default_md      = default
preserve        = no
policy          = policy_anything
[ policy_anything ]
countryName            = optional
stateOrProvinceName    = optional
localityName           = optional
organizationName       = optional
organizationalUnitName = optional
commonName             = supplied
emailAddress           = optional
[ req ]
default_bits       = 2048
distinguished_name = req_distinguished_name
x509_extensions    = v3_ca
string_mask        = utf8only
prompt             = no
[ req_distinguished_name ]
countryName         = XX
stateOrProvinceName = Some-state
localityName        = Some-city
0.organizationName  = Some-org
CN                  = krb5.home.example
[ usr_cert ]
basicConstraints       = CA:FALSE
nsComment              = "OpenSSL Generated Certificate"
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid,issuer
[ v3_ca ]
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints       = CA:true
`

const articlePass = "pokemon"

// article makes the folder as the article does: a CA, and two certificates of
// which the second has another name.
func article(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "CA")
	for _, d := range []string{dir, dir + "/certs", dir + "/crl", dir + "/newcerts"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, confFile)
	writeFile(t, conf, articleConf)
	writeFile(t, filepath.Join(dir, serialFile), "01\n")
	writeFile(t, filepath.Join(dir, indexFile), "")
	in := func(args ...string) { t.Helper(); opensslIn(t, dir, args...) }
	in("req", "-batch", "-passout", "pass:"+articlePass, "-new", "-x509", "-keyout", "cakey.pem", "-out", "cacert.pem", "-days", "3650", "-config", conf, "-newkey", "rsa:2048")
	for _, host := range []string{"krb5.home.example", "dhcp.home.example"} {
		writeFile(t, conf, strings.Replace(articleConf, "krb5.home.example", host, 1))
		in("req", "-batch", "-nodes", "-new", "-x509", "-keyout", host+".key", "-out", "newreq.pem", "-days", "365", "-config", conf, "-newkey", "rsa:2048")
		in("x509", "-x509toreq", "-in", "newreq.pem", "-signkey", host+".key", "-out", "tmp.pem")
		in("ca", "-config", conf, "-batch", "-passin", "pass:"+articlePass, "-out", host+".cert", "-infiles", "tmp.pem")
	}
	// As a careless hand leaves it.
	for _, open := range []string{"cakey.pem", "krb5.home.example.key"} {
		if err := os.Chmod(filepath.Join(dir, open), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// bare makes a folder with a CA whose certificate has basic constraints alone.
func bare(t *testing.T, dir string) {
	t.Helper()
	writeFile(t, filepath.Join(dir, "bare.cnf"), "[req]\ndistinguished_name = dn\nprompt = no\nx509_extensions = x\n[dn]\nCN = Bare CA\n[x]\nbasicConstraints = CA:true\nsubjectKeyIdentifier = none\nauthorityKeyIdentifier = none\n")
	opensslIn(t, dir, "req", "-batch", "-nodes", "-new", "-x509", "-config", "bare.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "ca.key", "-out", "ca.crt", "-days", "3650")
}

// What the article leaves is taken over: what is missing is written, what is
// open is closed, and openssl and we go on in turns.
func TestImportOfTheArticle(t *testing.T) {
	dir := article(t)
	if _, _, err := Import(dir, ImportOptions{Passphrase: []byte("wrong")}); err == nil || !strings.Contains(err.Error(), "wrong passphrase") {
		t.Errorf("Import with a wrong passphrase: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, settingsFile)); err == nil {
		t.Error("it was changed")
	}
	c, done, err := Import(dir, ImportOptions{Passphrase: []byte(articlePass), By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(append(done.Changed, done.Warnings...), "\n")
	for _, want := range []string{
		"private: made", "private/cakey.pem: from", "crlnumber: made", "ca.toml: made, with sequential serial numbers", "openssl.cnf: made; the old one is openssl.cnf.old",
		"CA: mode 0700 instead of 0755", "krb5.home.example.key: mode 0600 instead of 0644", "organization Some-org: a placeholder", "country XX",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing is said of %q:\n%s", want, text)
		}
	}
	for name, want := range map[string]os.FileMode{".": 0o700, keyFile: 0o600, "krb5.home.example.key": 0o600, keyFolder: 0o700, newCerts: 0o700} {
		if info, err := os.Stat(c.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", name, info, err, want)
		}
	}
	if exists(c.path("cakey.pem")) {
		t.Error("there is a second key")
	}
	before := snapshot(t, dir)
	if _, again, err := Import(dir, ImportOptions{Passphrase: []byte(articlePass)}); err != nil || len(again.Changed) > 0 {
		t.Errorf("once more: %v, %v", again.Changed, err)
	}
	if after := snapshot(t, dir); after != before {
		t.Errorf("once more changed\n%s\nto\n%s", before, after)
	}

	list, err := c.List(Query{Details: true})
	if err != nil || len(list) != 2 || list[0].Serial != "01" || !strings.Contains(list[1].Subject, "dhcp.home.example") {
		t.Fatalf("%+v, %v", list, err)
	}
	// The folder goes on under its own rules: one certificate a subject.
	r := requests[Host]
	first := issue(t, c, r)
	if first.Serial() != "03" {
		t.Errorf("number %s, want 03, which follows those of the article", first.Serial())
	}
	wantFile(t, c, serialFile, "04\n")
	if _, err := c.Issue(r); err == nil || !strings.Contains(err.Error(), "unique_subject") {
		t.Errorf("a second time: %v", err)
	}
	// -x509_strict would refuse the article's own CA certificate.
	openssl(t, "verify", "-purpose", "sslserver", "-CAfile", c.path(certFile), c.newCert(first.Certificate.SerialNumber, "pem"))
	revoke(t, c, "01", KeyCompromise)
	openssl(t, "ca", "-config", c.path(confFile), "-batch", "-passin", "pass:"+articlePass, "-revoke", filepath.Join(c.path(newCerts), "02.pem"))
	if list := newList(t, c); list.Revoked != 2 {
		t.Errorf("%d revoked", list.Revoked)
	}
	// What openssl did is told apart from what we did or took over.
	report, err := c.Audit(nil)
	if err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "02 is revoked") {
		t.Errorf("%+v, %v", report, err)
	}
}

// CA.pl's demoCA has everything but our own files.
func TestImportOfDemoCA(t *testing.T) {
	from := newCA(t, func(o *InitOptions) { o.Settings.Serials = SequentialSerials })
	issue(t, from, alice)
	dir := filepath.Join(t.TempDir(), "demoCA")
	if err := os.Rename(from.Dir(), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{settingsFile, auditFile, "audit.head", lockFile, crlNumFile, serialFile, attrFile, confFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	c, done, err := Import(dir, ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, c, serialFile, "02\n")
	wantFile(t, c, attrFile, "unique_subject = no\n")
	if got := strings.Join(done.Warnings, "\n"); !strings.Contains(got, "not encrypted") {
		t.Errorf("warnings %q", got)
	}
	issue(t, c, alice)
	openssl(t, "ca", "-config", c.path(confFile), "-gencrl", "-out", c.path(crlFile))
	if report, err := c.Audit(nil); err != nil || len(report.Problems) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// Numbers are made as they were before.
func TestImportKeepsTheWayOfSerials(t *testing.T) {
	for _, tt := range []struct {
		name, serial, conf string
		want               Serials
	}{
		{"counted", "0A", articleConf, SequentialSerials},
		{"counted, no openssl.cnf", "0A", "", SequentialSerials},
		{"a comment", "0A", "# rand_serial = yes\n", SequentialSerials},
		{"drawn by openssl", "0A", "[ CA_default ]\nrand_serial\t= yes\n", RandomSerials},
		{"drawn by easy-rsa", "5D0B7A9F24C6E81357F0A2B4C6D8E0F2", articleConf, RandomSerials},
		{"no serial", "", articleConf, RandomSerials},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.serial != "" {
				writeFile(t, filepath.Join(dir, serialFile), tt.serial+"\n")
			}
			if tt.conf != "" {
				writeFile(t, filepath.Join(dir, confFile), tt.conf)
			}
			c, err := newFolder(dir, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := (&takeover{CA: c}).serialsBefore(); got != tt.want || err != nil {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestImportRefusals(t *testing.T) {
	other := newCA(t)
	tests := []struct {
		name, want string
		spoil      func(t *testing.T, c *CA)
	}{
		{"no key", "no key of the CA: looked for private/cakey.pem, cakey.pem", func(t *testing.T, c *CA) { os.Remove(c.path(keyFile)) }},
		{"no certificate", "no certificate of the CA", func(t *testing.T, c *CA) { os.Remove(c.path(certFile)) }},
		{"another's certificate", "does not belong", func(t *testing.T, c *CA) {
			writeFile(t, c.path(certFile), string(EncodeCertificates(other.Certificate())))
		}},
		{"a broken line", "index.txt:2: 1 columns", func(t *testing.T, c *CA) { appendFile(t, c.path(indexFile), "rubbish\n") }},
		{"a line twice", "two lines with the number", func(t *testing.T, c *CA) {
			b, _ := os.ReadFile(c.path(indexFile))
			appendFile(t, c.path(indexFile), string(b))
		}},
		{"no index", "put it back", func(t *testing.T, c *CA) { os.Remove(c.path(indexFile)) }},
		{"a serial that is taken", "which is in index.txt already", func(t *testing.T, c *CA) {
			list, _ := c.List(Query{})
			writeFile(t, c.path(serialFile), list[0].Serial+"\n")
		}},
		{"no serial", `want a number`, func(t *testing.T, c *CA) { writeFile(t, c.path(serialFile), "one\n") }},
		{"no crlnumber", `want a number`, func(t *testing.T, c *CA) { writeFile(t, c.path(crlNumFile), "\n") }},
		{"a linked key", "not a file", func(t *testing.T, c *CA) {
			os.Rename(c.path(keyFile), c.path("elsewhere"))
			os.Symlink("../elsewhere", c.path(keyFile))
		}},
		{"unfinished", "never finished", func(t *testing.T, c *CA) { writeFile(t, c.path(initFile), "") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCA(t)
			issue(t, c, alice)
			tt.spoil(t, c)
			os.Remove(c.path(settingsFile))
			before := snapshot(t, c.Dir())
			if _, _, err := Import(c.Dir(), ImportOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Import: %v, want %q", err, tt.want)
			}
			if after := snapshot(t, c.Dir()); after != before {
				t.Errorf("the folder was changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

func appendFile(t *testing.T, path, more string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(b)+more)
}

func TestImportMarksWhatItMisses(t *testing.T) {
	c := newCA(t)
	lost := issue(t, c, alice).Certificate
	stray := issue(t, c, alice).Certificate
	os.Remove(c.newCert(lost.SerialNumber, "pem"))
	e, err := index.New(stray)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.index.Drop(e); err != nil {
		t.Fatal(err)
	}
	os.Remove(c.path(settingsFile))
	_, done, err := Import(c.Dir(), ImportOptions{})
	text := strings.Join(done.Warnings, "\n")
	if err != nil || !strings.Contains(text, index.Serial(lost.SerialNumber)+".pem is not there") || !strings.Contains(text, index.Serial(stray.SerialNumber)+".pem is not in index.txt") {
		t.Errorf("%v\n%s", err, text)
	}
}
