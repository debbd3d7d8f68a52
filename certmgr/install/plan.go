package install

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"mailseal/certmgr/bought"
)

// A Fault is a kind of what can be wrong.
type Fault string

// The faults.
const (
	Missing   Fault = "missing"
	Broken    Fault = "broken"   // truncated, no PEM, not readable
	Unpaired  Fault = "unpaired" // key and certificate
	Expired   Fault = "expired"
	NotYet    Fault = "not-yet-valid"
	Expiring  Fault = "expiring"
	Names     Fault = "names"   // a configured name is not covered
	Purpose   Fault = "purpose" // not for servers and clients
	Issuer    Fault = "issuer"  // not signed by the present CA
	Chain     Fault = "chain"   // a certificate between it and the root is missing
	Revoked   Fault = "revoked"
	NotCA     Fault = "not-ca"    // the file does not have the present CA
	Outdated  Fault = "outdated"  // the CA has a newer list
	Changed   Fault = "changed"   // other than the configuration says
	KeyBeside Fault = "key-other" // more than the key is in the key's file
	Order     Fault = "order"     // of what is in the file
	Owner     Fault = "owner"
	Mode      Fault = "mode"
	Links     Fault = "links"
	SNI       Fault = "sni" // Postfix's table leads elsewhere
)

// A Finding is one thing that is wrong.
type Finding struct {
	Fault Fault  `json:"fault"`
	Path  string `json:"path"`
	Text  string `json:"text"`
}

// A Plan is what is wrong with a target and what is to be done about it.
type Plan struct {
	Target   string    `json:"target"`
	Findings []Finding `json:"findings"`
	// Issue: a new key and certificate are needed. NewCRL: the CA's present
	// list is itself near its end, and it has to make a new one.
	Issue  bool `json:"issue"`
	NewCRL bool `json:"new_crl"`
	// Take is what of the folder From is installed, in words.
	Take string `json:"take,omitempty"`
	// Write are the roles whose files are written, in that order.
	Write []Role `json:"write"`
	// MakeDir: a folder is missing, or its owner or mode is wrong.
	MakeDir bool `json:"make_dir"`
	// Links: hash links are made or removed, after what is written.
	Links bool `json:"links"`
	// Map: Postfix's table of certificates by name is made again.
	Map bool `json:"map,omitempty"`
	// Reload: the server reads what is changed only when it is told.
	Reload bool `json:"reload"`
	// Steps say all this in words, in order.
	Steps []string `json:"steps"`
	// Notes are what somebody else has to put right.
	Notes []string `json:"notes,omitempty"`
	// Generate: parameters of its own with so many bits are yet to be found, in
	// the background.
	Generate int `json:"generate,omitempty"`
	// Due is when the certificate or the list is next to be renewed, of those
	// that need not be now.
	Due time.Time `json:"due,omitzero"`

	// What Obtain makes contents of.
	anchors, public []*x509.Certificate
	leaf            *x509.Certificate
	offer           *bought.Offer
}

// Done reports whether nothing is to be done.
func (p Plan) Done() bool { return len(p.Steps) == 0 }

// Right reports whether nothing is wrong, and not only nothing that can be mended.
func (p Plan) Right() bool { return len(p.Findings) == 0 }

// Print writes a plan for people. Names of files and of certificates are whosever
// they are: what a terminal would take for commands is not written.
func (p Plan) Print(w io.Writer) error {
	text := ""
	add := func(format string, a ...any) { text += printable(fmt.Sprintf(format, a...)) + "\n" }
	for _, f := range p.Findings {
		add("%s: %s: %s", p.Target, f.Path, f.Text)
	}
	for i, s := range p.Steps {
		add("%s: step %d: %s", p.Target, i+1, s)
	}
	for _, n := range p.Notes {
		add("%s: note: %s", p.Target, n)
	}
	if p.Generate > 0 {
		text += fmt.Sprintf("%s: in the background: find a group of its own with %d bits\n", p.Target, p.Generate)
	}
	switch {
	case p.Done() && !p.Right():
		text += fmt.Sprintf("%s: nothing can be done about that here\n", p.Target)
	case p.Done() && !p.Due.IsZero():
		text += fmt.Sprintf("%s: nothing to do until %s\n", p.Target, p.Due.UTC().Format(time.RFC3339))
	}
	_, err := io.WriteString(w, text)
	return err
}

