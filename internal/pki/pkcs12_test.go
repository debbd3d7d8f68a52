package pki

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"
)

// TestRFC9216: each file holds a key to sign and one to decrypt and a safe for
// every certificate; the key to sign is the identity.
func TestRFC9216(t *testing.T) {
	dir := corpus(t, "rfc9216")
	for name, tt := range map[string]struct{ file, leaf, chain string }{
		"alice":  {"08-PKCS_12_Object_for_Alice.pem", "04-Alice_s_Signature_Verification_End_Entity_Certificate.pem", "03-RSA_Certification_Authority_Cross_Signed_Certificate.pem"},
		"bob":    {"13-PKCS_12_Object_for_Bob.pem", "09-Bob_s_Signature_Verification_End_Entity_Certificate.pem", "03-RSA_Certification_Authority_Cross_Signed_Certificate.pem"},
		"carlos": {"21-PKCS_12_Object_for_Carlos.pem", "17-Carlos_s_Signature_Verification_End_Entity_Certificate.pem", "16-Ed25519_Certification_Authority_Cross_Signed_Certificate.pem"},
		"dana":   {"26-PKCS_12_Object_for_Dana.pem", "22-Dana_s_Signature_Verification_End_Entity_Certificate.pem", "16-Ed25519_Certification_Authority_Cross_Signed_Certificate.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := ReadIdentity(filepath.Join(dir, tt.file), []byte(name))
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := ReadCertificates(filepath.Join(dir, tt.leaf))
			if err != nil {
				t.Fatal(err)
			}
			chain, err := ReadCertificates(filepath.Join(dir, tt.chain))
			if err != nil {
				t.Fatal(err)
			}
			check(t, id, person{cert: leaf[0], key: id.Key}, chain...)
			if d := cmp.Diff([]string{name + "@smime.example"}, Addresses(id.Certificate)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMimeKit reads files that Bouncy Castle wrote in BER, with RC2 and 3DES.
func TestMimeKit(t *testing.T) {
	dir := corpus(t, "mimekit")
	for file, tt := range map[string]struct {
		chain int
		err   string
	}{
		"rsa/smime.pfx":             {chain: 2},
		"dnsnames/smime.pfx":        {chain: 2},
		"nochain/smime.pfx":         {},
		"revoked/smime.pfx":         {chain: 2},
		"revokednochain/smime.pfx":  {},
		"revokedsubca/smime.pfx":    {chain: 1},
		"certificate-authority.pfx": {},
		"intermediate1.pfx":         {},
		"intermediate2.pfx":         {chain: 1},
		"revoked-intermediate.pfx":  {},
		"dsa/smime.pfx":             {err: "unknown algorithm"},
		"ec/smime.pfx":              {err: "invalid ECDSA parameters"}, // a curve written out: RFC 5480 section 2.1.1 forbids it
	} {
		t.Run(file, func(t *testing.T) {
			id, err := ReadIdentity(filepath.Join(dir, file), []byte("no.secret"))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(id.Chain) != tt.chain {
				t.Errorf("chain of %d, want %d", len(id.Chain), tt.chain)
			}
			if _, err := ReadIdentity(filepath.Join(dir, file), []byte("no.secrets")); err == nil || !strings.HasSuffix(err.Error(), ErrPassphrase.Error()) {
				t.Errorf("with a wrong passphrase: %v", err)
			}
		})
	}
}

// TestAsks: a file cannot keep the reader at work before its passphrase is known.
func TestAsks(t *testing.T) {
	p := newPerson(t, "P-256")
	file := func(kdf, scheme pkix.AlgorithmIdentifier) []byte {
		alg := pkix.AlgorithmIdentifier{Algorithm: oidPBES2, Parameters: asn1.RawValue{FullBytes: marshal(pbes2{kdf, scheme})}}
		der := marshal(encryptedPrivateKeyInfo{Algorithm: alg, Data: make([]byte, 64)})
		return append(block("ENCRYPTED PRIVATE KEY", der), pemCerts(p.cert)...)
	}
	alg := func(oid asn1.ObjectIdentifier, params any) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: marshal(params)}}
	}
	salt := asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte("salt")}
	aes := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	cbc := alg(aes, make([]byte, 16))
	sha512 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}}
	kdf := alg(oidPBKDF2, pbkdf2Params{Salt: salt, Rounds: 1})
	p12, err := pkcs12.Modern2023.WithIterations(100).Encode(p.key, p.cert, nil, "geheim")
	if err != nil {
		t.Fatal(err)
	}
	many := bytes.ReplaceAll(p12, marshal(100), []byte{2, 4, 0x7f, 0xff, 0xff, 0xff})
	if bytes.Equal(many, p12) {
		t.Fatal("the test's replacement found nothing")
	}
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"rounds":         {file(alg(oidPBKDF2, pbkdf2Params{Salt: salt, Rounds: math.MaxInt32}), cbc), "rounds"},
		"no rounds":      {file(alg(oidPBKDF2, pbkdf2Params{Salt: salt}), cbc), "damaged"},
		"memory":         {file(alg(oidScrypt, scryptParams{N: 1 << 30, R: 8, P: 1}), cbc), "256 MiB"},
		"lanes":          {file(alg(oidScrypt, scryptParams{N: 2, R: 8, P: 1 << 20}), cbc), "256 MiB"},
		"overflow":       {file(alg(oidScrypt, scryptParams{N: 2, R: math.MaxInt32, P: 1}), cbc), "256 MiB"},
		"unknown kdf":    {file(alg(aes, 1), cbc), "not known"},
		"short iv":       {file(kdf, alg(aes, make([]byte, 8))), "damaged"},
		"GCM":            {file(kdf, alg(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}, make([]byte, 12))), "not AES-CBC"},
		"SHA-512":        {file(alg(oidPBKDF2, pbkdf2Params{Salt: salt, Rounds: 1, PRF: sha512}), cbc), "not HMAC with SHA-256"},
		"cut":            {file(kdf, cbc)[:90], "damaged"},
		"PKCS #12":       {many, "damaged"}, // lengths no longer fit
		"PKCS #12 count": {roundsPFX(math.MaxInt32), "rounds"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := ParseIdentity(tt.data, []byte("geheim"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if d := time.Since(begin); d > time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// roundsPFX is a file whose MAC wants that many rounds.
func roundsPFX(n int) []byte {
	sha1 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue}
	return sequence(marshal(3), contentInfoOf(oidData, marshal(sequence())),
		sequence(sequence(marshal(sha1), marshal(make([]byte, 20))), marshal([]byte("salt")), marshal(n)))
}

// FuzzDER: rewriting is idempotent, and DER that the standard library reads
// comes back as it is.
func FuzzDER(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 2, 1, 3, 0, 0})
	f.Add([]byte{0x24, 0x80, 4, 1, 'a', 0x24, 3, 4, 1, 'b', 0, 0})
	f.Add([]byte{0xa0, 0x81, 3, 4, 1, 'x'})
	f.Fuzz(func(t *testing.T, ber []byte) {
		der, err := toDER(ber)
		if err != nil {
			return
		}
		again, err := toDER(der)
		if err != nil || !bytes.Equal(again, der) {
			t.Errorf("%x became %x, and that %x (%v)", ber, der, again, err)
		}
		var v asn1.RawValue
		if rest, err := asn1.Unmarshal(ber, &v); err == nil && len(rest) == 0 && !v.IsCompound && !bytes.Equal(der, ber) {
			t.Errorf("DER %x became %x", ber, der)
		}
	})
}

// FuzzIdentity: an identity that was read has a pair and a chain that goes up.
func FuzzIdentity(f *testing.F) {
	p := newPerson(f, "P-256")
	der, err := pkcs12.Modern2023.WithIterations(1).Encode(p.key, p.cert, p.above, "geheim")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(append(pkcs8PEM(f, p.key), pemCerts(p.cert, p.above[0])...))
	if names, err := filepath.Glob("../../../shared/corpora/mimekit/*/*.pfx"); err == nil {
		for _, n := range names {
			if data, err := os.ReadFile(n); err == nil {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var work budget
		if der, err := toDER(data); err == nil {
			if _, err := openSafes(der, &work); err == nil && work.rounds > 20000 {
				t.Skip("within bounds, and slow")
			}
		}
		id, err := ParseIdentity(data, []byte("geheim"))
		if err != nil {
			return
		}
		if !pairs(id.Certificate, id.Key) {
			t.Error("the key is another's")
		}
		for at, c := id.Certificate, id.Chain; len(c) > 0; at, c = c[0], c[1:] {
			if !issued(c[0], at) || selfSigned(c[0]) {
				t.Error("the chain does not go up")
			}
		}
	})
}
