package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mailseal/certmgr/command"
	"mailseal/internal/durable"
	"mailseal/internal/folder"
)

// A Table is Postfix's tls_server_sni_maps: a file with a line for each host, its
// name and its chain file, and the database that `postmap -F` makes of it. The
// database holds the keys themselves, so it is made again whenever one of the
// files changes, and neither is for others to read: it gets its source's mode.
//
// Several targets may have the same table. Each keeps the lines of its own hosts
// and of its own file right; all others stay as they are.
type Table struct {
	// Path is the source, without the ending of the database.
	Path string
	// Type is that of the database, as "hash"; "" for Postfix's default.
	Type string
	// Postmap is the command, for /bin/sh: "postmap" where Postfix is the
	// host's own.
	Postmap string
}

// A TableState is a table as it is.
type TableState struct {
	Source Found
	// Databases are those that are there, by path.
	Databases map[string]Found
	// Held is every host and the chain that the database has for it.
	Held []byte
	// Err is why the database could not be looked into.
	Err string
}

const (
	postmapTime = 30 * time.Second
	maxHeld     = 16 << 20
)

// parseTable reads what a configuration says: PATH, or TYPE:PATH as in main.cf.
func parseTable(spec string) (*Table, error) {
	t := &Table{Path: spec, Postmap: "postmap"}
	if kind, path, ok := strings.Cut(spec, ":"); ok {
		if !slices.Contains([]string{"hash", "btree", "lmdb", "cdb"}, kind) {
			return nil, fmt.Errorf("sni: type %q; want hash, btree, lmdb or cdb, of which postmap makes a database with keys", kind)
		}
		t.Type, t.Path = kind, path
	}
	if !filepath.IsAbs(t.Path) || strings.ContainsAny(t.Path, " \t\n'") {
		return nil, fmt.Errorf("sni: %q; want a file from / on, without blanks", spec)
	}
	return t, nil
}

// databases are where postmap may put one.
func (t Table) databases() []string {
	return []string{t.Path + ".db", t.Path + ".lmdb", t.Path + ".cdb"}
}

func (t Table) postmap(ctx context.Context, flags string) (command.Output, error) {
	name := t.Path
	if t.Type != "" {
		name = t.Type + ":" + name
	}
	return command.Limits{Time: postmapTime, Max: maxHeld}.Shell(ctx, t.Postmap+" "+flags+" '"+name+"'")
}

func (t Table) inspect() *TableState {
	s := &TableState{Source: inspectFile(t.Path), Databases: map[string]Found{}}
	for _, path := range t.databases() {
		if f := inspectFile(path); f.Exists {
			f.Content = nil // which only postmap knows to read
			s.Databases[path] = f
		}
	}
	if len(s.Databases) == 0 {
		return s
	}
	out, err := t.postmap(context.Background(), "-F -s")
	if err != nil {
		s.Err = err.Error()
	}
	s.Held = out.Stdout
	return s
}

// rows are the lines of a target in its table: host and file.
func (t Target) rows() map[string]string {
	rows := map[string]string{}
	for _, host := range t.Hosts {
		// A name for all below a domain begins with a dot there.
		rows[strings.ToLower(strings.TrimPrefix(host, "*"))] = t.Files[PairFile].Path
	}
	return rows
}

// source is what the source shall be: lines of ours that are missing come at the
// end, and what leads to our file without being a host of ours goes.
func (t Target) source(old []byte) []byte {
	rows := t.rows()
	var b bytes.Buffer
	done := map[string]bool{}
	for lines := slices.Collect(strings.Lines(string(old))); len(lines) > 0; {
		n := entryLines(lines)
		host, file := row(strings.Join(lines[:n], ""))
		text := lines[:n]
		lines = lines[n:]
		want, ours := rows[host]
		switch {
		case ours && done[host], !ours && file == t.Files[PairFile].Path:
			continue
		case ours && file != want:
			fmt.Fprintf(&b, "%s %s\n", host, want)
		default:
			b.WriteString(strings.TrimSuffix(strings.Join(text, ""), "\n") + "\n")
		}
		done[host] = ours
	}
	for _, host := range t.Hosts {
		host = strings.ToLower(strings.TrimPrefix(host, "*"))
		if !done[host] {
			fmt.Fprintf(&b, "%s %s\n", host, rows[host])
			done[host] = true
		}
	}
	return b.Bytes()
}