// printable makes a line of a text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ReplaceAll(s, "\n", "; "))
}

// JSON writes a plan for programs.
func (p Plan) JSON(w io.Writer) error { return json.NewEncoder(w).Encode(p) }

// Plan compares a state with what shall be.
func (t Target) Plan(s State, now time.Time) Plan {
	j := judge{target: t, state: s, now: now, write: map[Role]bool{}}
	j.bundle()
	j.dropped()
	j.pair()
	j.authority()
	j.list()
	j.group()
	for _, r := range t.roles() {
		j.access(r)
	}
	p := Plan{Target: t.Name, Issue: j.issue, NewCRL: j.newCRL, Generate: j.generate, Due: j.due}
	p.MakeDir = j.folders()
	j.links()
	j.table()
	j.open()
	p.Findings, p.Links, p.Notes = j.findings, j.relink, append(j.notes, s.Links.Notes...)
	for _, r := range t.roles() {
		if j.write[r] {
			p.Write = append(p.Write, r)
		}
	}
	p.anchors, p.public, p.leaf = j.anchors(), j.public, j.leaf
	if key, _ := t.pair(); j.write[key] && j.offer != nil {
		p.offer, p.Take = j.offer, j.offer.String()
	}
	// Sendmail and others look hash links up at every connection.
	p.Map = j.remap
	p.Reload = len(p.Write) > 0 || p.MakeDir || p.Map
	p.Steps = t.steps(p, s)
	return p
}

func (t Target) steps(p Plan, s State) []string {
	var steps []string
	add := func(format string, a ...any) { steps = append(steps, fmt.Sprintf(format, a...)) }
	if p.Issue {
		add("issue a certificate for %v with a new key", t.Hosts)
	}
	if p.Take != "" {
		add("take %s", p.Take)
	}
	if p.NewCRL {
		add("have the CA make a new list of what is revoked")
	}
	for _, f := range p.Findings {
		switch dir, is := s.Folders[f.Path]; {
		case !is, f.Fault == Links: // those stand with the folder that they are in
		case !dir.Exists:
			add("make the folder %s, mode 0755", f.Path)
		default:
			add("make the folder %s root's, and writable by nobody else", f.Path)
		}
	}
	for _, r := range p.Write {
		f := t.Files[r]
		verb := "write"
		if s.Files[r].Exists {
			verb = "replace"
		}
		add("%s %s (%s), owner %d:%d, mode %04o", verb, f.Path, r, f.UID, f.GID, f.Mode)
	}
	points := false
	for _, name := range slices.Sorted(maps.Keys(t.Links)) {
		if to := t.Links[name]; s.Pointers[name].differs(to) {
			points = true
			if to == "" {
				add("remove the link %s", filepath.Join(t.Dir, name))
			} else {
				add("make the link %s to %s", filepath.Join(t.Dir, name), to)
			}
		}
	}
	for _, c := range s.Links.Changes {
		add("%s", c)
	}
	if p.Links && (points || slices.Contains(p.Write, CA) || slices.Contains(p.Write, CRL)) {
		add("make the hash links of what was written in %s", t.Dir)
	}
	if p.Map {
		add("make the database of %s (postmap -F)", t.Table.Path)
	}
	if p.Reload && t.Reload != "" {
		add("reload the server: %s", t.Reload)
	}
	return steps
}

