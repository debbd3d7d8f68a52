package interop

import (
	"fmt"
	"slices"

	"mailseal/smime/cms"
	. "mailseal/test/peers"
)

// A group is a table of the document.
type group struct {
	title string
	rows  []row
}

// A row is a way to make mails.
type row struct {
	name string
	// forms are all tried. In each the first recipe is made first, and the
	// others round it.
	forms [][]Recipe
	// theirs: we only read it.
	theirs bool
	// finds is what we find wrong with theirs: weak, or refused.
	finds error
	// encoding: what they write has to be in BER, or in DER, as the recipe says.
	encoding bool
	// cipher: and with the recipe's cipher. Elsewhere programs may choose.
	cipher bool
	// recent: only newer programs are asked.
	recent bool
}

// signed are both forms of a signature.
func signed(name string, s ...Signer) row {
	return row{name: name, forms: [][]Recipe{{{Type: Signed, Detached: true, Signers: s}}, {{Type: Signed, Signers: s}}}}
}

// to is AES-256-CBC in DER and in BER.
func to(name string, who ...Recipient) row { return encrypted(name, "AES-256-CBC", who...) }

func encrypted(name, cipher string, who ...Recipient) row {
	r := Recipe{Type: Encrypted, Cipher: cipher, To: who}
	ber := r
	ber.BER = true
	return row{name: name, forms: [][]Recipe{{r}, {ber}}}
}

func (r row) onlyTheirs() row {
	r.theirs = true
	return r
}

func (r row) found(err error) row {
	r.theirs, r.finds = true, err
	return r
}

func (r row) onlyRecent() row {
	r.recent = true
	return r
}

var (
	rsa  = Signer{Who: "rsa", Digest: "SHA-256"}
	p256 = Signer{Who: "p256", Digest: "SHA-256"}
)

func groups() []group {
	return []group{
		{"Forms", forms()},
		{"Signatures", signatures()},
		{"Signatures that we only read", oldSignatures()},
		{"Recipients", recipients()},
		{"Content encryption", contents()},
		{"Both", both()},
	}
}

func forms() []row {
	return []row{
		{name: "signed, detached", forms: [][]Recipe{{{Detached: true, Signers: []Signer{rsa}}}}},
		{name: "signed, opaque, DER", forms: [][]Recipe{{{Signers: []Signer{rsa}}}}, encoding: true},
		{name: "signed, opaque, BER", forms: [][]Recipe{{{Signers: []Signer{rsa}, BER: true}}}, encoding: true, theirs: true},
		{name: "encrypted, DER", forms: [][]Recipe{{{Type: Encrypted, Cipher: "AES-256-CBC", To: []Recipient{{Who: "rsa"}}}}}, encoding: true},
		{name: "encrypted, BER", forms: [][]Recipe{{{Type: Encrypted, Cipher: "AES-256-CBC", To: []Recipient{{Who: "rsa"}}, BER: true}}}, encoding: true},
		{name: "certificates alone (certs-only)", forms: [][]Recipe{{{Type: CertsOnly, Signers: []Signer{rsa, p256}}}}},
		{name: "CompressedData", forms: [][]Recipe{{{Type: Compressed}}}},
		{name: "DigestedData", forms: [][]Recipe{{{Type: Digested, Signers: []Signer{rsa}}}}, theirs: true},
	}
}

