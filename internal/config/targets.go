package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/ca"
)

// Certmgr is what the daemon has besides the CA.
type Certmgr struct {
	// State is its folder, root's alone: who could write there could have root
	// write any file.
	State string
	// Poll is how often files are looked at of whose change nobody has told.
	Poll time.Duration
}

// Notify says who is written to of what certmgr cannot put right.
type Notify struct {
	Admin  string // an address, "" for nobody
	Server string // SMTP, host:port
}

// A Target is a mail server whose keys and certificates certmgr keeps right.
// Paths are absolute.
type Target struct {
	// Name is one that no other target has.
	Name   string
	Server string
	// Hosts are the names in its certificate, in lower case and A-labels; the
	// first is the CN.
	Hosts []string
	// Dir is the server's folder, "" where its own default does.
	Dir string
	// Reload is a command for /bin/sh, "" for the server's own, "none" for none.
	Reload string
	// Probe are URLs as smtp://127.0.0.1:25. Nil: the server's own; empty: none.
	Probe []string
	// Issuer is ca, self or files, and From the folder of the last.
	Issuer, From string
	// Bundle is ca or ca+system, and SystemBundle the file of the public CAs,
	// "" for the system's own.
	Bundle, SystemBundle string
	// DH is the name of a group, generate:N, or off; "" as the server needs it.
	DH string
	// Key is the kind of new keys.
	Key string
	// Days is how long certificates are good, 0 for what the CA has.
	Days int
	// Owner and Group of its files, "" as the server needs them.
	Owner, Group string
	// Files are those of the server "files", by role; relative ones are in Dir.
	Files map[string]string
	// SNI is Postfix's table of certificates by name, PATH or TYPE:PATH, "" for
	// none.
	SNI string
}

// targetKeys are those of the tables [[target]].
var targetKeys = map[string]spec{
	"target":               {tables: true},
	"target.name":          {set: targetName},
	"target.server":        {set: func(v value) { word(v, &v.d.target.Server, servers) }, required: wantServer},
	"target.hosts":         {set: targetHosts, required: wantTargetHosts},
	"target.dir":           {set: func(v value) { v.file(&v.d.target.Dir) }},
	"target.reload":        {set: targetReload},
	"target.probe":         {set: targetProbe},
	"target.issuer":        {set: targetIssuer},
	"target.from":          {set: func(v value) { v.file(&v.d.target.From) }},
	"target.bundle":        {set: func(v value) { word(v, &v.d.target.Bundle, bundles) }},
	"target.system_bundle": {set: func(v value) { v.file(&v.d.target.SystemBundle) }},
	"target.dh":            {set: targetDH},
	"target.key":           {set: targetKey},
	"target.days":          {set: func(v value) { v.number(&v.d.target.Days, 1, 825) }},
	"target.owner":         {set: func(v value) { v.account(&v.d.target.Owner, "user") }},
	"target.group":         {set: func(v value) { v.account(&v.d.target.Group, "group") }},
	"target.files":         {set: targetFiles},
	"target.sni":           {set: targetSNI},
}

const (
	wantServer      = `"sendmail", "postfix", "dovecot", "exim", "xmail" or "files"`
	wantTargetHosts = `the names of the server, as ["mx.example.jp"], the first of which is the CN`
	wantTargetName  = `letters, digits, "-", "_" and ".", as "mx-in"`
	wantFiles       = `files = { key = "PATH", certificate = "PATH", ca = "PATH" }, or pair = "PATH" for key and certificate in one`
	maxHosts        = 100
	maxProbes       = 20
	maxTargets      = 1000
)

