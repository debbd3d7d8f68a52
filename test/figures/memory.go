package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"mailseal/certmgr/ca"
)

const (
	mailSize = 25 << 20
	sender   = "alice@corp.example"
)

// An operation is done by each of the programs: arguments behind the program's
// name, nil if it cannot. The mail is read from the file in and what is made
// goes to the file out; pkcs7 knows no mails, its content is the mail and its
// signature a file apart.
type operation struct {
	name                     string
	mailseal, openssl, pkcs7 []string
	in, out                  string // of mailseal; those of openssl are NAME.o
}

// operations stand in the order in which one makes what another needs.
var operations = []operation{
	{"sign detached", words("sign -identity id"), words("cms -sign -md sha256 -signer id -in mail -out signed.o"), words("sign mail signed.p"), "mail", "signed"},
	{"verify detached", words("verify -ca ca"), words("cms -verify -CAfile ca -in signed.o -out out"), words("verify mail signed.p"), "signed", "out"},
	{"sign opaque", words("sign -opaque -identity id"), words("cms -sign -nodetach -stream -md sha256 -signer id -in mail -out opaque.o"), words("sign-opaque mail opaque.p"), "mail", "opaque"},
	{"verify opaque", words("verify -ca ca"), words("cms -verify -CAfile ca -in opaque.o -out out"), words("verify-opaque opaque.p"), "opaque", "out"},
	{"encrypt AES256-CBC", words("encrypt -to id"), words("cms -encrypt -stream -aes-256-cbc -in mail -out cbc.o id"), words("encrypt-cbc mail cbc.p"), "mail", "cbc"},
	{"decrypt AES256-CBC", words("decrypt -identity id"), words("cms -decrypt -inkey id -in cbc.o -out out"), words("decrypt cbc.p"), "cbc", "out"},
	{"encrypt AES256-GCM", words("encrypt -cipher aes256-gcm -to id"), words("cms -encrypt -stream -aes-256-gcm -in mail -out gcm.o id"), words("encrypt-gcm mail gcm.p"), "mail", "gcm"},
	{"decrypt AES256-GCM", words("decrypt -identity id"), words("cms -decrypt -inkey id -in gcm.o -out out"), words("decrypt gcm.p"), "gcm", "out"},
}

func words(s string) []string { return strings.Fields(s) }

// A peak is what one operation took: a cell for each program.
type peak struct {
	name  string
	cells [3]string
}

func writePeaks(w io.Writer, peaks []peak) {
	fmt.Fprint(w, "| operation | mailseal | openssl cms | go.mozilla.org/pkcs7 |\n|---|---|---|---|\n")
	for _, p := range peaks {
		fmt.Fprintf(w, "| %s | %s |\n", p.name, strings.Join(p.cells[:], " | "))
	}
}

// memory runs all operations on a mail of a size, in a folder that goes away.
func memory(size int) ([]peak, error) {
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(makeKeys(dir), makeMail(filepath.Join(dir, "mail"), size)); err != nil {
		return nil, err
	}
	mailseal := filepath.Join(dir, "mailseal")
	build := exec.Command("go", "build", "-trimpath", "-o", mailseal, "mailseal/cmd/mailseal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	openssl, opensslErr := exec.LookPath("openssl")
	var peaks []peak
	for _, o := range operations {
		p := peak{name: o.name}
		if p.cells[0], err = fresh(self, dir, o.in, o.out, append([]string{mailseal}, o.mailseal...)); err != nil {
			return nil, err
		}
		if opensslErr == nil {
			if p.cells[1], err = fresh(self, dir, "", "", append([]string{openssl}, o.openssl...)); err != nil {
				return nil, err
			}
		}
		if p.cells[2], err = fresh(self, dir, "", "", append([]string{self, "pkcs7"}, o.pkcs7...)); err != nil {
			return nil, err
		}
		peaks = append(peaks, p)
	}
	return peaks, nil
}

// fresh runs a program in the folder and returns its cell. It is started by a new
// process of this program that has done nothing else, because the peak that Linux
// tells of a process is at least what its parent had in memory when it forked.
func fresh(self, dir, in, out string, program []string) (string, error) {
	cmd := exec.Command(self, append([]string{"measure"}, program...)...)
	cmd.Dir = dir
	var cell bytes.Buffer
	cmd.Stderr = &cell
	if in != "" {
		from, err := os.Open(filepath.Join(dir, in))
		if err != nil {
			return "", err
		}
		defer from.Close()
		to, err := os.Create(filepath.Join(dir, out))
		if err != nil {
			return "", err
		}
		defer to.Close()
		cmd.Stdin, cmd.Stdout = from, to
	}
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", program, err, cell.Bytes())
	}
	return cell.String(), nil
}

// measure runs a program and writes what it took to standard error.
func measure(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, said.Bytes())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	fmt.Fprintf(os.Stderr, "%.0f MiB, %.0f ms", float64(usage.Maxrss)/1024, cpu.Seconds()*1000) // Linux tells KiB
	return nil
}

// makeKeys makes the files ca and id.
func makeKeys(dir string) error {
	c, err := ca.Init(filepath.Join(dir, "authority"), ca.InitOptions{Subject: ca.Subject{CommonName: "Figures CA"}, Unencrypted: true})
	if err != nil {
		return err
	}
	issued, err := c.Issue(ca.Request{Profile: ca.User, Emails: []string{sender}, Key: ca.RSA2048})
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(issued.Key)
	if err != nil {
		return err
	}
	id := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), certificate(issued.Certificate)...)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "id"), id, 0o600),
		os.WriteFile(filepath.Join(dir, "ca"), certificate(c.Certificate()), 0o644))
}

func certificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// makeMail writes a mail with an attachment.
func makeMail(name string, size int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "From: %s\r\nTo: bob@partner.example\r\nSubject: plans\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n"+
		"--=_b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nHere they are.\r\n\r\n"+
		"--=_b\r\nContent-Type: application/pdf; name=plans.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n", sender)
	line := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("plan", 15))[:57]) + "\r\n"
	for range size / len(line) {
		w.WriteString(line)
	}
	w.WriteString("--=_b--\r\n")
	return errors.Join(w.Flush(), f.Close())
}