// entryLines is how many of the lines are the first entry, or a comment: those that
// begin with a blank belong to the one before, and comments between them, too
// (postmap(1)).
func entryLines(lines []string) int {
	n := 1
	for i, line := range lines {
		word := strings.TrimLeft(line, " \t\r\n")
		switch {
		case word == "" || word[0] == '#':
			if i == 0 {
				return 1
			}
		case i == 0:
		case len(word) == len(line):
			return n
		default:
			n = i + 1
		}
	}
	return n
}

// row takes an entry apart. Of a comment, and of a line that goes on another, there
// is no host.
func row(entry string) (host, file string) {
	if entry == "" || strings.ContainsAny(entry[:1], "# \t\r\n") {
		return "", ""
	}
	var words []string
	for line := range strings.Lines(entry) {
		if w := strings.Fields(line); len(w) > 0 && w[0][0] != '#' {
			words = append(words, w...)
		}
	}
	if len(words) == 0 {
		return "", ""
	}
	return strings.ToLower(words[0]), strings.Join(words[1:], " ")
}

// table judges the target's lines, and that the database has what their file
// holds.
func (j *judge) table() {
	t, s := j.target.Table, j.state.Table
	if t == nil || s == nil || !j.state.Files[PairFile].Exists && !j.write[PairFile] {
		return // or there is nothing that could stand in it yet
	}
	before := len(j.findings)
	switch want := j.target.source(s.Source.Content); {
	case !s.Source.Exists:
		j.find(Missing, t.Path, "is missing")
	case s.Source.Err != "":
		j.find(Broken, t.Path, "cannot be read: %s", s.Source.Err)
	case !bytes.Equal(want, s.Source.Content):
		j.find(SNI, t.Path, "does not lead %s to %s", strings.Join(j.target.Hosts, ", "), j.target.Files[PairFile].Path)
	case anybody(s.Source.Mode, 0o077):
		j.find(Mode, t.Path, "has mode %04o, which the database with the keys gets; want 0600", s.Source.Mode.Perm())
	}
	for path, f := range s.Databases {
		if anybody(f.Mode, 0o077) {
			j.find(Mode, path, "has mode %04o, and holds keys; want 0600", f.Mode.Perm())
		}
	}
	switch {
	case len(s.Databases) == 0:
		j.find(Missing, t.Path, "has no database; postmap -F makes it")
	case s.Err != "":
		j.find(Broken, t.Path, "its database cannot be looked into: %s", s.Err)
	default:
		j.held(s)
	}
	j.remap = len(j.findings) > before || j.write[PairFile]
}

func (j *judge) held(s *TableState) {
	chain := j.state.Files[PairFile].Content
	for _, host := range j.target.Hosts {
		host = strings.ToLower(strings.TrimPrefix(host, "*"))
		if !bytes.Contains(append([]byte("\n"), s.Held...), slices.Concat([]byte("\n"+host+"\t"), bytes.TrimRight(chain, "\n"))) {
			j.find(SNI, j.target.Table.Path, "its database has another certificate for %s than %s", host, j.target.Files[PairFile].Path)
			return
		}
	}
}

// remap puts the lines of a target and the database right. The source comes first
// and is closed to others, as the database becomes what it is.
func (t Target) remap(ctx context.Context) error {
	if !exists(t.Files[PairFile].Path) {
		return nil // nothing was bought yet
	}
	err := within(t.Table.Path, func(f *folder.Folder, _ string) error { return f.Guarded() })
	if err != nil {
		return fmt.Errorf("sni: %w", err)
	}
	old := inspectFile(t.Table.Path)
	if old.Err != "" {
		return fmt.Errorf("%s: %s", t.Table.Path, old.Err)
	}
	if err := durable.WriteFile(t.Table.Path, t.source(old.Content), 0o600); err != nil {
		return err
	}
	if err := t.Table.close(); err != nil { // an old one keeps its mode
		return err
	}
	if _, err := t.Table.postmap(ctx, "-F"); err != nil {
		return err
	}
	if err := t.Table.close(); err != nil {
		return err
	}
	j := judge{target: t, state: State{Files: map[Role]Found{PairFile: inspectFile(t.Files[PairFile].Path)}, Table: t.Table.inspect()}, write: map[Role]bool{}}
	if j.table(); j.remap {
		return fmt.Errorf("%s: %s, though postmap has just made it", j.findings[0].Path, j.findings[0].Text)
	}
	return nil
}

// close takes the database from others.
func (t Table) close() error {
	for _, path := range t.databases() {
		if f := inspectFile(path); !f.Exists || f.Err != "" || !anybody(f.Mode, 0o077) {
			continue
		}
		file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// anybody reports whether others than the owner may do something with a file.
func anybody(m fs.FileMode, may fs.FileMode) bool { return m.Perm()&may != 0 }