// folders judges those that have to be there.
func (j *judge) folders() bool {
	wrong := false
	for _, dir := range j.target.folders() {
		s := j.state.Folders[dir]
		switch {
		case !s.Exists && !j.writes(dir):
			continue
		case !s.Exists:
			j.find(Missing, dir, "the folder is missing")
		case !j.target.isOpen(dir, s):
			continue
		case s.Mode.Perm()&0o022 != 0:
			j.find(Mode, dir, "the folder is writable by group or others (%04o): sendmail reads no file in it", s.Mode.Perm())
		default:
			j.find(Owner, dir, "the folder belongs to user %d", s.UID)
		}
		wrong = true
	}
	return wrong
}

// writes reports whether a folder is needed for what is written into it.
func (j *judge) writes(dir string) bool {
	for r := range j.write {
		if j.write[r] && filepath.Dir(j.target.Files[r].Path) == dir {
			return true
		}
	}
	return j.target.Dir != "" && dir == filepath.Clean(j.target.Dir)
}

// isOpen reports whether a folder is that of hash links, and others than root
// and the key's owner can put links there.
func (t Target) isOpen(dir string, s Found) bool {
	return t.Dir != "" && dir == filepath.Clean(t.Dir) && (s.Mode.Perm()&0o022 != 0 || s.UID != 0 && s.UID != t.owner())
}

// differs reports whether a link is to be made or, where it should lead nowhere,
// removed. What is no link is nobody's to remove.
func (p Pointer) differs(to string) bool {
	if p.Exists && !p.Link {
		return false
	}
	return p.Exists != (to != "") || p.To != to
}

func (j *judge) links() {
	if j.target.Dir == "" {
		return
	}
	j.relink = j.write[CA] || j.write[CRL] || len(j.state.Links.Changes) > 0
	for _, name := range slices.Sorted(maps.Keys(j.target.Links)) {
		to, is := j.target.Links[name], j.state.Pointers[name]
		path := filepath.Join(j.target.Dir, name)
		switch {
		case is.Exists && !is.Link && to != "":
			j.note("%s is no link, but in the way of one to %s; move it away", path, to)
			continue
		case !is.differs(to):
			continue
		case to == "":
			j.find(Links, path, "leads to %s, which is not wanted any more", is.To)
		case !is.Exists:
			j.find(Links, path, "the link to %s is missing", to)
		default:
			j.find(Links, path, "leads to %s and not to %s", is.To, to)
		}
		j.relink = true
	}
	for _, c := range j.state.Links.Changes {
		j.find(Links, j.target.Dir, "hash links: %s", c)
	}
}

// open tells of folders on the way that certmgr does not close: they may be for
// others, as /var/tmp is.
func (j *judge) open() {
	for _, o := range j.state.Open {
		refused := ""
		if j.target.SafePath {
			refused = "sendmail refuses what is below it, and "
		}
		switch {
		case o.Path == filepath.Clean(j.target.Dir) && j.target.Dir != "":
		case !o.Sticky:
			j.note("%s is writable by group or others: %swho may write there can put other files in its place; chmod go-w %s", o.Path, refused, o.Path)
		case j.target.SafePath:
			j.note("%s is writable by others, though sticky: sendmail refuses what is below it; a folder elsewhere is better", o.Path)
		default:
			j.note("%s is writable by others, though sticky: a folder elsewhere is better", o.Path)
		}
	}
}

// access judges owner and mode of a file that is otherwise right.
func (j *judge) access(r Role) {
	want, got := j.target.Files[r], j.state.Files[r]
	if !got.Exists || got.Err != "" {
		return
	}
	if got.UID != want.UID || got.GID != want.GID {
		j.find(Owner, want.Path, "belongs to %d:%d; want %d:%d", got.UID, got.GID, want.UID, want.GID)
		j.write[r] = true
	}
	if got.Mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != want.Mode {
		j.find(Mode, want.Path, "has mode %04o; want %04o", got.Mode.Perm(), want.Mode)
		j.write[r] = true
	}
}
