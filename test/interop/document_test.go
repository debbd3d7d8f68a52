package interop

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailseal/test/report"
	"mailseal/test/rig"
)

var (
	peersMarks  = report.Marks{Begin: "<!-- peers: written by make interop -->", End: "<!-- end of peers -->"}
	recentMarks = report.Marks{Begin: "<!-- newer peers: written by make interop-new -->", End: "<!-- end of newer peers -->"}
)

func documentPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(rig.Root(t), "doc", "interop.md")
}

// A document is the cells of all tables, by column, table and row.
type document map[string]map[string]string

func (d document) has(column string) bool         { return d[column] != nil }
func (d document) cell(column, key string) string { return d[column][key] }

// words are the cells of a line.
func words(line string) []string {
	cells := strings.Split(strings.TrimSpace(line), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells[1 : len(cells)-1]
}

func (d document) put(column, key string, cell string) {
	if d[column] == nil {
		d[column] = map[string]string{}
	}
	d[column][key] = cell
}

func readDocument(t *testing.T) document {
	t.Helper()
	b, err := os.ReadFile(documentPath(t))
	if err != nil {
		t.Fatal(err)
	}
	d := document{}
	var title string
	var columns []string
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "### "); ok {
			title, columns = strings.TrimSpace(name), nil
		}
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		w := words(line)
		if columns == nil {
			columns = w
			continue
		}
		for i := 1; i < len(w) && i < len(columns); i++ {
			d.put(columns[i], title+": "+w[0], w[i])
		}
	}
	return d
}

// renew writes the tables of what was seen between the marks. It takes all
// peers: what is absent would go.
func (a *asked) renew(t *testing.T, marks report.Marks, peers int) {
	t.Helper()
	if len(a.seen) != peers {
		t.Fatalf("%d of %d peers are here: doc/interop.md stays as it is", len(a.seen), peers)
	}
	slices.SortFunc(a.seen, func(x, y column) int { return cmp.Compare(order(x), order(y)) })
	if err := marks.Renew(documentPath(t), a.tables()); err != nil {
		t.Fatal(err)
	}
}

// order is that of the columns.
func order(c column) string {
	for i, name := range []string{"openssl", "gpgsm", "nss", "Bouncy Castle"} {
		if strings.HasPrefix(c.label, name) {
			return strconv.Itoa(i) + c.version
		}
	}
	return c.version
}

var note = regexp.MustCompile(`\[([0-9]+)\]`)

func (a *asked) tables() string {
	var b strings.Builder
	var labels, versions []string
	for _, c := range a.seen {
		labels, versions = append(labels, c.label), append(versions, c.version)
	}
	fmt.Fprintf(&b, "Seen with %s.\n", strings.Join(versions, ", "))
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n### %s\n\n| | %s |\n|---%s|\n", g.title, strings.Join(labels, " | "), strings.Repeat("|---", len(labels)))
		for _, r := range g.rows {
			if r.recent && !a.recent {
				continue
			}
			fmt.Fprintf(&b, "| %s", r.name)
			for _, c := range a.seen {
				fmt.Fprintf(&b, " | %s", c.cells[g.title+": "+r.name])
			}
			b.WriteString(" |\n")
		}
	}
	used := map[string]bool{}
	for _, n := range note.FindAllStringSubmatch(b.String(), -1) {
		used[n[1]] = true
	}
	b.WriteString("\n")
	for _, r := range reasons {
		if n := strconv.Itoa(r.number); used[n] && r.text != "" {
			fmt.Fprintf(&b, "- [%s] %s\n", n, r.text)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
