// Figures runs the benchmarks that compare our operations with their floor,
// several rounds of them, and writes the medians as a table into
// doc/performance.md, between its marks.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"mailseal/test/report"
)

// suites are the packages with a BenchmarkRatio, and what their table is of.
var suites = []struct{ pkg, title string }{
	{"./smime", "Whole mails: finding the parts, MIME, base64, signature"},
	{"./smime/cms", "CMS objects alone"},
}

var marks = report.Marks{Begin: "<!-- figures: written by make bench -->", End: "<!-- end of figures -->"}

func main() {
	rounds := flag.Int("rounds", 5, "rounds of all benchmarks; the medians are told")
	benchtime := flag.String("benchtime", "1s", "time for each benchmark and round")
	out := flag.String("out", "", "`FILE` whose table is renewed; standard output without")
	flag.Parse()
	if err := run(*rounds, *benchtime, *out); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(rounds int, benchtime, out string) error {
	var table bytes.Buffer
	fmt.Fprintf(&table, "%s; medians of %d rounds.\n", report.Machine(), rounds)
	for _, s := range suites {
		var all results
		for i := range rounds {
			fmt.Fprintf(os.Stderr, "figures: %s, round %d of %d\n", s.pkg, i+1, rounds)
			text, err := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkRatio$", "-benchtime", benchtime, s.pkg).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", s.pkg, err, text)
			}
			all.read(string(text))
		}
		fmt.Fprintf(&table, "\n### %s\n\n", s.title)
		all.write(&table)
	}
	if out == "" {
		_, err := os.Stdout.Write(table.Bytes())
		return err
	}
	return marks.Renew(out, table.String())
}

// results are the metrics of benchmarks, by name, in the order of the first round.
type results struct {
	names  []string
	values map[string]map[string][]float64 // by name and unit
}

// read takes the output of go test -bench: a name, a count, then values with
// their units.
func (r *results) read(text string) {
	if r.values == nil {
		r.values = make(map[string]map[string][]float64)
	}
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(line, "BenchmarkRatio/")
		words := strings.Fields(name)
		if !ok || len(words) < 4 {
			continue
		}
		name = strings.ReplaceAll(words[0][:strings.LastIndexByte(words[0], '-')], "_", " ")
		if r.values[name] == nil {
			r.names = append(r.names, name)
			r.values[name] = make(map[string][]float64)
		}
		for i := 2; i+1 < len(words); i += 2 {
			if v, err := strconv.ParseFloat(words[i], 64); err == nil {
				r.values[name][words[i+1]] = append(r.values[name][words[i+1]], v)
			}
		}
	}
}

func (r *results) write(w io.Writer) {
	fmt.Fprintln(w, "| size | operation | of the floor, waited | of the floor, CPU | one takes | heap for one |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, n := range r.names {
		size, op, _ := strings.Cut(n, "/")
		v := r.values[n]
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %s | %.0f KiB |\n", size, op, report.Median(v["wall"]), report.Median(v["cpu"]), took(report.Median(v["us"])), report.Median(v["heap-B"])/1024)
	}
}

func took(us float64) string {
	if us < 1000 {
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}
