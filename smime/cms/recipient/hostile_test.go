package recipient

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"io"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/mlkemkey"
	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/keywrap"
	"mailseal/smime/cms/syntax"
)

// element returns the DER of one element around parts.
func element(tag der.Tag, parts ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) })
	return b.BytesOrPanic()
}

// swap replaces octets that occur just once in an info by as many others.
func swap(t *testing.T, info, old, new []byte) []byte {
	t.Helper()
	if bytes.Count(info, old) != 1 || len(old) != len(new) {
		t.Fatalf("%x occurs %d times", old, bytes.Count(info, old))
	}
	return bytes.Replace(info, old, new, 1)
}

// A counter is a private key that counts how often it is used.
type counter struct {
	*rsa.PrivateKey
	used *int
}

func (c counter) Decrypt(rand io.Reader, msg []byte, o crypto.DecrypterOpts) ([]byte, error) {
	*c.used++
	return c.PrivateKey.Decrypt(rand, msg, o)
}

var otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// stranger is a key of the same sort as k, under k's name.
func stranger(k Key) Key {
	other := Key{Certificate: k.Certificate}
	switch key := k.Private.(type) {
	case *rsa.PrivateKey:
		other.Private = otherRSA()
	case *ecdsa.PrivateKey:
		other.Private = must(ecdsa.GenerateKey(key.Curve, rand.Reader))
	case *ecdh.PrivateKey:
		other.Private = must(key.Curve().GenerateKey(rand.Reader))
	case *mlkem.DecapsulationKey768:
		other.Private = must(mlkem.GenerateKey768())
	case *mlkem.DecapsulationKey1024:
		other.Private = must(mlkem.GenerateKey1024())
	}
	return other
}

// TestUniformFailure: for a wrong key, a broken ciphertext, a key of another length and whatever else a forger can try there
// is a random key, no error, and the private key was used as often as for a good mail (RFC 3218).
func TestUniformFailure(t *testing.T) {
	cek := make([]byte, 32)
	rand.Read(cek)
	for _, s := range sorts() {
		good := must(s.to.Wrap(rand.Reader, cek))
		short := must(s.to.Wrap(rand.Reader, cek[:16]))
		broken := bytes.Clone(good)
		broken[len(broken)-1] ^= 1
		ours := s.key
		used := 0
		if key, ok := ours.Private.(*rsa.PrivateKey); ok {
			ours.Private = counter{key, &used}
		}
		cases := map[string]struct {
			info []byte
			key  Key
		}{"broken": {broken, ours}, "of another length": {short, ours}, "wrong key": {good, stranger(s.key)}}
		if got, err := must(Parse(good)).Unwrap(ours, 32); err != nil || !bytes.Equal(got, cek) {
			t.Fatalf("%s: got %x, %v", s.name, got, err)
		}
		once := used
		for name, c := range cases {
			used = 0
			i := must(Parse(c.info))
			if !i.For(c.key) {
				t.Fatalf("%s, %s: not for the key", s.name, name)
			}
			a, errA := i.Unwrap(c.key, 32)
			first := used
			b, errB := i.Unwrap(c.key, 32)
			if errA != nil || errB != nil || len(a) != 32 || len(b) != 32 {
				t.Errorf("%s, %s: got %x, %v and %x, %v", s.name, name, a, errA, b, errB)
			}
			if bytes.Equal(a, cek) || bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 32)) || bytes.HasPrefix(a, cek[:8]) {
				t.Errorf("%s, %s: %x and %x are not random", s.name, name, a, b)
			}
			if _, ok := c.key.Private.(counter); ok && first != once {
				t.Errorf("%s, %s: key used %d times, for a good mail %d", s.name, name, first, once)
			}
		}
	}
}

