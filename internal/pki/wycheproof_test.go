package pki

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Encrypted keys are opened with any passphrase, also one that is no text.
func TestWycheproofPBES2(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(corpus(t, "wycheproof"), "pbes2_hmacsha256_aes_256_test.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID                                         int
				Comment, Password, Salt, IV, Msg, Ct, Result string
				IterationCount                               int
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, g := range file.TestGroups {
		for _, test := range g.Tests {
			if test.Result != "valid" {
				t.Errorf("%d is %s: nobody looks at those", test.TcID, test.Result)
				continue
			}
			parameters := pbes2{
				KDF: algorithm(t, oidPBKDF2, pbkdf2Params{
					Salt:   asn1.RawValue{Tag: asn1.TagOctetString, Bytes: unhex(t, test.Salt)},
					Rounds: test.IterationCount, PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue},
				}),
				Scheme: algorithm(t, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, unhex(t, test.IV)),
			}
			der, err := asn1.Marshal(encryptedPrivateKeyInfo{algorithm(t, oidPBES2, parameters), unhex(t, test.Ct)})
			if err != nil {
				t.Fatal(err)
			}
			if err := new(budget).pkcs8(der); err != nil {
				t.Errorf("%d (%s): %v", test.TcID, test.Comment, err)
				continue
			}
			got, err := openPBES2(der, unhex(t, test.Password))
			if err != nil || !bytes.Equal(got, unhex(t, test.Msg)) {
				t.Errorf("%d (%s): %x, %v", test.TcID, test.Comment, got, err)
			}
			// HMAC fills its key with zeros: one more is the same passphrase up to 64 octets. Another letter never is, though
			// one of 256 wrong keys shows right padding.
			if got, err := openPBES2(der, append(unhex(t, test.Password), 'x')); err == nil && bytes.Equal(got, unhex(t, test.Msg)) || err != nil && !errors.Is(err, ErrPassphrase) {
				t.Errorf("%d (%s): a wrong passphrase gives %x, %v", test.TcID, test.Comment, got, err)
			}
			opened++
		}
	}
	if opened < 80 {
		t.Errorf("only %d vectors", opened)
	}
}

func algorithm(t *testing.T, oid asn1.ObjectIdentifier, parameters any) pkix.AlgorithmIdentifier {
	t.Helper()
	der, err := asn1.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
