package pki

import (
	"os"
	"testing"
)

func TestParser(t *testing.T) {
	data, err := os.ReadFile(corpus(t, "mimekit/smroot.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cs, err := ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	p := NewParser()
	first, err := p.Parse(cs[0].Raw)
	if err != nil || !first.Equal(cs[0]) {
		t.Fatalf("%v, %v", first, err)
	}
	if again, err := p.Parse(cs[0].Raw); err != nil || again != first {
		t.Errorf("parsed twice, %v", err)
	}
	for range 2 {
		if c, err := p.Parse([]byte("garbage")); err == nil || c != nil {
			t.Errorf("garbage is %v", c)
		}
	}
}