// TestPublicFailure: what everybody can see is said.
func TestPublicFailure(t *testing.T) {
	cek := make([]byte, 32)
	wrapped := map[Kind][]byte{}
	keys := map[Kind]Key{Password: {Password: []byte("x")}}
	for _, s := range sorts() {
		wrapped[s.kind], keys[s.kind] = must(s.to.Wrap(rand.Reader, cek)), s.key
	}
	wrapped[Password] = must(To{Password: []byte("x"), Rounds: 70_000}.Wrap(rand.Reader, cek))
	rsaInfo := must(sorts()[0].to.Wrap(rand.Reader, cek))
	aes256wrap := oid(wraps[2].oid)
	other := func(o []byte) []byte { return append(bytes.Clone(o[:len(o)-1]), o[len(o)-1]^0x40) }
	roundsDER := must(asn1.Marshal(70_000))
	for _, test := range []struct {
		name     string
		info     []byte
		key      Key
		old, new []byte
	}{
		{"transport algorithm", rsaInfo, sorts()[0].key, oid(oidRSA), other(oid(oidRSA))},
		{"transport parameters", rsaInfo, sorts()[0].key, append(oid(oidRSA), 5, 0), append(oid(oidRSA), 4, 0)},
		{"OAEP without parameters", rsaInfo, sorts()[0].key, oid(oidRSA), oid(oidOAEP)},
		{"OAEP digest", wrapped[KeyTransport], keys[KeyTransport], append([]byte{0xa0, 15, 0x30, 13}, oid(syntax.SHA512)...), append([]byte{0xa0, 15, 0x30, 13}, other(oid(syntax.SHA512))...)},
		{"agreement scheme", wrapped[KeyAgreement], keys[KeyAgreement], oid(schemes[10].oid), other(oid(schemes[10].oid))},
		{"agreement wrap", wrapped[KeyAgreement], keys[KeyAgreement], aes256wrap, other(aes256wrap)},
		{"KEM", wrapped[KEM], keys[KEM], oid(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}), oid(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1})},
		{"KEM derivation", wrapped[KEM], keys[KEM], oid(oidHKDFSHA256), other(oid(oidHKDFSHA256))},
		{"KEM wrap", wrapped[KEM], keys[KEM], aes256wrap, other(aes256wrap)},
		{"KEM length", wrapped[KEM], keys[KEM], []byte{2, 1, 32, 0x30, 11}, []byte{2, 1, 16, 0x30, 11}},
		{"password wrap", wrapped[Password], keys[Password], oid(oidPWRI), other(oid(oidPWRI))},
		{"password cipher", wrapped[Password], keys[Password], oid(ciphers[0].oid), other(oid(ciphers[0].oid))},
		{"password derivation", wrapped[Password], keys[Password], oid(oidPBKDF2), other(oid(oidPBKDF2))},
		{"password MAC", wrapped[Password], keys[Password], oid(oidHMACSHA256), other(oid(oidHMACSHA256))},
		{"no rounds", wrapped[Password], keys[Password], roundsDER, []byte{2, 3, 0xff, 0, 0}},
		{"too many rounds", wrapped[Password], keys[Password], roundsDER, []byte{2, 3, 0x7f, 0xff, 0xff}},
	} {
		i := must(Parse(swap(t, test.info, test.old, test.new)))
		if got, err := i.Unwrap(test.key, 32); !errors.Is(err, ErrUnsupported) || got != nil {
			t.Errorf("%s: got %x, %v", test.name, got, err)
		}
	}
	for kind, info := range wrapped { // untouched
		if got, err := must(Parse(info)).Unwrap(keys[kind], 32); err != nil || !bytes.Equal(got, cek) {
			t.Errorf("%s: got %x, %v", kind, got, err)
		}
	}
	i := must(Parse(rsaInfo))
	for _, n := range []int{-1, 0, 8, 15, 65, 1 << 30} {
		if _, err := i.Unwrap(sorts()[0].key, n); !errors.Is(err, ErrUnsupported) {
			t.Errorf("key of %d octets: got %v", n, err)
		}
	}
	if _, err := i.Unwrap(keys[KEM], 32); !errors.Is(err, ErrUnsupported) {
		t.Errorf("key of somebody else: got %v", err)
	}
}