var (
	servers = plain("sendmail", "postfix", "dovecot", "exim", "xmail", "files")
	bundles = plain("ca", "ca+system")
	// fileRoles are those of certmgr/install.
	fileRoles      = []string{"key", "certificate", "pair", "ca", "crl", "dh"}
	targetNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// plain are words that stand for themselves.
func plain(words ...string) []option[string] {
	var all []option[string]
	for _, w := range words {
		all = append(all, option[string]{w, w})
	}
	return all
}

// tables takes all tables [[target]].
func (d *decoder) tables(v value) {
	all, ok := v.tables()
	if ok && len(all) > maxTargets {
		v.fail("%d of them; want %d at most", len(all), maxTargets)
		return
	}
	names := make(map[string]bool)
	for i, t := range all {
		d.target = &Target{Issuer: "ca", Bundle: "ca", Key: ca.RSA2048.String()}
		p := v.path.element(i)
		d.note(p)
		before := len(d.errs)
		d.table(p, v.path, t)
		c := check{d, p, t}
		c.required()
		if len(d.errs) == before { // what follows from a mistake is none
			c.together()
			c.name(names)
		}
		d.c.Targets = append(d.c.Targets, *d.target)
	}
}

// tables takes an array of tables, also one that is written inline.
func (v value) tables() ([]map[string]any, bool) {
	switch in := v.raw.(type) {
	case []map[string]any:
		return in, true
	case []any:
		var all []map[string]any
		for i, raw := range in {
			t, ok := raw.(map[string]any)
			if !ok {
				value{d: v.d, path: v.path.element(i), key: v.key, raw: raw}.fail("%s; want the tables [[%s]]", kind(raw), v.key)
				return nil, false
			}
			all = append(all, t)
		}
		return all, true
	case map[string]any:
		v.fail("a table; want [[%s]] with two brackets, one for each", v.key)
	default:
		v.fail("%s; want the tables [[%s]]", kind(v.raw), v.key)
	}
	return nil, false
}

// A check looks at a target as a whole.
type check struct {
	d   *decoder
	at  path
	raw map[string]any
}

func (c check) fail(key, format string, args ...any) {
	p := c.at.key(key)
	if _, set := c.raw[key]; !set {
		p = c.at
	}
	value{d: c.d, path: p, key: "target." + key}.fail(format, args...)
}

func (c check) required() {
	for _, key := range slices.Sorted(maps.Keys(targetKeys)) {
		base := strings.TrimPrefix(key, "target.")
		if _, set := c.raw[base]; !set && targetKeys[key].required != "" {
			c.fail(base, "missing; want %s", targetKeys[key].required)
		}
	}
}

// together looks at keys that depend on each other.
func (c check) together() {
	t := c.d.target
	needs := func(key string, ok bool, of string) {
		if _, set := c.raw[key]; set && !ok {
			c.fail(key, "is of %s alone; leave it out", of)
		}
	}
	needs("files", t.Server == "files", `server = "files"`)
	needs("sni", t.Server == "postfix", `server = "postfix"`)
	needs("from", t.Issuer == "files", `issuer = "files"`)
	needs("system_bundle", t.Bundle == "ca+system", `bundle = "ca+system"`)
	needs("key", t.Issuer != "files", `issuer = "ca" and "self"`)
	needs("days", t.Issuer != "files", `issuer = "ca" and "self"`)
	if t.Issuer == "files" && t.From == "" {
		c.fail("from", `missing; want the folder in which certificates are dropped, as "/etc/ssl/incoming"`)
	}
	if t.Server == "files" {
		c.files()
	}
}

// files wants a key with its certificate.
func (c check) files() {
	has := func(role string) bool { return c.d.target.Files[role] != "" }
	switch {
	case len(c.d.target.Files) == 0:
		c.fail("files", "missing; want %s", wantFiles)
	case has("pair") && (has("key") || has("certificate")):
		c.fail("files", "has both pair and key or certificate; want one or the other")
	case !has("pair") && !(has("key") && has("certificate")):
		c.fail("files", "has no key with its certificate; want %s", wantFiles)
	}
}

// name gives a target one, and wants it once.
func (c check) name(names map[string]bool) {
	t := c.d.target
	_, set := c.raw["name"]
	if t.Name == "" {
		t.Name = t.Server
	}
	switch {
	case names[t.Name] && set:
		c.fail("name", "%q is there twice; want it once", t.Name)
	case names[t.Name]:
		c.fail("name", "missing, and there is a target %q already; want a name of its own, as %q", t.Name, t.Name+"-2")
	}
	names[t.Name] = true
}

// paths are those that start at the file's folder.
func (t *Target) paths() []*string { return []*string{&t.Dir, &t.From, &t.SystemBundle} }

// AtTarget is At for a key of a target, as "hosts": that of Targets[i].
func (c *Config) AtTarget(i int, key string, err error, element ...int) error {
	p := path("target").element(i)
	at := c.file.place(p)
	if key != "" {
		p = p.key(key)
		for _, e := range element {
			p = p.element(e)
		}
		if c.file.has(p) {
			at = c.file.place(p)
		}
	}
	return &Error{File: c.file.name, Place: at, Key: strings.TrimSuffix("target."+key, "."), Err: err}
}
