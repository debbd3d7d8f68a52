package bundle_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailseal/certmgr/bundle"
	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/smime/cms"
)

// common are the keys of every payload, and what they hold.
var common = map[string]string{
	"PayloadType": "string", "PayloadVersion": "integer", "PayloadIdentifier": "string", "PayloadUUID": "string", "PayloadDisplayName": "string",
	"PayloadDescription": "string", "PayloadOrganization": "string",
}

// documented are the keys that Apple's documentation has for a type, of those
// that are required with a !.
var documented = map[string]map[string]string{
	"Configuration": {
		"PayloadContent": "array!", "PayloadScope": "string", "RemovalDate": "date", "PayloadExpirationDate": "date",
		"ConsentText": "dict", "PayloadRemovalDisallowed": "bool",
	},
	"com.apple.security.root": {"PayloadContent": "data!", "PayloadCertificateFileName": "string"},
	"com.apple.security.pkcs12": {
		"PayloadContent": "data!", "PayloadCertificateFileName": "string", "Password": "string", "AllowAllAppsAccess": "bool", "KeyIsExtractable": "bool",
	},
	"com.apple.mail.managed": {
		"EmailAccountType": "string!", "EmailAccountDescription": "string", "EmailAccountName": "string", "EmailAddress": "string",
		"IncomingMailServerAuthentication": "string!", "IncomingMailServerHostName": "string!", "IncomingMailServerPortNumber": "integer",
		"IncomingMailServerUseSSL": "bool", "IncomingMailServerUsername": "string",
		"OutgoingMailServerAuthentication": "string!", "OutgoingMailServerHostName": "string!", "OutgoingMailServerPortNumber": "integer",
		"OutgoingMailServerUseSSL": "bool", "OutgoingMailServerUsername": "string", "OutgoingPasswordSameAsIncomingPassword": "bool",
		"SMIMESigningEnabled": "bool", "SMIMESigningCertificateUUID": "string", "SMIMEEncryptionEnabled": "bool", "SMIMEEncryptionCertificateUUID": "string",
		"SMIMEEncryptByDefault": "bool", "SMIMEEnableEncryptionPerMessageSwitch": "bool",
	},
}

// A value is one of a property list as it is read.
type value struct {
	kind string
	text string
	dict map[string]value
	list []value
}

// read reads the value that begins with an element.
func read(d *xml.Decoder, start xml.StartElement) (v value, err error) {
	v.kind = start.Name.Local
	var key string
	for {
		token, err := d.Token()
		if err != nil {
			return v, err
		}
		switch token := token.(type) {
		case xml.CharData:
			v.text += string(token)
		case xml.EndElement:
			return v, nil
		case xml.StartElement:
			inner, err := read(d, token)
			switch {
			case err != nil:
				return v, err
			case v.kind == "array":
				v.list = append(v.list, inner)
			case v.kind != "dict":
				return v, fmt.Errorf("%s within %s", inner.kind, v.kind)
			case inner.kind == "key" && key == "":
				key = inner.text
			case inner.kind == "key" || key == "":
				return v, fmt.Errorf("%s where it does not belong", inner.kind)
			default:
				if v.dict == nil {
					v.dict = map[string]value{}
				}
				if _, twice := v.dict[key]; twice {
					return v, fmt.Errorf("%s twice", key)
				}
				v.dict[key], key = inner, ""
			}
		}
	}
}