// agreementInfo makes a kari of any form for the first of sorts that has key agreement.
func agreementInfo(originator, ukm []byte, wrap []byte, scheme asn1.ObjectIdentifier, keys ...[]byte) []byte {
	return element(syntax.Explicit(1), []byte{2, 1, 3}, element(syntax.Explicit(0), originator), ukm, syntax.Algorithm(scheme, wrap), element(der.SEQUENCE, keys...))
}

// TestAgreementForms reads what Wrap does not write: several recipients, ukm, compressed points, any scheme, a date beside the
// key identifier, a curve that is named, static keys of the sender.
func TestAgreementForms(t *testing.T) {
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ours, theirs := person(1, private), person(2, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	ephemeral := must(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).ECDH())
	point := ephemeral.PublicKey().Bytes()
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	z := must(ephemeral.ECDH(must(private.ECDH()).PublicKey()))
	ukm := []byte("something said beside")
	wrap := syntax.Algorithm(wraps[0].oid, asn1.NullBytes)
	cek := bytes.Repeat([]byte{7}, 16)

	key := func(id []byte, wrapped []byte) []byte {
		return element(der.SEQUENCE, id, element(der.OCTET_STRING, wrapped))
	}
	named := func(k Key) []byte {
		return element(der.SEQUENCE, k.Certificate.RawIssuer, must(asn1.Marshal(k.Certificate.SerialNumber)))
	}
	dated := element(syntax.Explicit(0), element(der.OCTET_STRING, ours.Certificate.SubjectKeyId),
		element(der.GeneralizedTime, []byte("20260101000000Z")), element(der.SEQUENCE, oid(oidRSA)))
	originator := func(point, parameters []byte) []byte {
		return element(syntax.Explicit(1), syntax.Algorithm(oidEC, parameters), element(der.BIT_STRING, []byte{0}, point))
	}
	p256 := must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}))
	for _, scheme := range schemes {
		for _, form := range []struct{ salt, ukm []byte }{{nil, nil}, {ukm, ukm}, {nil, ukm}} {
			ukm := form.ukm
			kek := must(scheme.derive(z, form.salt, ukm, wrap, 16))
			wrapped := must(keywrap.Wrap(kek, cek))
			var tagged []byte
			if ukm != nil {
				tagged = element(syntax.Explicit(1), element(der.OCTET_STRING, ukm))
			}
			for name, info := range map[string][]byte{
				"one":        agreementInfo(originator(point, nil), tagged, wrap, scheme.oid, key(named(ours), wrapped)),
				"second":     agreementInfo(originator(point, asn1.NullBytes), tagged, wrap, scheme.oid, key(named(theirs), marked(24)), key(named(ours), wrapped)),
				"dated":      agreementInfo(originator(point, p256), tagged, wrap, scheme.oid, key(dated, wrapped), key(named(theirs), marked(24))),
				"compressed": agreementInfo(originator(compressed, p256), tagged, wrap, scheme.oid, key(named(ours), wrapped)),
			} {
				i := must(Parse(info))
				if got, err := i.Unwrap(ours, 16); err != nil || !bytes.Equal(got, cek) {
					t.Errorf("%s, %v: got %x, %v", name, scheme.oid, got, err)
				}
				if got, err := i.Unwrap(theirs, 16); i.For(theirs) != (len(i.Recipients) == 2) || bytes.Equal(got, cek) || (err == nil) != i.For(theirs) {
					t.Errorf("%s, %v: somebody else got %x, %v", name, scheme.oid, got, err)
				}
			}
		}
	}
	for name, static := range map[string][]byte{"certificate": named(theirs), "key identifier": element(syntax.Context0, []byte("id"))} {
		i := must(Parse(agreementInfo(static, nil, wrap, schemes[2].oid, key(named(ours), marked(24)))))
		if _, err := i.Unwrap(ours, 16); !errors.Is(err, ErrUnsupported) {
			t.Errorf("sender's %s: got %v", name, err)
		}
	}
	for name, point := range map[string][]byte{
		"infinity": {0, 0}, "not on the curve": append([]byte{4}, marked(64)...), "short": point[:64], "of X25519": marked(32), "compressed beyond": append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...),
	} {
		i := must(Parse(agreementInfo(originator(point, nil), nil, wrap, schemes[2].oid, key(named(ours), marked(24)))))
		if got, err := i.Unwrap(ours, 16); err != nil || len(got) != 16 {
			t.Errorf("point %s: got %x, %v; a failure must look like any other", name, got, err)
		}
	}
}

