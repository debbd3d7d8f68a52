package smime_test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/test/hostile"
)

// What any answer may cost. A hundred milliseconds are the goal, which
// BenchmarkHostile measures; the test only tells a hang from work on a busy
// machine.
const (
	mostMemory = 64 << 20
	mostTime   = 2 * time.Second
)

// An attack is a mail that somebody sends to do harm.
type attack struct {
	name string
	mail string // with LF
}

// attacker makes them, with the certificate of bob and a key of their own.
type attacker struct {
	testing.TB
	bob    holder
	signer cms.Signer
}

func newAttacker(t testing.TB) attacker {
	p := testpki.NewAt(t, fixed)
	mallory := p.User("mallory@evil.example", ca.P256)
	return attacker{t, bob(p), cms.Signer{Certificate: mallory.Certificate, Key: mallory.Key}}
}

// part is an entity with a CMS object as it is, or in base64.
func part(der []byte, binary bool) string {
	const field = "Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: "
	if binary {
		return field + "binary\n\n" + string(der)
	}
	return field + "base64\n\n" + base64.StdEncoding.EncodeToString(der) + "\n"
}

func (a attacker) encrypted(plaintext string, to ...recipient.To) []byte {
	var out bytes.Buffer
	if err := cms.Encrypt(&out, strings.NewReader(plaintext), int64(len(plaintext)), cms.Encryption{To: to, Cipher: content.AES256CBC}); err != nil {
		a.Fatal(err)
	}
	return out.Bytes()
}

func (a attacker) compressed(plain io.Reader) []byte {
	var out bytes.Buffer
	if err := cms.Compress(&out, plain); err != nil {
		a.Fatal(err)
	}
	return out.Bytes()
}

func (a attacker) signed(plain string) []byte {
	prefix, suffix, err := cms.SignOpaque(strings.NewReader(plain), int64(len(plain)), a.signer)
	if err != nil {
		a.Fatal(err)
	}
	return slices.Concat(prefix, []byte(plain), suffix)
}

// places are where a shape may stand: in a mail, inside of each kind of layer,
// and where an object goes on that began well.
func (a attacker) places() map[string]func(shape []byte) string {
	cut := errors.New("cut off")
	var ciphertext, deflated bytes.Buffer
	for what, err := range map[string]error{
		"encryption":  cms.Encrypt(&ciphertext, iotest.ErrReader(cut), -1, cms.Encryption{To: []recipient.To{a.bob.to}, Cipher: content.AES256GCM}),
		"compression": cms.Compress(&deflated, iotest.ErrReader(cut)),
	} {
		if !errors.Is(err, cut) {
			a.Fatalf("%s is not cut off: %v", what, err)
		}
	}
	if ciphertext.Len() == 0 || deflated.Len() == 0 {
		a.Fatal("nothing to go on from")
	}
	return map[string]func([]byte) string{
		"mail":       func(s []byte) string { return part(s, false) },
		"encrypted":  func(s []byte) string { return part(a.encrypted(part(s, true), a.bob.to), false) },
		"compressed": func(s []byte) string { return part(a.compressed(strings.NewReader(part(s, true))), false) },
		"signed":     func(s []byte) string { return part(a.signed(part(s, true)), false) },
		"ciphertext": func(s []byte) string { return part(slices.Concat(ciphertext.Bytes(), s), false) },
		"zlib":       func(s []byte) string { return part(slices.Concat(deflated.Bytes(), s), false) },
		"detached": func(s []byte) string {
			return multipartSigned(p7sParams, "Content-Type: text/plain\n\nx\n", p7sType, s, end)
		},
	}
}

// shapes calls f with each shape in each place; they are too large to have all
// at once. Under the race detector the long ones are for one place.
func (a attacker) shapes(slower int, f func(attack)) {
	shapes := hostile.Shapes(slower)
	for place, put := range a.places() {
		for _, s := range shapes {
			if slower > 1 && len(s.Bytes) > 200 && place != "encrypted" {
				continue
			}
			f(attack{s.Name + ", " + place, put(s.Bytes)})
		}
	}
}

