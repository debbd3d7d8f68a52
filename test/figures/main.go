// Figures runs the benchmarks that compare our operations with their floor,
// several rounds of them, and writes the medians as a table into
// doc/performance.md, between its marks.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// suites are the packages with a BenchmarkRatio, and what their table is of.
var suites = []struct{ pkg, title string }{
	{"./smime", "Whole mails: finding the parts, MIME, base64, signature"},
	{"./smime/cms", "CMS objects alone"},
}

// The table stands between these lines of the file.
const (
	begin = "<!-- figures: written by make bench -->"
	end   = "<!-- end of figures -->"
)

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
	fmt.Fprintf(&table, "%s, %d cores, %s/%s, %s; medians of %d rounds.\n", cpu(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), rounds)
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
	return renew(out, table.String())
}

// cpu is the processor's name as /proc has it.
func cpu() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // it is only for people
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": ")
		}
	}
	return "unknown processor"
}

// renew replaces what stands between the marks.
func renew(name, table string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, ok1 := strings.Cut(string(old), begin+"\n")
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", filepath.Base(name), begin, end)
	}
	return os.WriteFile(name, []byte(head+begin+"\n\n"+table+"\n"+end+tail), 0o644)
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
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %s | %.0f KiB |\n", size, op, median(v["wall"]), median(v["cpu"]), took(median(v["us"])), median(v["heap-B"])/1024)
	}
}

func took(us float64) string {
	if us < 1000 {
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}

func median[T cmp.Ordered](vs []T) (m T) {
	if len(vs) == 0 {
		return m
	}
	vs = slices.Sorted(slices.Values(vs))
	return vs[len(vs)/2]
}
