package hashdir

import (
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/ca/namehash"
)

// Three CAs, of which two have one name, and their CRLs.
var authorities = sync.OnceValues(func() ([]authority, error) {
	dir, err := os.MkdirTemp("", "hashdir")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var all []authority
	for i, name := range []string{"私的認証局", "私的認証局", "Private CA"} {
		c, err := ca.Init(filepath.Join(dir, fmt.Sprint(i)), ca.InitOptions{
			Subject: ca.Subject{Country: "JP", Organization: "例 株式会社", CommonName: name}, Key: ca.P256, Unencrypted: true,
		})
		if err != nil {
			return nil, err
		}
		list, err := c.IssueCRL(ca.CRLOptions{})
		if err != nil {
			return nil, err
		}
		hash, err := namehash.Of(c.Certificate().RawSubject)
		if err != nil {
			return nil, err
		}
		all = append(all, authority{hash, string(ca.EncodeCertificates(c.Certificate())),
			string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.DER}))})
	}
	return all, nil
})

type authority struct{ hash, cert, crl string }

func cas(t testing.TB) []authority {
	t.Helper()
	all, err := authorities()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// lay makes a folder of files, and of links where the content begins with "->".
func lay(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		var err error
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(target, filepath.Join(dir, name))
		} else {
			err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// links are all links of a folder with their targets.
func links(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if e.Type() != fs.ModeSymlink {
			continue
		}
		if all[e.Name()], err = os.Readlink(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// unnumbered makes HASH.0 and HASH.1 of one hash equal in who has which: openssl
// numbers files in the order in which the folder has them.
func unnumbered(links map[string]string) []string {
	var all []string
	for name, target := range links {
		stem := strings.TrimRight(name, "0123456789")
		all = append(all, "a number: "+name, stem+" "+target)
	}
	slices.Sort(all)
	return all
}

// mend carries out what Inspect finds, and wants nothing to be left.
func mend(t testing.TB, dir string, o Options) Plan {
	t.Helper()
	p, err := Inspect(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := Apply(dir, p); err != nil {
		t.Fatal(err)
	}
	again, err := Inspect(dir, o)
	if err != nil || len(again.Changes) > 0 {
		t.Errorf("after %v it still wants %v, %v", p.Changes, again.Changes, err)
	}
	return p
}

func TestAsOpenSSLRehash(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	c := cas(t)
	files := map[string]string{
		"b.pem": c[0].cert, "a.crt": c[1].cert, "c.CER": c[2].cert,
		"same-as-a.pem": c[1].cert,
		"one.crl":       c[0].crl, "two.pem": c[1].crl, "three.crl": c[2].crl,
		"bundle.pem": c[0].cert + c[2].cert,
		"text.pem":   "no certificate\n",
		"host.cert":  c[0].cert, ".hidden.txt": c[0].cert,
		"2c52b46b.0":       "->gone.pem",
		c[0].hash + ".r3":  "->gone.crl",
		"linked.pem":       "->host.cert",
		c[2].hash + ".old": "->b.pem",
	}
	ours, theirs := lay(t, files), lay(t, files)
	mend(t, ours, Options{})
	if out, err := exec.Command("openssl", "rehash", theirs).CombinedOutput(); err != nil && !strings.Contains(string(out), "bundle.pem") {
		t.Fatalf("openssl rehash: %v\n%s", err, out)
	}
	if diff := cmp.Diff(unnumbered(links(t, theirs)), unnumbered(links(t, ours))); diff != "" {
		t.Errorf("openssl's links and ours:\n%s", diff)
	}
	if p, err := Inspect(theirs, Options{}); err != nil || len(p.Changes) > 0 {
		t.Errorf("openssl's own folder: %v, %v", p.Changes, err)
	}
	for _, file := range []string{"a.crt", "b.pem", "c.CER"} {
		if out, err := exec.Command("openssl", "verify", "-CApath", ours, "-no-CAfile", filepath.Join(ours, file)).CombinedOutput(); err != nil {
			t.Errorf("%s is not found: %s", file, out)
		}
	}
}

func TestInspect(t *testing.T) {
	c := cas(t)
	outside := filepath.Join(t.TempDir(), "outside.pem")
	if err := os.WriteFile(outside, []byte(c[1].cert), 0o644); err != nil {
		t.Fatal(err)
	}
	first, other := c[0].hash, c[2].hash
	for _, tt := range []struct {
		what    string
		files   map[string]string
		bundles []string
		want    []string
	}{
		{what: "nothing"},
		{what: "right", files: map[string]string{"a.pem": c[0].cert, first + ".0": "->a.pem"}},
		{what: "right, in another order than openssl's", files: map[string]string{"a.pem": c[0].cert, "b.pem": c[1].cert, first + ".0": "->b.pem", first + ".1": "->a.pem"}},
		{what: "missing", files: map[string]string{"a.pem": c[0].cert}, want: []string{"link FIRST.0 to a.pem"}},
		{what: "of the CA before", files: map[string]string{"cacert.pem": c[2].cert, first + ".0": "->cacert.pem"},
			want: []string{"link OTHER.0 to cacert.pem", "remove link FIRST.0"}},
		{what: "a gap", files: map[string]string{"a.pem": c[0].cert, "b.pem": c[1].cert, first + ".0": "->b.pem", first + ".2": "->a.pem"},
			want: []string{"link FIRST.1 to a.pem", "remove link FIRST.2"}},
		{what: "not found behind a gap", files: map[string]string{"a.pem": c[0].cert, first + ".3": "->a.pem"},
			want: []string{"link FIRST.0 to a.pem", "remove link FIRST.3"}},
		{what: "twice", files: map[string]string{"a.pem": c[0].cert, first + ".0": "->a.pem", first + ".1": "->a.pem", first + ".2": "->a.pem"},
			want: []string{"remove link FIRST.2", "remove link FIRST.1"}},
		{what: "dangling", files: map[string]string{"01234567.0": "->a.pem", "01234567.1": "->/no/such/file", "01234567.r0": "->01234567.r0"},
			want: []string{"remove link 01234567.1", "remove link 01234567.0", "remove link 01234567.r0"}},
		{what: "absolute", files: map[string]string{"a.pem": c[0].cert, first + ".0": "->DIR/a.pem"}, want: []string{"link FIRST.0 to a.pem"}},
		{what: "somebody else's link", files: map[string]string{"a.pem": c[0].cert, first + ".0": "->" + outside}, want: []string{"link FIRST.1 to a.pem"}},
		{what: "somebody else's file", files: map[string]string{"a.pem": c[0].cert, first + ".0": c[1].cert}, want: []string{"link FIRST.1 to a.pem"}},
		{what: "somebody else's link behind one of ours that is stale", files: map[string]string{"cacert.pem": c[2].cert, other + ".0": "->cacert.pem", first + ".0": "->cacert.pem", first + ".1": "->" + outside},
			want: []string{"link FIRST.0 to " + outside}},
		{what: "somebody else's file behind one of ours that is stale", files: map[string]string{"cacert.pem": c[2].cert, other + ".0": "->cacert.pem", first + ".0": "->cacert.pem", first + ".1": c[1].cert},
			want: []string{"link FIRST.0 to FIRST.1"}},
		{what: "a number as no other", files: map[string]string{first + ".999999": c[1].cert}},
		{what: "a bundle", files: map[string]string{"all.crt": c[0].cert + c[1].cert + c[2].cert}, bundles: []string{"all.crt"},
			want: []string{"link FIRST.0 to all.crt", "link OTHER.0 to all.crt"}},
		{what: "a bundle that is yet to come", bundles: []string{"cacert.pem"}},
		{what: "what a killed process has left", files: map[string]string{".01234567.0.link.tmp": "->a.pem", ".other.tmp": "->a.pem"},
			want: []string{"remove link .01234567.0.link.tmp"}},
		{what: "a server's key and certificate", files: map[string]string{"host.pem": c[0].cert + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}},
		{what: "a CRL", files: map[string]string{"crl.pem": c[0].crl}, want: []string{"link FIRST.r0 to crl.pem"}},
		{what: "names that are none", files: map[string]string{"0123456.0": "->x", "01234567.00": "->x", "01234567.x": "->x", "0123456G.0": "->x"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := lay(t, nil)
			for name, content := range tt.files {
				if target, ok := strings.CutPrefix(content, "->"); ok {
					if err := os.Symlink(strings.ReplaceAll(target, "DIR", dir), filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				} else if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p := mend(t, dir, Options{Bundles: tt.bundles})
			var got []string
			for _, ch := range p.Changes {
				got = append(got, strings.NewReplacer(first, "FIRST", other, "OTHER").Replace(ch.String()))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			for name, content := range tt.files {
				if b, err := os.ReadFile(filepath.Join(dir, name)); !strings.HasPrefix(content, "->") && (err != nil || string(b) != content) {
					t.Errorf("%s was changed: %v", name, err)
				}
			}
		})
	}
}

// found is what a look-up of a hash reads: the contents of H.0, H.1 and so on.
func found(dir, hash string) map[string]bool {
	all := map[string]bool{}
	for n := 0; ; n++ {
		content, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%s.%d", hash, n)))
		if err != nil {
			return all
		}
		for _, part := range strings.SplitAfter(string(content), "-----END CERTIFICATE-----\n") {
			all[part] = true
		}
	}
}

// Whatever a folder holds, and after whichever step a crash comes: a CA that was
// found and shall be found is found, so is everything of somebody else's; and who
// comes next puts the rest right.
func TestFoundAllTheTime(t *testing.T) {
	c := cas(t)
	hash := c[0].hash
	outside := filepath.Join(t.TempDir(), "outside.pem")
	const foreign = "somebody else's\n"
	if err := os.WriteFile(outside, []byte(foreign), 0o644); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		contents := []string{"", c[0].cert, c[1].cert, c[2].cert, c[0].cert + c[2].cert}
		short := strings.NewReplacer(c[0].cert, "CA 0", c[1].cert, "CA 1", c[2].cert, "CA 2")
		wanted := map[string]bool{}
		for _, name := range []string{"a.pem", "b.pem", "cacert.pem"} {
			content := contents[rapid.IntRange(0, len(contents)-1).Draw(r, name)]
			if content == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				r.Fatal(err)
			}
			for _, cert := range []string{c[0].cert, c[1].cert} {
				if strings.Contains(content, cert) && (name == "cacert.pem" || content == cert) {
					wanted[cert] = true
				}
			}
		}
		for n := range 4 {
			target := rapid.SampledFrom([]string{"", "", "a.pem", "b.pem", "cacert.pem", "gone.pem", outside, filepath.Join(dir, "a.pem")}).Draw(r, fmt.Sprint(n))
			if target != "" {
				if err := os.Symlink(target, filepath.Join(dir, fmt.Sprintf("%s.%d", hash, n))); err != nil {
					r.Fatal(err)
				}
			}
		}
		o := Options{Bundles: []string{"cacert.pem"}}
		keep := map[string]bool{}
		for content := range found(dir, hash) {
			if wanted[content] || content == foreign {
				keep[content] = true
			}
		}
		for step := 0; ; step++ {
			p, err := Inspect(dir, o)
			if err != nil {
				r.Fatal(err)
			}
			if len(p.Changes) == 0 {
				break
			}
			if step > 20 {
				r.Fatalf("no end of it: %v", p.Changes)
			}
			// The crash comes after one step, or after some.
			n := rapid.IntRange(1, len(p.Changes)).Draw(r, "steps")
			for _, ch := range p.Changes[:n] {
				if err := Apply(dir, Plan{Changes: []Change{ch}}); err != nil {
					r.Fatal(err)
				}
				now := found(dir, hash)
				for content := range keep {
					if !now[content] {
						content = short.Replace(content)
						r.Fatalf("after %v of %v it is not found: %s", ch, p.Changes, content)
					}
				}
			}
		}
		now := found(dir, hash)
		for content := range wanted {
			if !now[content] {
				r.Fatalf("in the end it is not found: %s", short.Replace(content))
			}
		}
	})
}

// Between plan and deed somebody has put a file where a link was.
func TestApplyReplacesNoFile(t *testing.T) {
	dir := lay(t, map[string]string{"01234567.0": "a file\n", "01234567.1": "another\n"})
	for _, ch := range []Change{{Name: "01234567.0", Target: "a.pem"}, {Name: "01234567.1"}} {
		if err := Apply(dir, Plan{Changes: []Change{ch}}); err == nil {
			t.Errorf("%s: done", ch)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 || len(links(t, dir)) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestNotes(t *testing.T) {
	c := cas(t)
	dir := lay(t, map[string]string{
		"two.pem": c[0].cert + c[2].cert,
		"bad.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"bad.crl": "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
	})
	p, err := Inspect(dir, Options{})
	if err != nil || len(p.Changes) > 0 || len(p.Notes) != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	bad := strings.Repeat("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 1000)
	if p, err := Inspect(lay(t, map[string]string{"a.pem": bad}), Options{Bundles: []string{"a.pem"}}); err != nil || len(p.Notes) != maxNotes+1 {
		t.Errorf("%d notes, %v", len(p.Notes), err)
	}
	if _, err := Inspect(filepath.Join(dir, "none"), Options{}); err == nil {
		t.Error("a folder that is not there has a plan")
	}
}

// A folder that has more than certificates is looked at for so long and no longer.
func TestTooMuch(t *testing.T) {
	dir := lay(t, nil)
	for i := range maxOctets/maxFile + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.pem", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, fmt.Sprintf("%d.pem", i)), maxFile); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Inspect(dir, Options{}); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filepath.Join(dir, "0.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(dir, Options{}); err != nil {
		t.Error(err)
	}
	dir = lay(t, nil)
	for i := range maxFiles + 1 {
		if err := os.Symlink("x", filepath.Join(dir, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Inspect(dir, Options{}); err == nil || !strings.Contains(err.Error(), "more than 10000 files") {
		t.Errorf("%v", err)
	}
}