// TestKnownSecrets: a forger who need not know our key, as every key makes the same of what he sends, gets no plaintext accepted.
func TestKnownSecrets(t *testing.T) {
	private := must(ecdh.X25519().GenerateKey(rand.Reader))
	k := person(1, private)
	cek := bytes.Repeat([]byte{7}, 32)
	wrap := syntax.Algorithm(wraps[2].oid, nil)
	id := element(der.SEQUENCE, k.Certificate.RawIssuer, must(asn1.Marshal(k.Certificate.SerialNumber)))
	one := append([]byte{1}, make([]byte, 31)...)
	order8 := unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
	for _, point := range [][]byte{make([]byte, 32), one, order8} { // of low order (RFC 7748 section 6.1)
		for _, scheme := range schemes {
			kek := must(scheme.derive(make([]byte, 32), nil, nil, wrap, 32))
			wrapped := element(der.SEQUENCE, id, element(der.OCTET_STRING, must(keywrap.Wrap(kek, cek))))
			originator := element(syntax.Explicit(1), syntax.Algorithm(oidX25519, nil), element(der.BIT_STRING, []byte{0}, point))
			i := must(Parse(agreementInfo(originator, nil, wrap, scheme.oid, wrapped)))
			if got, err := i.Unwrap(k, 32); err != nil || len(got) != 32 || bytes.Equal(got, cek) {
				t.Errorf("point %x, %v: %x, %v", point, scheme.oid, got, err)
			}
		}
	}
	for _, set := range []crypto.Decapsulator{must(mlkem.GenerateKey768()), must(mlkem.GenerateKey1024())} {
		k := person(2, set)
		size := 0
		for _, n := range []int{0, 1, 32, 768, 1087, 1088, 1089, 1567, 1568, 1569, 4096} {
			e := encapsulated{ciphertext: make([]byte, n)}
			e.kem.Algorithm, e.derivation.Algorithm, e.wrap.Algorithm, e.kekLength = mlkemkey.OID(set.Encapsulator()), oidHKDFSHA256, wraps[2].oid, 32
			kek := must(named{hash: crypto.SHA256}.deriveKEM(make([]byte, 32), nil, wrap, 32))
			e.key = must(keywrap.Wrap(kek, cek))
			got := make([]byte, 32)
			if err := e.open(k, 0, got); err != nil || !bytes.Equal(got, make([]byte, 32)) {
				t.Errorf("ciphertext of %d octets: %x, %v", n, got, err)
			}
			if _, err := set.Decapsulate(e.ciphertext); err == nil {
				size = n
			}
		}
		if size == 0 {
			t.Error("no ciphertext had the right size")
		}
	}
}

