package config

import (
	"crypto"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/milter"
	"mailseal/smime"
)

// A spec is what is to be known of one key.
type spec struct {
	set      func(value)
	required string // what is wanted where the key is missing and has no default
	table    bool   // it is a table whose keys the user chooses
	tables   bool   // it is an array of tables [[target]]
}

// keys are all keys, with their tables. design.md names them.
var keys = with(targetKeys, with(inboundKeys, map[string]spec{
	"authserv_id":    {set: func(v value) { v.domain(&v.d.c.AuthservID, wantHost) }, required: wantHost},
	"local_domains":  {set: localDomains, required: wantDomains},
	"internal_hosts": {set: func(v value) { v.prefixes(&v.d.c.InternalHosts) }},
	"state":          {set: func(v value) { v.file(&v.d.c.State) }},

	"milter.socket":           {set: func(v value) { v.socket(&v.d.c.Milter.Socket) }},
	"milter.before_socket":    {set: func(v value) { v.socket(&v.d.c.Milter.BeforeSocket) }},
	"milter.socket_mode":      {set: func(v value) { v.mode(&v.d.c.Milter.SocketMode) }},
	"milter.socket_group":     {set: func(v value) { v.group(&v.d.c.Milter.SocketGroup) }},
	"milter.on_error":         {set: func(v value) { word(v, &v.d.c.Milter.OnError, onError) }},
	"milter.max_message_size": {set: func(v value) { v.size(&v.d.c.Milter.MaxMessageSize, 64<<10, 4<<30) }},
	"milter.earlier_milters":  {set: func(v value) { v.boolean(&v.d.c.Milter.EarlierMilters) }},
	"milter.max_connections":  {set: func(v value) { v.number(&v.d.c.Milter.MaxConnections, 1, 100000) }},
	"milter.spool_memory":     {set: func(v value) { v.size(&v.d.c.Milter.SpoolMemory, 4<<10, 64<<20) }},
	"milter.idle_timeout":     {set: func(v value) { v.duration(&v.d.c.Milter.IdleTimeout, time.Minute, 24*time.Hour) }},
	"milter.work_timeout":     {set: func(v value) { v.duration(&v.d.c.Milter.WorkTimeout, time.Second, time.Hour) }},
	"milter.login_domain":     {set: func(v value) { v.domain(&v.d.c.Milter.LoginDomain, `a domain, as "example.jp"`) }},

	"smime.identities": {set: func(v value) { v.file(&v.d.c.SMIME.Identities) }},
	"smime.trust":      {set: func(v value) { v.files(&v.d.c.SMIME.Trust) }},
	"smime.sign":       {set: func(v value) { v.boolean(&v.d.c.SMIME.Sign) }},
	"smime.format":     {set: func(v value) { word(v, &v.d.c.SMIME.Opaque, formats) }},
	"smime.digest":     {set: func(v value) { word(v, &v.d.c.SMIME.Digest, digests) }},
	"smime.pss":        {set: func(v value) { v.boolean(&v.d.c.SMIME.PSS) }},

	"smime.crls":         {set: func(v value) { v.files(&v.d.c.SMIME.CRLs) }},
	"smime.pinned":       {set: func(v value) { v.files(&v.d.c.SMIME.Pinned) }},
	"smime.system_trust": {set: func(v value) { v.boolean(&v.d.c.SMIME.SystemTrust) }},
	"smime.revocation":   {set: func(v value) { word(v, &v.d.c.SMIME.Revocation, revocations) }},
	"domain_cas":         {set: domainCAs, table: true},

	"smime.header_protection": {set: func(v value) { word(v, &v.d.c.SMIME.HeaderProtection, headerProtections) }},

	"smime.peers": {set: func(v value) { v.fileOrNone(&v.d.c.SMIME.Peers) }},

	"smime.weak":              {set: func(v value) { word(v, &v.d.c.SMIME.WeakFails, weak) }},
	"smime.use_sender":        {set: func(v value) { v.boolean(&v.d.c.SMIME.UseSender) }},
	"smime.ignore_local_case": {set: func(v value) { v.boolean(&v.d.c.SMIME.IgnoreLocalCase) }},
	"smime.signers":           {set: func(v value) { v.fileOrNone(&v.d.c.SMIME.Signers) }},

	"fetch.crl":      {set: func(v value) { v.boolean(&v.d.c.Fetch.CRL) }},
	"fetch.ocsp":     {set: func(v value) { v.boolean(&v.d.c.Fetch.OCSP) }},
	"fetch.timeout":  {set: func(v value) { v.duration(&v.d.c.Fetch.Timeout, time.Second, 5*time.Minute) }},
	"fetch.wait":     {set: func(v value) { v.duration(&v.d.c.Fetch.Wait, 0, time.Minute) }},
	"fetch.max_size": {set: func(v value) { v.size(&v.d.c.Fetch.MaxSize, 4<<10, 256<<20) }},
	"fetch.allow":    {set: func(v value) { v.prefixes(&v.d.c.Fetch.Allow) }},
	"fetch.proxy":    {set: proxy},

	"logins": {set: logins, table: true},

	"ca.dir":             {set: func(v value) { v.fileOrNone(&v.d.c.CA.Dir) }},
	"ca.passphrase_file": {set: func(v value) { v.fileOrNone(&v.d.c.CA.PassphraseFile) }},
	"ca.socket":          {set: caSocket},
	"ca.web_user":        {set: webUser},
	"ca.web_hosts":       {set: webHosts},

	"certmgr.state": {set: func(v value) { v.file(&v.d.c.Certmgr.State) }},
	"certmgr.poll":  {set: func(v value) { v.duration(&v.d.c.Certmgr.Poll, time.Second, 24*time.Hour) }},

	"notify.admin":  {set: notifyAdmin},
	"notify.server": {set: notifyServer},

	"web.listen": {set: webListen},

	"metrics.listen":       {set: metricsListen},
	"metrics.socket_mode":  {set: func(v value) { v.mode(&v.d.c.Metrics.SocketMode) }},
	"metrics.socket_group": {set: func(v value) { v.group(&v.d.c.Metrics.SocketGroup) }},

	"log.target": {set: func(v value) { word(v, &v.d.c.Log.Syslog, targets) }},
	"log.level":  {set: func(v value) { word(v, &v.d.c.Log.Level, levels) }},
}))