// bombs are mails that are right in themselves, and too much.
func (a attacker) bombs(slower int) (list []attack) {
	add := func(name, mail string) { list = append(list, attack{name, mail}) }
	const text = "Content-Type: text/plain\n\nx\n"
	wrap := func(layers int, layer func(string) []byte) string {
		mail := text
		for range layers {
			mail = part(layer(mail), true)
		}
		return mail
	}
	encrypt := func(mail string) []byte { return a.encrypted(mail, a.bob.to) }
	compress := func(mail string) []byte { return a.compressed(strings.NewReader(mail)) }
	add("200 layers of encryption", wrap(200, encrypt))
	add("200 layers of compression", wrap(200, compress))
	add("200 layers of signatures", wrap(200, a.signed))
	turn := 0
	add("200 layers by turns", wrap(200, func(mail string) []byte {
		turn++
		return []func(string) []byte{encrypt, compress, a.signed}[turn%3](mail)
	}))
	other := newAttacker(a).bob.to
	for name, to := range map[string]recipient.To{"2,000 times our name": a.bob.to, "2,000 times another name": other} {
		add(name, part(a.encrypted(text, slices.Repeat([]recipient.To{to}, 2000)...), false))
	}
	add("3,000 recipients", part(a.encrypted(text, slices.Repeat([]recipient.To{other}, 3000)...), false))

	zeros := func(n int64) io.Reader { return io.LimitReader(zero{}, n/int64(slower)) }
	bomb := a.compressed(io.MultiReader(strings.NewReader("Content-Type: text/plain\n\n"), zeros(100<<20)))
	add("100 MB in 100 KB", part(bomb, false))
	add("100 MB in 100 KB, encrypted", part(encrypt(part(bomb, true)), false))
	add("100 MB in 100 KB, twice", part(compress(part(bomb, true)), false))

	const levels = 10_000
	deep := strings.Repeat("Content-Type: multipart/mixed; boundary=b\n\n--b\n", levels) + text
	add("10,000 levels of multipart", deep)
	add("10,000 levels of multipart, encrypted", part(encrypt(deep), false))
	different := &strings.Builder{}
	for i := range levels {
		fmt.Fprintf(different, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	add("10,000 boundaries", different.String()+text)
	add("10,000 levels of message", strings.Repeat("Content-Type: message/rfc822\n\n", levels)+text)
	many := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 100_000) + "--b--\n"
	add("100,000 parts", many)
	add("100,000 parts, encrypted", part(encrypt(many), false))
	objects := strings.Repeat("--b\n"+part(compress(text), false), 2_000)
	add("2,000 objects", "Content-Type: multipart/mixed; boundary=b\n\n"+objects+"--b--\n")
	parameters := strings.Repeat(";\n x=y", 1_000_000/6)
	add("a megabyte of parameters", "Content-Type: application/pkcs7-mime"+parameters+"\n\nx\n")
	add("a megabyte of parameters, encrypted", part(encrypt("Content-Type: application/pkcs7-mime"+parameters+"\n\nx\n"), false))
	add("9,000 fields", strings.Repeat("Content-Type: application/pkcs7-mime\n", 9_000)+"\nx\n")
	for name, n := range map[string]int{"64": 64, "65": 65, "100,000": 100_000} {
		add(name+" attributes", part(a.repeated(n), false))
	}
	return list
}

// zero is a file of zeros without end.
type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// repeated is a signature whose first attribute is there n times.
func (a attacker) repeated(n int) []byte {
	var oid, outer, inner, signedData, signers, signer, attributes, first cryptobyte.String
	object := cryptobyte.String(a.signed("x"))
	explicit := der.Tag(0).ContextSpecific().Constructed()
	var version, id, algorithm, rest cryptobyte.String
	var start cryptobyte.String
	ok := object.ReadASN1(&outer, der.SEQUENCE) && outer.ReadASN1Element(&oid, der.OBJECT_IDENTIFIER) && outer.ReadASN1(&inner, explicit) &&
		inner.ReadASN1(&signedData, der.SEQUENCE)
	body := signedData
	ok = ok && signedData.SkipASN1(der.INTEGER) && signedData.SkipASN1(der.SET) && signedData.SkipASN1(der.SEQUENCE) && signedData.SkipASN1(explicit)
	start = body[:len(body)-len(signedData)]
	ok = ok && signedData.ReadASN1(&signers, der.SET) && signers.ReadASN1(&signer, der.SEQUENCE) &&
		signer.ReadASN1Element(&version, der.INTEGER) && signer.ReadASN1Element(&id, der.SEQUENCE) && signer.ReadASN1Element(&algorithm, der.SEQUENCE) &&
		signer.ReadASN1(&attributes, explicit) && attributes.ReadASN1Element(&first, der.SEQUENCE)
	if rest = signer; !ok {
		a.Fatal("signature not taken apart")
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(oid)
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(start)
				b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(slices.Concat(version, id, algorithm))
						b.AddASN1(explicit, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Repeat(first, n)) })
						b.AddBytes(rest)
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}

