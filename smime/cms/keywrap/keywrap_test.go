package keywrap

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

// TestStandard has the examples of RFC 3394 section 4.
func TestStandard(t *testing.T) {
	const data = "00112233445566778899aabbccddeeff0001020304050607" + "08090a0b0c0d0e0f"
	const kek = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	for _, test := range []struct {
		kek, key int
		want     string
	}{
		{16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
		{24, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
		{32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
		{24, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"},
		{32, 24, "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"},
		{32, 32, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
	} {
		k, plain := unhex(kek)[:test.kek], unhex(data)[:test.key]
		got, err := Wrap(k, plain)
		if err != nil || !bytes.Equal(got, unhex(test.want)) {
			t.Errorf("%d with %d: got %x, %v", test.key, test.kek, got, err)
		}
		key := make([]byte, test.key)
		if err := Unwrap(k, unhex(test.want), key); err != nil || !bytes.Equal(key, plain) {
			t.Errorf("%d with %d: unwrapped %x, %v", test.key, test.kek, key, err)
		}
	}
}

// A vector is a wrapped key, or what looks like one.
type vector struct {
	TcID                 int
	Key, Msg, Ct, Result string
}

func wycheproof(t *testing.T, name string) (list []vector) {
	t.Helper()
	base := os.Getenv("MAILSEAL_CORPORA")
	if base == "" {
		base = filepath.Join("..", "..", "..", "..", "shared", "corpora")
	}
	if _, err := os.Stat(base); err != nil {
		t.Skip("corpus wycheproof is not there: set MAILSEAL_CORPORA")
	}
	data, err := os.ReadFile(filepath.Join(base, "wycheproof", name))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ TestGroups []struct{ Tests []vector } }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.TestGroups {
		list = append(list, g.Tests...)
	}
	return list
}

func TestWycheproof(t *testing.T) {
	counts := map[string]int{}
	for _, test := range wycheproof(t, "aes_wrap_test.json") {
		kek, msg, ct := unhex(test.Key), unhex(test.Msg), unhex(test.Ct)
		random := bytes.Repeat([]byte{0x55}, max(0, len(ct)-Overhead))
		key := bytes.Clone(random)
		err := Unwrap(kek, ct, key)
		wrapped, wrapErr := Wrap(kek, msg)
		result := test.Result
		if result == "acceptable" { // one block, for which RFC 3394 has no wrap
			result = "invalid"
		}
		switch opened := err == nil && bytes.Equal(key, msg) && !bytes.Equal(key, random); {
		case result == "valid" && (!opened || wrapErr != nil || !bytes.Equal(wrapped, ct)):
			t.Errorf("%d: unwrapped %x, %v; wrapped %x, %v", test.TcID, key, err, wrapped, wrapErr)
		case result == "invalid" && (opened || !bytes.Equal(key, random)):
			t.Errorf("%d: unwrapped %x", test.TcID, key)
		}
		counts[result]++
	}
	if counts["valid"] < 30 || counts["invalid"] < 100 {
		t.Errorf("too few vectors: %v", counts)
	}
}

// Key wrap with padding (RFC 5649) is another algorithm, which CMS in mail does not use: what it makes is never taken for a wrapped
// key. Among its vectors are some that RFC 3394 made; those open here.
func TestWycheproofPadded(t *testing.T) {
	tests := wycheproof(t, "aes_kwp_test.json")
	opened := 0
	for _, test := range tests {
		kek, ct := unhex(test.Key), unhex(test.Ct)
		random := bytes.Repeat([]byte{0x55}, max(0, len(ct)-Overhead))
		key := bytes.Clone(random)
		if err := Unwrap(kek, ct, key); err != nil && !errors.Is(err, ErrSize) {
			t.Errorf("%d: %v", test.TcID, err)
		}
		if bytes.Equal(key, random) {
			continue
		}
		opened++
		if wrapped, err := Wrap(kek, key); test.Result != "invalid" || err != nil || !bytes.Equal(wrapped, ct) {
			t.Errorf("%d (%s): unwrapped %x", test.TcID, test.Result, key)
		}
	}
	if len(tests) < 200 || opened != 3 {
		t.Errorf("%d of %d vectors opened", opened, len(tests))
	}
}

// TestUnchanged: whatever octet is another, the key stays as it was, and there is no error.
func TestUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kek := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "kek")
		plain := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "key"), rapid.IntRange(2, 8).Draw(t, "blocks"))
		wrapped, err := Wrap(kek, plain)
		if err != nil {
			t.Fatal(err)
		}
		key := make([]byte, len(plain))
		if err := Unwrap(kek, wrapped, key); err != nil || !bytes.Equal(key, plain) {
			t.Fatalf("got %x, %v", key, err)
		}
		wrapped[rapid.IntRange(0, len(wrapped)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		random := bytes.Repeat([]byte{0x55}, len(plain))
		key = bytes.Clone(random)
		if err := Unwrap(kek, wrapped, key); err != nil || !bytes.Equal(key, random) {
			t.Fatalf("got %x, %v of a forged key", key, err)
		}
	})
}

func TestSizes(t *testing.T) {
	for _, test := range []struct{ kek, key, wrapped int }{
		{0, 16, 24}, {15, 16, 24}, {33, 16, 24}, {16, 0, 8}, {16, 8, 16}, {16, 17, 25}, {16, 16, 23}, {16, 16, 32}, {16, 2048, 2056},
	} {
		err := Unwrap(make([]byte, test.kek), make([]byte, test.wrapped), make([]byte, test.key))
		if !errors.Is(err, ErrSize) {
			t.Errorf("%v: got %v", test, err)
		}
		if _, err := Wrap(make([]byte, test.kek), make([]byte, test.key)); !errors.Is(err, ErrSize) && test.wrapped == test.key+Overhead {
			t.Errorf("%v: wrapped, %v", test, err)
		}
	}
}