func parse(t *testing.T, plist []byte) value {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(plist))
	for {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "dict" {
			v, err := read(d, start)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
}

// check holds a payload against the documentation.
func check(t *testing.T, v value) {
	t.Helper()
	kind := v.dict["PayloadType"].text
	keys := documented[kind]
	if keys == nil {
		t.Fatalf("no payload type %q", kind)
	}
	for key, is := range v.dict {
		want := common[key] + strings.TrimSuffix(keys[key], "!")
		got := is.kind
		if got == "true" || got == "false" {
			got = "bool"
		}
		if got != want {
			t.Errorf("%s: %s is %s, want %q", kind, key, got, want)
		}
	}
	for key, want := range keys {
		if _, ok := v.dict[key]; strings.HasSuffix(want, "!") && !ok {
			t.Errorf("%s: no %s", kind, key)
		}
	}
	for _, key := range []string{"PayloadType", "PayloadVersion", "PayloadIdentifier", "PayloadUUID"} {
		if v.dict[key].text == "" {
			t.Errorf("%s: no %s", kind, key)
		}
	}
	if !regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`).MatchString(v.dict["PayloadUUID"].text) {
		t.Errorf("%s: %s is no UUID", kind, v.dict["PayloadUUID"].text)
	}
}

func data(t *testing.T, v value) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(v.text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// profile writes a profile and returns it, its content and the passphrase.
func profile(t *testing.T, b bundle.Bundle, p bundle.Profile) (name string, content []byte, passphrase string) {
	t.Helper()
	base := filepath.Join(t.TempDir(), "bob")
	w, err := bundle.Write(base, b, bundle.Options{Mobile: &p})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	sd, err := cms.ReadSignedData(bytes.NewReader(readFile(t, base+".mobileconfig")), cms.ReadOptions{Content: &out})
	if err != nil {
		t.Fatal(err)
	}
	if r := sd.Verify(); len(r) != 1 || r[0].Err != nil {
		t.Errorf("signature: %+v", r)
	}
	return base + ".mobileconfig", out.Bytes(), w.Passphrase
}

// A profile has the root, the identity and the account, in keys that are
// documented, and refers to what is in it.
func TestProfile(t *testing.T) {
	p := testpki.New(t).Below()
	id := p.User("bob@corp.example", ca.P256)
	account := &bundle.Account{Name: `Bob <"&'> 山田`, Incoming: "imap.corp.example", Outgoing: "smtp.corp.example", OutgoingPort: 10465}
	_, plist, passphrase := profile(t, of(p, id), bundle.Profile{Description: "S/MIME & more", Account: account})
	top := parse(t, plist)
	check(t, top)
	if top.dict["PayloadType"].text != "Configuration" || top.dict["PayloadOrganization"].text != "mailseal tests" || top.dict["PayloadDescription"].text != "S/MIME & more" {
		t.Errorf("got %v", top.dict)
	}
	if bytes.Contains(plist, []byte(passphrase)) {
		t.Error("the passphrase is in the profile")
	}
	payloads := top.dict["PayloadContent"].list
	if len(payloads) != 3 {
		t.Fatalf("%d payloads", len(payloads))
	}
	uuids := []string{top.dict["PayloadUUID"].text}
	for _, one := range payloads {
		check(t, one)
		if u := one.dict["PayloadUUID"].text; slices.Contains(uuids, u) {
			t.Errorf("%s twice", u)
		} else {
			uuids = append(uuids, u)
		}
	}
	root, identity, mail := payloads[0].dict, payloads[1].dict, payloads[2].dict
	if !bytes.Equal(data(t, root["PayloadContent"]), p.Root().Raw) {
		t.Error("another root")
	}
	got, err := pki.ParseIdentity(data(t, identity["PayloadContent"]), []byte(passphrase))
	if err != nil || !got.Certificate.Equal(id.Certificate) {
		t.Errorf("identity: %v", err)
	}
	for key, want := range map[string]string{
		"EmailAccountType": "EmailTypeIMAP", "EmailAddress": "bob@corp.example", "EmailAccountName": account.Name,
		"IncomingMailServerHostName": "imap.corp.example", "IncomingMailServerPortNumber": "993", "IncomingMailServerUsername": "bob@corp.example",
		"OutgoingMailServerHostName": "smtp.corp.example", "OutgoingMailServerPortNumber": "10465",
		"SMIMESigningCertificateUUID": identity["PayloadUUID"].text, "SMIMEEncryptionCertificateUUID": identity["PayloadUUID"].text,
	} {
		if mail[key].text != want {
			t.Errorf("%s is %q, want %q", key, mail[key].text, want)
		}
	}
	if mail["SMIMESigningEnabled"].kind != "true" || mail["SMIMEEncryptionEnabled"].kind != "true" || mail["SMIMEEncryptByDefault"].kind != "false" {
		t.Errorf("S/MIME is off: %v", mail)
	}
}

// A newer certificate makes a profile that takes the place of the older: of the
// same identifier, with other UUIDs. The same certificate makes the same.
func TestProfileReplaces(t *testing.T) {
	p := testpki.New(t)
	request := ca.Request{Profile: ca.User, Emails: []string{"bob@corp.example"}, Key: ca.P256}
	one, two := of(p, p.Issue(request)), of(p, p.Issue(request))
	var ids, uuids []string
	for _, b := range []bundle.Bundle{one, one, two} {
		_, plist, _ := profile(t, b, bundle.Profile{Account: &bundle.Account{POP: true, Login: "bob", Incoming: "mx", Outgoing: "mx", EncryptByDefault: true}})
		top := parse(t, plist)
		id, uuid := "", ""
		for _, one := range append(top.dict["PayloadContent"].list, top) {
			id, uuid = id+" "+one.dict["PayloadIdentifier"].text, uuid+" "+one.dict["PayloadUUID"].text
		}
		ids, uuids = append(ids, id), append(uuids, uuid)
		mail := top.dict["PayloadContent"].list[2].dict
		if mail["IncomingMailServerUsername"].text != "bob" || mail["IncomingMailServerPortNumber"].text != strconv.Itoa(995) || mail["SMIMEEncryptByDefault"].kind != "true" {
			t.Errorf("got %v", mail)
		}
	}
	if ids[0] != ids[2] || uuids[0] != uuids[1] || uuids[0] == uuids[2] {
		t.Errorf("identifiers %q, UUIDs %q", ids, uuids)
	}
}

// OpenSSL verifies the signature, of the identity itself or of whoever signs.
func TestProfileOpenSSL(t *testing.T) {
	need(t, "openssl")
	p := testpki.New(t).Below()
	id, admin := p.User("bob@corp.example", ca.P256), p.User("admin@corp.example", ca.RSA2048)
	for _, by := range []pki.Identity{{}, admin} {
		name, plist, _ := profile(t, of(p, id), bundle.Profile{Signer: by})
		anchor := testpki.Write(t, "ca.pem", testpki.CertPEM(p.Root()))
		out, err := run(filepath.Dir(name), "", "openssl", "cms", "-verify", "-inform", "DER", "-in", name, "-CAfile", anchor, "-out", "content")
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := readFile(t, filepath.Join(filepath.Dir(name), "content")); !bytes.Equal(got, plist) {
			t.Errorf("other content; openssl: %s", out)
		}
		if by.Certificate == nil {
			continue
		}
		sd, err := cms.ReadSignedData(bytes.NewReader(readFile(t, name)), cms.ReadOptions{Content: io.Discard})
		if err != nil || !slices.ContainsFunc(sd.Certificates, admin.Certificate.Equal) {
			t.Errorf("not signed by another: %v", err)
		}
	}
}
