package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"mailseal/test/report"
)

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

// rivals are columns of tables where somebody has a figure in them.
var rivals = []struct{ metric, title string }{
	{"pkcs7-times", "pkcs7 takes"},
	{"openssl-times", "openssl takes"},
}

func (r *results) write(w io.Writer) {
	head, line := "| size | operation | of the floor, waited | of the floor, CPU | one takes | heap for one |", "|---|---|---|---|---|---|"
	present := make([]bool, len(rivals))
	for i, c := range rivals {
		for _, v := range r.values {
			present[i] = present[i] || v[c.metric] != nil
		}
		if present[i] {
			head, line = head+" "+c.title+" |", line+"---|"
		}
	}
	fmt.Fprintf(w, "%s\n%s\n", head, line)
	for _, n := range r.names {
		size, op, _ := strings.Cut(n, "/")
		v := r.values[n]
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %s | %.0f KiB |", size, op,
			report.Median(v["wall"]), report.Median(v["cpu"]), took(report.Median(v["us"])), report.Median(v["heap-B"])/1024)
		for i, c := range rivals {
			switch {
			case !present[i]:
			case v[c.metric] == nil:
				fmt.Fprint(w, "  |")
			default:
				fmt.Fprintf(w, " %.1f x |", report.Median(v[c.metric]))
			}
		}
		fmt.Fprintln(w)
	}
}

func took(us float64) string {
	if us < 1000 {
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}