// cost is what the dearest of the three commands took.
type cost struct {
	name, by string
	time     time.Duration
	work     time.Duration // of the processors
	memory   uint64        // of all three, given back or not
}

func (c cost) String() string {
	return fmt.Sprintf("%-56s %-8s %6.0f ms of work, %6.0f ms in all, %6.1f MB", c.name, c.by, c.work.Seconds()*1000, c.time.Seconds()*1000, float64(c.memory)/(1<<20))
}

// answer runs all that is done with a mail from outside. There is an answer to
// every mail: never a good signature, never an error that is no fault of the
// mail, and what is opened is closed.
func (a attacker) answer(t testing.TB, s *spool.Store, what attack) (worst cost) {
	t.Helper()
	worst.name = what.name
	m, err := message.Read(strings.NewReader("From: mallory@evil.example\nMIME-Version: 1.0\n"+what.mail), s, message.Limits{})
	if err != nil {
		if !blamesMail(err) {
			t.Errorf("%s: %v", what.name, err)
		}
		return worst
	}
	defer m.Body.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for by, read := range map[string]func() error{
		"Verify": func() error {
			r, err := smime.Verify(m, smime.VerifyOptions{Spool: s})
			if err == nil && r.Kind.Signed() && good(r) && !strings.Contains(what.name, "sign") && !strings.Contains(what.name, "turns") {
				t.Errorf("%s: taken for signed: %s", what.name, describe(r))
			}
			return err
		},
		"Decrypt": func() error {
			edits, _, err := smime.Decrypt(m, smime.DecryptOptions{Spool: s, Keys: recipient.List{a.bob.key}})
			message.Verdict{Edits: edits}.Close()
			return err
		},
		"Inspect": func() error {
			_, err := smime.Inspect(m, smime.InspectOptions{Spool: s})
			return err
		},
	} {
		start, worked := time.Now(), processor()
		err := read()
		took, work := time.Since(start), processor()-worked
		if !blamesMail(err) {
			t.Errorf("%s: %s: %v", what.name, by, err)
		}
		if work > worst.work {
			worst.work, worst.by = work, by
		}
		worst.time = max(worst.time, took)
	}
	runtime.ReadMemStats(&after)
	worst.memory = after.TotalAlloc - before.TotalAlloc
	return worst
}

// blamesMail reports whether an error says what is wrong with the mail, and not
// with us.
func blamesMail(err error) bool {
	var problem *smime.Problem
	var limit *message.LimitError
	return err == nil || errors.As(err, &problem) || errors.As(err, &limit) ||
		errors.Is(err, smime.ErrNotEncrypted) || errors.Is(err, smime.ErrNoRecipient) || errors.Is(err, smime.ErrDecrypt)
}

func TestHostile(t *testing.T) {
	a, s := newAttacker(t), newSpool(t)
	slower := 1
	if raceEnabled {
		slower = 10
	}
	check := func(what attack) {
		if c := a.answer(t, s, what); c.time > mostTime*time.Duration(slower) || c.memory > mostMemory {
			t.Error(c)
		}
	}
	a.shapes(slower, check)
	for _, what := range a.bombs(slower) {
		check(what)
	}
}

// BenchmarkHostile tells what the dearest of the attacks take: each is to be
// answered within 100 ms of work and 64 MB.
func BenchmarkHostile(b *testing.B) {
	a, s := newAttacker(b), newSpool(b)
	bombs := a.bombs(1)
	var all []cost
	for b.Loop() {
		all = nil
		measure := func(what attack) { all = append(all, a.answer(b, s, what)) }
		a.shapes(1, measure)
		for _, what := range bombs {
			measure(what)
		}
	}
	slices.SortFunc(all, func(x, y cost) int { return cmp.Compare(y.memory, x.memory) })
	b.ReportMetric(float64(all[0].memory)/(1<<20), "MB/dearest")
	for _, c := range all[:3] {
		b.Log(c)
	}
	slices.SortFunc(all, func(x, y cost) int { return cmp.Compare(y.work, x.work) })
	b.ReportMetric(all[0].work.Seconds()*1000, "ms/dearest")
	b.ReportMetric(float64(len(all)), "mails")
	for _, c := range all[:6] {
		b.Log(c)
	}
}

// processor is the time that the processors have worked for this process.
func processor() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
