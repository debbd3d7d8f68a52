package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/dh"
	"mailseal/internal/mailaddr"
)

func targetName(v value) {
	s, ok := v.str(wantTargetName)
	switch {
	case !ok:
	case !targetNameForm.MatchString(s):
		v.fail("%q; want %s, and 64 at most", s, wantTargetName)
	default:
		v.d.target.Name = s
	}
}

func targetHosts(v value) {
	var hosts []string
	v.list(wantTargetHosts, func(v value) {
		var host string
		if v.domain(&host, `a host, as "mx.example.jp"`); host == "" {
			return
		}
		if _, err := netip.ParseAddr(host); err == nil {
			v.fail("%q is an address; want the name by which clients know the host", host)
		}
		if slices.Contains(hosts, host) {
			v.fail("%q is there twice; want it once", host)
		}
		hosts = append(hosts, host)
	})
	if in, ok := v.raw.([]any); ok && (len(in) == 0 || len(in) > maxHosts) {
		v.fail("%d hosts; want %s, and %d at most", len(in), wantTargetHosts, maxHosts)
	}
	v.d.target.Hosts = hosts
}

func targetReload(v value) {
	const want = `a command for /bin/sh, as "postfix reload", or "none"`
	s, ok := v.str(want)
	switch {
	case !ok:
	case strings.TrimSpace(s) == "" || strings.ContainsAny(s, "\x00\n"):
		v.fail("%q; want %s", s, want)
	default:
		v.d.target.Reload = s
	}
}

// targetProbe takes one URL or several. What they mean is judged by who probes.
func targetProbe(v value) {
	const want = `"smtp://127.0.0.1:25", a list of such, or "off"`
	if v.raw == "off" {
		v.d.target.Probe = []string{}
		return
	}
	if _, isList := v.raw.([]any); !isList {
		if s, ok := v.str(want); ok {
			v.d.target.Probe = []string{s}
		}
		return
	}
	urls := []string{}
	v.list(want, func(v value) {
		if s, ok := v.str(`"smtp://127.0.0.1:25"`); ok {
			urls = append(urls, s)
		}
	})
	if n := len(v.raw.([]any)); n == 0 || n > maxProbes {
		v.fail(`%d of them; want 1 to %d, or "off"`, n, maxProbes)
	}
	v.d.target.Probe = urls
}

func targetIssuer(v value) {
	if v.raw == "acme" {
		v.fail(`"acme" comes later; want "ca", "self" or "files"`)
		return
	}
	word(v, &v.d.target.Issuer, plain("ca", "self", "files"))
}

func targetDH(v value) {
	const want = `"ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192", "generate:2048", or "off"`
	s, ok := v.str(want)
	if !ok {
		return
	}
	if bits, own := strings.CutPrefix(s, "generate:"); own {
		if n, err := strconv.Atoi(bits); err != nil || n < 2048 || n > 8192 || n%8 != 0 {
			v.fail(`%q; want "generate:" with 2048 to 8192 bits, a multiple of 8`, s)
			return
		}
	} else if _, err := dh.ParseGroup(s); err != nil && s != "off" {
		v.fail("%q; want %s", s, want)
		return
	}
	v.d.target.DH = s
}

func targetKey(v value) {
	s, ok := v.str(`"rsa2048"`)
	if !ok {
		return
	}
	switch k, err := ca.ParseKeyKind(s); {
	case err != nil:
		v.fail("%v", err) // which says what it wants
	case k == ca.Ed25519:
		v.fail("%q: mail servers and clients do not take Ed25519 in TLS; want %q or %q", s, ca.RSA2048, ca.P256)
	default:
		v.d.target.Key = s
	}
}

// account takes the name of a user or group.
func (v value) account(to *string, what string) {
	want := fmt.Sprintf("the name of a %s, or its number", what)
	s, ok := v.str(want)
	switch {
	case !ok:
	case s == "" || strings.ContainsAny(s, " :\x00"):
		v.fail("%q; want %s", s, want)
	default:
		*to = s
	}
}

// targetSNI takes a table as Postfix writes it, with its type or without.
func targetSNI(v value) {
	var table string
	if v.file(&table); table == "" {
		return
	}
	kind, path, typed := strings.Cut(table, ":")
	if !typed {
		kind, path = "", table
	}
	if path == "" {
		v.fail(`%q; want a file, as "/etc/postfix/sni" or "hash:/etc/postfix/sni"`, table)
		return
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(v.d.c.file.dir, path)
	}
	if typed {
		path = kind + ":" + path
	}
	v.d.target.SNI = path
}

// targetFiles takes the table of files by role.
func targetFiles(v value) {
	in, ok := v.raw.(map[string]any)
	if !ok {
		v.fail("%s; want %s", kind(v.raw), wantFiles)
		return
	}
	files := make(map[string]string)
	for _, role := range slices.Sorted(maps.Keys(in)) {
		p := v.path.key(role)
		item := value{d: v.d, path: p, key: string(path(v.key).key(role)), raw: in[role]}
		if !slices.Contains(fileRoles, role) {
			v.d.fail(v.d.scan.keys, p, item.key, "unknown key; want one of %s", strings.Join(fileRoles, ", "))
			continue
		}
		var file string
		item.file(&file)
		v.d.note(p)
		files[role] = file
	}
	v.d.target.Files = files
}

func notifyAdmin(v value) {
	const want = `an address, as "postmaster@example.jp", or "" for nobody`
	s, ok := v.str(want)
	if !ok || s == "" {
		return
	}
	a, err := mailaddr.Parse(s)
	if err != nil {
		v.fail("%q is not an address; want %s", s, want)
		return
	}
	v.d.c.Notify.Admin = a.String()
}

func notifyServer(v value) {
	const want = `host and port of an SMTP server, as "127.0.0.1:25"`
	s, ok := v.str(want)
	if !ok {
		return
	}
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
		v.fail("%q; want %s", s, want)
		return
	}
	v.d.c.Notify.Server = s
}