func signatures() []row {
	var all []row
	for _, pss := range []bool{false, true} {
		for _, d := range []string{"SHA-256", "SHA-384", "SHA-512"} {
			scheme := map[bool]string{false: "PKCS #1 v1.5", true: "PSS"}[pss]
			all = append(all, signed(fmt.Sprintf("RSA-2048, %s, %s", scheme, d), Signer{Who: "rsa", Digest: d, PSS: pss}))
		}
	}
	for _, curve := range []string{"P-256", "P-384", "P-521"} {
		who := "p" + curve[2:]
		for _, d := range []string{"SHA-256", "SHA-384", "SHA-512"} {
			all = append(all, signed(fmt.Sprintf("ECDSA %s, %s", curve, d), Signer{Who: who, Digest: d}))
		}
	}
	return append(all,
		signed("Ed25519", Signer{Who: "ed25519", Digest: "SHA-512"}),
		signed("ML-DSA-44", Signer{Who: "mldsa44", Digest: "SHA-512"}).onlyRecent(),
		signed("ML-DSA-65", Signer{Who: "mldsa65", Digest: "SHA-512"}).onlyRecent(),
		signed("ML-DSA-87", Signer{Who: "mldsa87", Digest: "SHA-512"}).onlyRecent(),
		signed("RSA, named by key identifier", Signer{Who: "rsa", Digest: "SHA-256", KeyID: true}),
		signed("P-256, named by key identifier", Signer{Who: "p256", Digest: "SHA-256", KeyID: true}),
		signed("two signers, RSA and P-256", rsa, p256),
	)
}

func oldSignatures() []row {
	variant := func(name string, change func(*Recipe)) row {
		r := signed(name, rsa)
		for _, f := range r.forms {
			change(&f[0])
		}
		return r.onlyTheirs()
	}
	return []row{
		variant("without signed attributes", func(r *Recipe) { r.Bare = true }),
		variant("without the signer's certificate", func(r *Recipe) { r.NoCertificates = true }),
		signed("SHA-224", Signer{Who: "rsa", Digest: "SHA-224"}).onlyTheirs(),
		signed("SHA3-256", Signer{Who: "rsa", Digest: "SHA3-256"}).onlyTheirs(),
		signed("SHA3-384", Signer{Who: "rsa", Digest: "SHA3-384"}).onlyTheirs(),
		signed("SHA3-512, P-256", Signer{Who: "p256", Digest: "SHA3-512"}).onlyTheirs(),
		signed("ML-DSA-65, SHAKE256", Signer{Who: "mldsa65", Digest: "SHAKE256"}).onlyTheirs().onlyRecent(),
		signed("SHA-1", Signer{Who: "rsa", Digest: "SHA-1"}).found(cms.ErrWeak),
		signed("SHA-1, PSS", Signer{Who: "rsa", Digest: "SHA-1", PSS: true}).found(cms.ErrWeak),
		signed("RSA-1024", Signer{Who: "rsa1024", Digest: "SHA-256"}).found(cms.ErrWeak),
		signed("DSA-1024", Signer{Who: "dsa", Digest: "SHA-256"}).found(cms.ErrWeak),
		signed("MD5", Signer{Who: "rsa", Digest: "MD5"}).found(cms.ErrUnsupported),
	}
}

