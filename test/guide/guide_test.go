//go:build linux

// Package guide_test follows the guides in doc word by word: it runs their
// blocks of commands and writes their files on a fresh host, with the paths
// that the guides have, and compares what comes out with what they promise.
// The host is made of namespaces; nothing outside is touched.
package guide_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// How the test tells itself, inside, what to do.
const (
	guideVariable  = "MAILSEAL_GUIDE"        // name of a guide in doc
	treeVariable   = "MAILSEAL_GUIDE_TREE"   // where the MTAs are unpacked
	binaryVariable = "MAILSEAL_GUIDE_BINARY" // the product
)

var mailHosts = []mailHost{postfixHost, sendmailHost, caHost}

func TestMain(m *testing.M) {
	name := os.Getenv(guideVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := inside(name); err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestGuides(t *testing.T) {
	tree := mtaTree(t)
	for _, h := range mailHosts {
		t.Run(h.guide, func(t *testing.T) {
			t.Parallel()
			rig.Missing(t, h.tools(rig.Tools(t)))
			canUnshare(t)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*daemon.Patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, "unshare", append(unshared, self)...)
			cmd.Dir = rig.Root(t)
			cmd.Env = append(os.Environ(), guideVariable+"="+h.guide, treeVariable+"="+tree, binaryVariable+"="+daemon.Binary(t))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil {
				t.Errorf("%v\n%s", err, &out)
			} else if testing.Verbose() {
				t.Logf("%s", &out)
			}
		})
	}
}

// mtaTree is where the MTAs are unpacked. An installed one would do as little as
// none: it has been set up by somebody.
func mtaTree(t *testing.T) string {
	tree := os.Getenv("MAILSEAL_MTA")
	if tree == "" {
		tree = filepath.Join(rig.Root(t), "build", "mta")
	}
	if _, err := os.Stat(tree); err != nil {
		rig.Missing(t, fmt.Errorf("%w: %w; run test/tools.sh as root", mtarig.ErrMissing, err))
	}
	return tree
}

// canUnshare skips the test where the kernel or a container forbids it.
func canUnshare(t *testing.T) {
	const probe = `mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w && mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc`
	out, err := exec.Command("unshare", append(unshared, "/bin/sh", "-c", probe)...).CombinedOutput()
	if err != nil {
		rig.Missing(t, fmt.Errorf("%w: no namespaces with mounts of their own here: %w: %s", mtarig.ErrMissing, err, out))
	}
}

// inside is the process within the namespaces, the first one there.
func inside(name string) error {
	for _, h := range mailHosts {
		if h.guide == name {
			return h.follow()
		}
	}
	return fmt.Errorf("no host for the guide %q", name)
}

func (h mailHost) follow() error {
	source, err := os.Getwd()
	if err != nil {
		return err
	}
	blocks, err := read(filepath.Join("doc", h.guide))
	if err != nil {
		return err
	}
	if err := errors.Join(enter(os.Getenv(treeVariable), hostname), logDaemon(strings.Split(hostname, ".")[0])); err != nil {
		return err
	}
	r := &runner{standIns: standIns(), source: source}
	out, err := r.shell("hostname=" + hostname + "\n" + h.setup)
	fmt.Print(out)
	if err != nil {
		return fmt.Errorf("set up the host: %w", err)
	}
	if err = r.follow(blocks); err == nil {
		out, err = r.shell(h.after)
		fmt.Print(out)
	}
	if err != nil {
		log, _ := os.ReadFile(mailLog)
		return fmt.Errorf("%w\n%s:\n%s", err, mailLog, log)
	}
	return nil
}

func read(name string) ([]block, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	blocks, err := fenced(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return blocks, nil
}

// A translation has the same commands and files, and output but that of programs
// that speak Japanese.
func TestTranslations(t *testing.T) {
	doc := filepath.Join(rig.Root(t), "doc")
	for _, name := range translated(t) {
		english, err := read(filepath.Join(doc, name))
		if err != nil {
			t.Fatal(err)
		}
		japanese, err := read(filepath.Join(doc, "ja", name))
		if err != nil {
			t.Error(err)
			continue
		}
		for i := range max(len(english), len(japanese)) {
			if i >= len(english) || i >= len(japanese) {
				t.Errorf("%s: %d blocks, %d in Japanese", name, len(english), len(japanese))
				break
			}
			if e, j := english[i], japanese[i]; e.info != j.info || said(e) != said(j) && !speaksJapanese(j) {
				t.Errorf("%s:%d and ja/%s:%d differ:\n%s\n%s%s\n%s", name, e.line, name, j.line, e.info, e.text, j.info, j.text)
				break
			}
		}
	}
}

// comment is what a block says to people.
var comment = regexp.MustCompile(`(?m)\s+#.*$`)

// said is what a block says to machines.
func said(b block) string { return comment.ReplaceAllString(b.text, "") }

// speaksJapanese reports whether a block is what a program prints in Japanese.
func speaksJapanese(b block) bool {
	return b.info == "text" && strings.ContainsFunc(b.text, func(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) })
}

// Every block is of a kind that the test knows, every stand-in has its reason
// and is needed.
func TestBlocks(t *testing.T) {
	known, used := standIns(), map[string]bool{}
	for _, h := range mailHosts {
		blocks, err := read(filepath.Join(rig.Root(t), "doc", h.guide))
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		for i, b := range blocks {
			switch b.kind() {
			case -1:
				t.Errorf("%s:%d: %q is no kind of block", h.guide, b.line, b.info)
			case replaced:
				name := strings.Fields(b.info)[1]
				used[name] = true
				if known[name].why == "" {
					t.Errorf("%s:%d: nothing stands in for %q", h.guide, b.line, name)
				}
			case commands, repeated:
				ran++
			case output:
				if k := blocks[max(i-1, 0)].kind(); k != commands && k != repeated {
					t.Errorf("%s:%d: nothing has printed this", h.guide, b.line)
				}
			}
		}
		if ran < 10 {
			t.Errorf("%s: only %d blocks of commands are run", h.guide, ran)
		}
	}
	for name := range known {
		if !used[name] {
			t.Errorf("no guide has a block %q", name)
		}
	}
}
