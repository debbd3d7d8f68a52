//go:build unix

package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRatio runs every operation and its floor by turns, so that what else the machine does meets both, and reports the
// floor's time by the operation's: 1 is as fast as the bare primitives. "wall" is what a sender waits, "cpu" what a busy
// gateway has to spend.
func BenchmarkRatio(b *testing.B) {
	id := rsa2048()
	key, public := id.key.(*rsa.PrivateKey), id.cert.PublicKey.(*rsa.PublicKey)
	signFloor := func(b *testing.B, content []byte) []byte {
		sum := sha256.Sum256(content)
		attributes := sha256.Sum256(sum[:])
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, attributes[:])
		if err != nil {
			b.Fatal(err)
		}
		return signature
	}
	eachSize(b, func(b *testing.B, content []byte) {
		signature := signFloor(b, content)
		floors := map[string]func(){
			"sign": func() { signFloor(b, content) },
			"verify": func() {
				sum := sha256.Sum256(content)
				attributes := sha256.Sum256(sum[:])
				if rsa.VerifyPKCS1v15(public, crypto.SHA256, attributes[:], signature) != nil {
					b.Fatal("floor does not verify")
				}
			},
		}
		outside, inside := detached(b, content, id.signer()), opaque(b, content, id.signer())
		pieces := streamed(content, inside, 4096)
		for _, op := range []struct {
			name, floor string
			run         func()
		}{
			{"sign detached", "sign", func() { detached(b, content, id.signer()) }},
			{"verify detached", "verify", func() { verifyOnce(b, outside, content, ReadOptions{}) }},
			{"verify detached, certificate known", "verify", func() { verifyOnce(b, outside, content, ReadOptions{ParseCertificate: known(id)}) }},
			{"verify opaque DER", "verify", func() { verifyOnce(b, inside, nil, ReadOptions{}) }},
			{"verify opaque BER", "verify", func() { verifyOnce(b, pieces, nil, ReadOptions{}) }},
		} {
			b.Run(op.name, func(b *testing.B) { byTurns(b, floors[op.floor], op.run) })
		}
	})
}

func verifyOnce(b *testing.B, object, content []byte, o ReadOptions) {
	s, err := ReadSignedData(bytes.NewReader(object), o)
	if err == nil && content != nil {
		err = s.DigestContent(bytes.NewReader(content))
	}
	if err != nil {
		b.Fatal(err)
	}
	if r := s.Verify(); len(r) != 1 || r[0].Err != nil {
		b.Fatal(r)
	}
}

func byTurns(b *testing.B, floor, op func()) {
	var wall, cpu [2]time.Duration
	for b.Loop() {
		for i, f := range []func(){floor, op} {
			startCPU, start := cpuTime(), time.Now()
			for range 10 {
				f()
			}
			wall[i] += time.Since(start)
			cpu[i] += cpuTime() - startCPU
		}
	}
	b.ReportMetric(float64(wall[0])/float64(wall[1]), "wall")
	b.ReportMetric(float64(cpu[0])/float64(cpu[1]), "cpu")
	b.ReportMetric(0, "ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