func recipients() []row {
	all := []row{to("RSA, PKCS #1 v1.5", Recipient{Who: "rsa"})}
	for _, h := range []string{"SHA-1", "SHA-256", "SHA-384", "SHA-512"} {
		all = append(all, to("RSA, OAEP, "+h, Recipient{Who: "rsa", OAEP: h, MGF: h}))
	}
	return append(all,
		to("RSA, OAEP, SHA-256 with MGF SHA-1", Recipient{Who: "rsa", OAEP: "SHA-256", MGF: "SHA-1"}),
		to("RSA, OAEP, SHA-512 with MGF SHA-256", Recipient{Who: "rsa", OAEP: "SHA-512", MGF: "SHA-256"}),
		to("RSA, named by key identifier", Recipient{Who: "rsa", KeyID: true}),
		to("ECDH P-256", Recipient{Who: "p256"}),
		to("ECDH P-384", Recipient{Who: "p384"}),
		to("ECDH P-521", Recipient{Who: "p521"}),
		to("ECDH P-256, named by key identifier", Recipient{Who: "p256", KeyID: true}),
		to("ECDH P-256, key derived with SHA-1", Recipient{Who: "p256", KDF: "SHA-1"}).onlyTheirs(),
		to("ECDH P-384, key derived with SHA-256", Recipient{Who: "p384", KDF: "SHA-256"}).onlyTheirs(),
		to("ECDH P-256 with cofactor", Recipient{Who: "p256", KDF: "SHA-256", Cofactor: true}).onlyTheirs(),
		to("X25519", Recipient{Who: "x25519"}),
		to("ML-KEM-768", Recipient{Who: "mlkem768"}).onlyRecent(),
		to("ML-KEM-1024", Recipient{Who: "mlkem1024"}).onlyRecent(),
		to("password", Recipient{Password: "correct-horse"}),
		to("two, both RSA", Recipient{Who: "rsa"}, Recipient{Who: "other"}),
		to("two, P-256 and P-384", Recipient{Who: "p256"}, Recipient{Who: "p384"}),
		to("two, RSA and P-256", Recipient{Who: "rsa"}, Recipient{Who: "p256"}),
		to("three, RSA, P-256 and password", Recipient{Who: "rsa"}, Recipient{Who: "p256"}, Recipient{Password: "correct-horse"}),
	)
}

func contents() []row {
	ours := []string{"AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"}
	theirs := []string{"3DES-CBC", "AES-192-GCM", "AES-128-CCM", "AES-192-CCM", "AES-256-CCM"}
	var all []row
	for _, c := range slices.Concat(ours, theirs) {
		r := encrypted(c, c, Recipient{Who: "rsa"})
		r.theirs, r.cipher = slices.Contains(theirs, c), true
		all = append(all, r)
	}
	misplaced := func(cipher string) row {
		r := encrypted(cipher+" in EnvelopedData, by option", cipher, Recipient{Who: "rsa"})
		r.cipher = true
		for _, f := range r.forms {
			f[0].Misplaced = true
		}
		return r.onlyTheirs()
	}
	return append(all,
		misplaced("AES-256-GCM"), misplaced("ChaCha20-Poly1305"),
		encrypted("AES-128-GCM for P-256", "AES-128-GCM", Recipient{Who: "p256"}),
		encrypted("AES-256-GCM for RSA and P-256", "AES-256-GCM", Recipient{Who: "rsa"}, Recipient{Who: "p256"}),
		encrypted("AES-256-GCM for ML-KEM-768", "AES-256-GCM", Recipient{Who: "mlkem768"}).onlyRecent(),
	)
}

// both are mails that are signed and encrypted.
func both() []row {
	clear := Recipe{Detached: true, Signers: []Signer{rsa}}
	opaque := Recipe{Signers: []Signer{p256}}
	cbc := Recipe{Type: Encrypted, Cipher: "AES-256-CBC", To: []Recipient{{Who: "rsa"}}}
	gcm := Recipe{Type: Encrypted, Cipher: "AES-256-GCM", To: []Recipient{{Who: "rsa"}}}
	ec := Recipe{Type: Encrypted, Cipher: "AES-128-CBC", To: []Recipient{{Who: "p256"}}}
	return []row{
		{name: "signed (RSA, detached), encrypted (RSA, AES-256-CBC)", forms: [][]Recipe{{clear, cbc}}},
		{name: "signed (P-256, opaque), encrypted (RSA, AES-256-GCM)", forms: [][]Recipe{{opaque, gcm}}},
		{name: "signed (P-256, opaque), encrypted (P-256, AES-128-CBC)", forms: [][]Recipe{{opaque, ec}}},
		{name: "triple: signed (RSA, detached), encrypted (RSA, AES-256-CBC), signed (RSA, detached)", forms: [][]Recipe{{clear, cbc, clear}}},
		{name: "triple: signed (P-256, opaque), encrypted (RSA, AES-256-CBC), signed (P-256, opaque)", forms: [][]Recipe{{opaque, cbc, opaque}}},
	}
}