// hasTable reports whether there are keys below the name.
func hasTable(name string) bool {
	for k := range keys {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

const (
	wantHost    = `the name of this mail host, as "mx.example.jp"`
	wantDomains = `a list of your domains, as ["example.jp", ".example.jp"]`
	wantSocket  = `"unix:/path", "local:/path", "inet:port@host" or "inet6:port@host"`
)

var (
	onError = []option[message.Action]{
		{"accept", message.Accept}, {"reject", message.Reject}, {"tempfail", message.Defer}, {"quarantine", message.Quarantine},
	}
	formats           = []option[bool]{{"detached", false}, {"opaque", true}}
	digests           = []option[crypto.Hash]{{"auto", 0}, {"sha256", crypto.SHA256}, {"sha384", crypto.SHA384}, {"sha512", crypto.SHA512}}
	headerProtections = []option[smime.HeaderProtection]{
		{"off", smime.HeadersOff}, {"signed", smime.HeadersSigned}, {"hide-subject", smime.HideSubject},
	}
	weak    = []option[bool]{{"policy", false}, {"fail", true}}
	targets = []option[bool]{{"stderr", false}, {"syslog", true}}
	levels  = []option[slog.Level]{
		{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError},
	}
)

// domain takes a domain name.
func (v value) domain(to *string, want string) {
	s, ok := v.str(want)
	if !ok {
		return
	}
	d, err := mailaddr.Domain(s)
	if err != nil || strings.HasPrefix(d, "[") {
		v.fail("%q is not a domain name; want %s", s, want)
		return
	}
	*to = d
}

func localDomains(v value) {
	var ds []string
	v.list(`domains, as ["example.jp", ".example.jp"]`, func(v value) {
		s, _ := v.raw.(string)
		var d string
		if sub, dot := strings.CutPrefix(s, "."); dot {
			v.raw = sub
			v.domain(&d, `a domain, or its sub-domains as ".example.jp"`)
			d = "." + d
		} else {
			v.domain(&d, `a domain, or its sub-domains as ".example.jp"`)
		}
		if slices.Contains(ds, d) && d != "" {
			v.fail("%q is there twice; want it once", s)
		}
		ds = append(ds, d)
	})
	if in, ok := v.raw.([]any); ok && len(in) == 0 {
		v.fail("empty; want %s", wantDomains)
	}
	v.d.c.LocalDomains = ds
}

// file takes a path.
func (v value) file(to *string) {
	s, ok := v.str("a path")
	switch {
	case !ok:
	case s == "" || strings.ContainsRune(s, 0):
		v.fail("%q is no path; want one", s)
	default:
		*to = s
	}
}

// fileOrNone takes a path, or "" for none.
func (v value) fileOrNone(to *string) {
	if v.raw == "" {
		*to = ""
		return
	}
	v.file(to)
}

// socket takes a milter socket, whose relative path starts at the file's folder.
func (v value) socket(to *string) {
	s, ok := v.str(wantSocket)
	if !ok {
		return
	}
	s = v.d.inFolder(s)
	if _, _, err := milter.ParseSocket(s); err != nil {
		v.fail("%v", err) // which says what it wants
		return
	}
	*to = s
}

// inFolder completes a Unix socket with a relative path.
func (d *decoder) inFolder(s string) string {
	if kind, p, ok := strings.Cut(s, ":"); ok && (kind == "unix" || kind == "local") && p != "" && !filepath.IsAbs(p) {
		return kind + ":" + filepath.Join(d.c.file.dir, p)
	}
	return s
}

// metricsListen takes where to answer scrapes: for this host alone, as what is
// told there has no password.
func metricsListen(v value) {
	const want = `"127.0.0.1:9113", "[::1]:9113", "unix:/path", or "" for none`
	s, ok := v.str(want)
	if !ok {
		return
	}
	m := &v.d.c.Metrics
	if s == "" {
		m.Network, m.Address = "", ""
		return
	}
	if strings.HasPrefix(s, "unix:") {
		_, address, err := milter.ParseSocket(v.d.inFolder(s))
		if err != nil {
			v.fail("%v; want %s", err, want)
			return
		}
		m.Network, m.Address = "unix", address
		return
	}
	a, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		v.fail("%q; want %s", s, want)
	case !a.Addr().IsLoopback() || a.Addr().Zone() != "":
		v.fail("%s is not a loopback address, and others than this host would read what is told there; want %s", a.Addr(), want)
	default:
		m.Network, m.Address = "tcp", a.String()
	}
}

func (v value) mode(to *fs.FileMode) {
	const want = `rights in octal, as "0660"`
	s, ok := v.str(want)
	if !ok {
		return
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 || n&0o600 != 0o600 {
		v.fail("%q; want %s, with those of the owner", s, want)
		return
	}
	*to = fs.FileMode(n)
}

func (v value) group(to *string) {
	const want = "the name of a group, or its number"
	if s, ok := v.str(want); ok && s == "" {
		v.fail("empty; want %s", want)
	} else if ok {
		*to = s
	}
}

// logins takes the table of who may send as whom.
func logins(v value) {
	in, ok := v.raw.(map[string]any)
	if !ok {
		v.fail("%s; want the table [logins]", kind(v.raw))
		return
	}
	all := make(map[string][]string)
	for name, raw := range in {
		p := v.path.key(name)
		item := value{d: v.d, path: p, key: string(p), raw: raw}
		if name == "" || strings.TrimSpace(name) != name {
			item.fail("%q is no login; want the name that the client logs in with", name)
		}
		item.list(`addresses, as ["sales@example.jp", "*@example.jp"]`, func(v value) {
			if a, ok := v.sender(); ok {
				all[name] = append(all[name], a)
			}
		})
	}
	v.d.c.Logins = all
}

// sender takes an address that a login may send as, or all of a domain.
func (v value) sender() (string, bool) {
	const want = `an address, or all of a domain as "*@example.jp"`
	s, ok := v.str(want)
	if !ok {
		return "", false
	}
	local, domain, _ := strings.Cut(s, "@")
	if local != "*" {
		a, err := mailaddr.Parse(s)
		if err != nil {
			v.fail("%q is not an address; want %s", s, want)
			return "", false
		}
		return a.String(), true
	}
	sub, dot := strings.CutPrefix(domain, ".")
	d, err := mailaddr.Domain(sub)
	if err != nil {
		v.fail("%q is not an address; want %s", s, want)
		return "", false
	}
	if dot {
		d = "." + d
	}
	return "*@" + d, true
}

func (v value) number(to *int, least, most int) {
	n, ok := v.raw.(int64)
	if !ok || n < int64(least) || n > int64(most) {
		v.fail("%s; want a number from %d to %d", kind(v.raw), least, most)
		return
	}
	*to = int(n)
}

func (v value) duration(to *time.Duration, least, most time.Duration) {
	s, ok := v.raw.(string)
	d, err := time.ParseDuration(s)
	if !ok || err != nil || d < least || d > most {
		v.fail(`%s; want a time from %s to %s, as "90s" or "5m"`, kind(v.raw), short(least), short(most))
		return
	}
	*to = d
}

// short writes a duration as one would in the file: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A Size is a number of bytes, written as "64MiB".
type Size int64

var units = []struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

var sizePattern = regexp.MustCompile(`^([0-9]{1,10}) ?([A-Za-z]+)$`)

// ParseSize reads a number with its unit.
func ParseSize(s string) (Size, error) {
	if m := sizePattern.FindStringSubmatch(s); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		for _, u := range units {
			if err == nil && strings.EqualFold(m[2], u.name) && n <= math.MaxInt64/int64(u.bytes) {
				return Size(n) * u.bytes, nil
			}
		}
	}
	return 0, fmt.Errorf("%q is not a size", s)
}

func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 && strings.HasSuffix(u.name, "iB") {
			return fmt.Sprintf("%d%s", s/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

func (v value) size(to *Size, least, most Size) {
	s, ok := v.raw.(string)
	n, err := ParseSize(s)
	if !ok || err != nil || n < least || n > most {
		v.fail(`%s; want a size from %s to %s, as "1MiB"`, kind(v.raw), least, most)
		return
	}
	*to = n
}
