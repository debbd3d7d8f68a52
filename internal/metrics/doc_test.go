package metrics

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mailseal/internal/fault"
)

const rulesFile = "../../contrib/prometheus/mailseal.rules.yml"

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A row is what is said of a metric: its type and its labels.
type row struct {
	Type   string
	Labels []string
}

// families are our metrics as the registry has them, and for each label its
// values.
func families(t *testing.T) (rows map[string]row, values map[string]map[string]bool) {
	t.Helper()
	m, _ := whole(t, time.Now())
	all, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	rows, values = map[string]row{}, map[string]map[string]bool{}
	for _, f := range all {
		if !strings.HasPrefix(f.GetName(), "mailseal_") {
			continue
		}
		r := row{Type: strings.ToLower(f.GetType().String())}
		for _, l := range f.GetMetric()[0].GetLabel() {
			r.Labels = append(r.Labels, l.GetName())
		}
		slices.Sort(r.Labels)
		rows[f.GetName()] = r
		for _, s := range f.GetMetric() {
			for _, l := range s.GetLabel() {
				if values[l.GetName()] == nil {
					values[l.GetName()] = map[string]bool{}
				}
				values[l.GetName()][l.GetValue()] = true
			}
		}
	}
	return rows, values
}

var tableRow = regexp.MustCompile("(?m)^\\| `(mailseal_[a-z_]+)` \\| ([a-z]+) \\|([^|]*)\\| ([^|]{5,}) \\|$")

// TestDocument: the table has every metric, and says of each what is so.
func TestDocument(t *testing.T) {
	rows, values := families(t)
	doc := text(t, "../../doc/metrics.md")
	told := map[string]row{}
	for _, r := range tableRow.FindAllStringSubmatch(doc, -1) {
		labels := strings.FieldsFunc(r[3], func(c rune) bool { return strings.ContainsRune("`, ", c) })
		slices.Sort(labels)
		told[r[1]] = row{r[2], labels}
		for _, l := range labels {
			if l == "version" || l == "revision" || l == "goversion" || l == "identity" || l == "kind" || l == "step" || l == "socket" {
				continue // free, or in tables of their own
			}
			for v := range values[l] {
				if !regexp.MustCompile(`\b` + v + `\b`).MatchString(r[4]) {
					t.Errorf("%s: the table does not say that %s may be %q", r[1], l, v)
				}
			}
		}
	}
	if d := cmp.Diff(rows, told, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("the table is not what is so (-is +told): %s", d)
	}
	for _, l := range []string{"kind", "step", "socket"} {
		for v := range values[l] {
			if !strings.Contains(doc, "\n| "+v+" |") {
				t.Errorf("no row for the %s %q", l, v)
			}
		}
	}
	for _, k := range fault.Kinds() {
		code, _, _ := k.Reply()
		if want := regexp.MustCompile(`(?m)^\| ` + k.String() + ` \| ` + string(rune('0'+code/100)) + `\d\d \|`); !want.MatchString(doc) {
			t.Errorf("%v is answered %d; the table says otherwise", k, code)
		}
	}
}

// TestRules: the alerts use metrics and label values that there are, and the
// document tells of each alert.
func TestRules(t *testing.T) {
	rows, values := families(t)
	rules := text(t, rulesFile)
	used := 0
	for _, name := range regexp.MustCompile(`mailseal_[a-z_]+`).FindAllString(rules, -1) {
		used++
		base, _, _ := strings.Cut(name, "_bucket")
		base = strings.TrimSuffix(base, "_count")
		if r, ok := rows[base]; !ok || (base != name) != (r.Type == "histogram") {
			t.Errorf("the alerts use %s, which is none", name)
		}
	}
	for _, m := range regexp.MustCompile(`([a-z]+)(=|!=|=~|!~)"([^"]+)"`).FindAllStringSubmatch(rules, -1) {
		for v := range strings.SplitSeq(m[3], "|") {
			if l := m[1]; l != "job" && l != "le" && !values[l][v] {
				t.Errorf("the alerts look for %s %q, which is none of %v", l, v, slices.Sorted(maps.Keys(values[l])))
			}
		}
	}
	alert := regexp.MustCompile(`(?m)^ *- alert: (\w+)$`)
	var named, told []string
	for _, m := range alert.FindAllStringSubmatch(rules, -1) {
		named = append(named, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^\| (Mailseal\w+) \|`).FindAllStringSubmatch(text(t, "../../doc/metrics.md"), -1) {
		told = append(told, m[1])
	}
	if d := cmp.Diff(named, told); d != "" || used < len(named) || len(named) == 0 {
		t.Errorf("alerts in the rules and in the document: %s", d)
	}
}

// Buckets that an alert asks for have to be there.
func TestRulesBuckets(t *testing.T) {
	for _, m := range regexp.MustCompile(`le="([^"]+)"`).FindAllStringSubmatch(text(t, rulesFile), -1) {
		m2, _ := whole(t, time.Now())
		if !slices.ContainsFunc(told(t, m2), func(s string) bool { return strings.Contains(s, `step="whole",le="`+m[1]+`"`) }) {
			t.Errorf("no bucket %s", m[1])
		}
	}
}

// Prometheus itself takes the alerts, and they fire when they should.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on this machine; TestRules looks at names and labels")
	}
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", "testdata/alerts.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}