// TestParse: what is malformed is said to be; what is of a kind from the future is for nobody.
func TestParse(t *testing.T) {
	kinds := map[Kind][]byte{Password: must(To{Password: []byte("x"), Rounds: 70_000}.Wrap(rand.Reader, make([]byte, 16)))}
	for _, s := range sorts() {
		kinds[s.kind] = must(s.to.Wrap(rand.Reader, make([]byte, 16)))
	}
	for kind, info := range kinds {
		for n := range info {
			if i, err := Parse(info[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut at %d of %d: got %v, %v", kind, n, len(info), i, err)
			}
		}
		if _, err := Parse(append(bytes.Clone(info), 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s with more behind: got %v", kind, err)
		}
		var body cryptobyte.String
		var tag der.Tag
		s := cryptobyte.String(info)
		s.ReadAnyASN1(&body, &tag)
		if _, err := Parse(element(tag, body, []byte{5, 0})); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s with more inside: got %v", kind, err)
		}
		if i, err := Parse(indefinite(tag, body)); err != nil || i.Kind != kind {
			t.Errorf("%s of indefinite length: got %v, %v", kind, i, err)
		}
	}
	for name, test := range map[string]struct {
		info []byte
		kind Kind
	}{
		"a kind to come":     {element(syntax.Explicit(5), []byte{1, 1, 0xff}), Unknown},
		"other of no type":   {element(syntax.Explicit(4), oid(oidRSA), []byte{5, 0}), Other},
		"other of long type": {element(syntax.Explicit(4), element(der.OBJECT_IDENTIFIER, marked(200)), []byte{5, 0}), Other},
	} {
		i, err := Parse(test.info)
		if err != nil || i.Kind != test.kind {
			t.Errorf("%s: got %v, %v", name, i, err)
			continue
		}
		for _, s := range sorts() {
			if i.For(s.key) || i.For(Key{Password: []byte("x")}) {
				t.Errorf("%s is for %s", name, s.name)
			}
		}
	}
	for name, info := range map[string][]byte{
		"nothing": {}, "other without value": element(syntax.Explicit(4), oid(oidRSA)), "large": element(der.SEQUENCE, make([]byte, maxInfo)),
		"deep": bytes.Repeat([]byte{0x30, 0x80}, 1000), "empty": {0x30, 0}, "empty kari": {0xa1, 0},
	} {
		if i, err := Parse(info); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, %v", name, i, err)
		}
	}
}

// indefinite encodes an element as BER of indefinite length.
func indefinite(tag der.Tag, body []byte) []byte {
	return append(append([]byte{byte(tag), 0x80}, body...), 0, 0)
}

// TestPasswordSizes: the shape of what is wrapped is checked before it is touched.
func TestPasswordSizes(t *testing.T) {
	block := must(aes.NewCipher(make([]byte, 16)))
	for n := range 400 {
		cek := marked(32)
		unwrapCBC(block, make([]byte, 16), make([]byte, n), cek)
		if !bytes.Equal(cek, marked(32)) {
			t.Errorf("%d octets make a key", n)
		}
	}
	for n := minCEK; n <= maxCEK; n++ {
		cek, got := bytes.Repeat([]byte{byte(n)}, n), make([]byte, n)
		unwrapCBC(block, make([]byte, 16), wrapCBC(block, make([]byte, 16), cek, make([]byte, 16)), got)
		if !bytes.Equal(got, cek) {
			t.Errorf("key of %d octets is lost", n)
		}
	}
}

// FuzzParse: nothing that is read brings anything down, the DER of what is read means the same, and a key of the length
// asked for comes out or the reason why not.
func FuzzParse(f *testing.F) {
	var keys []Key
	for _, s := range sorts() {
		f.Add(must(s.to.Wrap(rand.Reader, make([]byte, 32))))
		keys = append(keys, s.key)
	}
	f.Add(must(To{Password: []byte("x"), Rounds: 70_000}.Wrap(rand.Reader, make([]byte, 16))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		i, err := Parse(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || i != nil {
				t.Fatalf("got %v, %v", i, err)
			}
			return
		}
		again, err := Parse(must(ber.DER(bytes.Clone(raw), ber.Limits{})))
		if err != nil || again.Kind != i.Kind || len(again.Recipients) != len(i.Recipients) {
			t.Fatalf("as DER it is %v, %v; was %v", again, err, i)
		}
		for _, k := range keys {
			if !i.For(k) {
				continue
			}
			if cek, err := i.Unwrap(k, 32); err == nil && len(cek) != 32 || err != nil && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("got %x, %v", cek, err)
			}
		}
	})
}
